"""Facts about one request for its response and log line."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from app.feed import SourceStatus


class RequestLog(msgspec.Struct):
    """Loggable facts about one request: no query values, keys or provider data."""

    request_id: str
    status: int = 0  #: of the response; 0 before it begins
    caller: str | None = None
    code: str | None = None  #: of the problem in the response
    events: int | None = None
    sources: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    delivered: dict[str, int] = msgspec.field(default_factory=dict)  #: events, by source
    #: Source, and whether its total was cached.
    totals: list[tuple[str, bool]] = msgspec.field(default_factory=list)
    #: Headers of any response.
    headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)

    def deliver(self, counts: Mapping[str, int]) -> None:
        """Count delivered events by source."""
        self.events = (self.events or 0) + sum(counts.values())
        for source, count in counts.items():
            self.delivered[source] = self.delivered.get(source, 0) + count


def new_request_id() -> str:
    """Return 32 hexadecimal digits from the faster, non-cryptographic generator, because the id is not secret."""
    return f"{random.getrandbits(128):032x}"


def request_log(request: Request) -> RequestLog:
    """Return the log of this request, created by `app.api.middleware.RequestMiddleware`."""
    log: RequestLog = request.state.gateway_log
    return log


def note_sources(log: RequestLog, statuses: Iterable[SourceStatus]) -> None:
    """Record calls and outcome of a request at each source."""
    for status in statuses:
        noted: dict[str, Any] = {"calls": status.calls, "records": status.records}
        if status.bad_records:
            noted["bad_records"] = status.bad_records
        if status.error is not None:
            noted["error"] = status.error.code
        log.sources[status.name] = noted
