"""The commands' client: one protocol over a running gateway or the engine itself.

The CLI queries the gateway at GATEWAY_URL (with GATEWAY_KEY; both also from `.env`), or reads the configured accounts
directly if GATEWAY_URL is unset or `--config` is given. Direct reading has every scope. Both return the same bodies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from app.config import read_environment
from app.domain.errors import ConfigurationError

#: Query parameters, (name, value), in the API's own form.
Pairs = Sequence[tuple[str, str]]
Json = dict[str, Any]


class Problem(Exception):
    """A call that failed. `code` is of contract section 7, or `unreachable`, `no_answer` or `not_a_gateway`.

    `errors` are (parameter, message) pairs; `sources` are the problem's `sources[]`; `retry_after` is in seconds, None
    where nobody named a time."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        sources: Sequence[Json] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.errors, self.sources, self.retry_after = tuple(errors), tuple(sources), retry_after


class Page(msgspec.Struct, frozen=True):
    """One page of the API: its `data`, `window`, `sources[]` and `warnings[]`."""

    events: list[Json]
    has_more: bool
    next_cursor: str | None
    window: Json
    sources: list[Json]
    warnings: Sequence[Json] = ()

    @classmethod
    def of(cls, body: Any) -> Page:
        """The page of a decoded answer. Raises KeyError, TypeError for what is none."""
        page = body["page"]
        return cls(
            list(body["data"]),
            bool(page["has_more"]),
            page["next_cursor"],
            body["window"],
            body["sources"],
            body.get("warnings") or (),
        )


class Client(Protocol):
    """Sends one call at a time. Each raises Problem."""

    def page(self, pairs: Pairs) -> Page:
        """One page of `GET /events`."""

    def count(self, pairs: Pairs) -> Json:
        """The body of `GET /events/count`."""

    def event(self, event_id: str, pairs: Pairs) -> Json:
        """The body of `GET /events/{event_id}`."""

    def sources(self) -> list[Json]:
        """The `data` of `GET /sources`."""

    def close(self) -> None: ...


@contextmanager
def connected(config: Path | None) -> Iterator[Client]:
    """The client that the settings ask for, closed in the end. Raises ConfigurationError."""
    client = open_client(config)
    try:
        yield client
    finally:
        client.close()


def open_client(config: Path | None) -> Client:
    """`config`, the value of `--config`, names sources for the engine in this process, and so goes before GATEWAY_URL.
    Raises ConfigurationError."""
    url = None if config is not None else setting("GATEWAY_URL")
    if url is not None:
        from app.cli.http_client import HttpClient

        return HttpClient(url, setting("GATEWAY_KEY"))
    from app.assembly import NoSource
    from app.cli.local_client import FeedClient

    try:
        return FeedClient(config)
    except NoSource as error:
        if config is not None:
            raise
        raise ConfigurationError(
            f"{error.detail}. To ask a gateway that runs: set GATEWAY_URL and GATEWAY_KEY"
        ) from None


def setting(name: str) -> str | None:
    """A variable of the environment or of `.env`; None where it is absent or empty.

    Read apart from the server's settings: a client must not stumble over those."""
    return read_environment().get(name)
