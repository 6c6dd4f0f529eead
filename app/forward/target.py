"""What every receiver has in common: a batch in, an exception for each way to refuse it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

#: Seconds for a connection, and for each read and write after it.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 30.0


class Item(NamedTuple):
    """One event: as the API shows it, and as one line of the chosen format without its line end."""

    event: Mapping[str, Any]
    line: bytes


class Temporary(Exception):
    """A failure to retry. `retry_after` is in seconds, None where the other side named no time.

    The text goes to the log: it contains no secret, no part of an event and no text of the other side."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooLarge(Temporary):
    """The receiver refuses the batch for its size (HTTP 413)."""


class Gone(Exception):
    """The receiver wants no further batch (HTTP 410), which the Standard Webhooks scheme asks senders to honour."""


class Target(Protocol):
    """One receiver."""

    def deliver(self, items: Sequence[Item]) -> None:
        """Send a batch of at least one event; return once the receiver accepted all of it. Raises Temporary, Gone."""

    def close(self) -> None: ...
