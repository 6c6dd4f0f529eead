"""Push events to one receiver: `audit-gateway forward`.

`forwarder` moves pages to a `target`; the cursor in the `checkpoint` file moves only after the receiver has accepted a
page. The command passes in the function that returns pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

#: Query parameters, (name, value), in the API's own form.
Pairs = Sequence[tuple[str, str]]
Json = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """One page from a client's view: `data`, `window`, `sources[]` and `warnings[]`; `unproven` if a source is."""

    events: list[Json]
    has_more: bool
    next_cursor: str | None
    window: Json
    sources: list[Json]
    warnings: Sequence[Json] = ()
    unproven: bool = False


#: The number of left out records in the `reason` of a source.
UNREADABLE_RECORDS = re.compile(r"(\d+) records(?= that cannot be read)")

#: Seconds for a connection, and for each read and write after it.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 30.0


class Item(NamedTuple):
    """One event: the API's object, and its line in the chosen format without the line end."""

    event: Mapping[str, Any]
    line: bytes


class Temporary(Exception):
    """A failure to retry. `retry_after` is in seconds, or None.

    The text goes to the log: it contains no secret, no part of an event and no text of the receiver."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooLarge(Temporary):
    """The receiver refuses the batch because of its size (HTTP 413)."""


class Gone(Exception):
    """The receiver accepts no more batches (HTTP 410; senders must stop by the Standard Webhooks scheme)."""


class Target(Protocol):
    """One receiver."""

    def deliver(self, items: Sequence[Item]) -> None:
        """Send a batch of at least one event; return when the receiver has accepted it. Raises Temporary, Gone."""

    def close(self) -> None: ...
