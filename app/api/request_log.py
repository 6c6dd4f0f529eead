"""What one request leaves behind for its answer and its log line, and how a handler gets at it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from app.feed import SourceStatus


class RequestLog(msgspec.Struct):
    """Facts about one request that may be logged: no query value, no key, nothing that a provider sent."""

    request_id: str
    status: int = 0  #: of the response; 0 before it begins
    caller: str | None = None
    code: str | None = None  #: of the problem that was answered
    events: int | None = None
    sources: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    delivered: dict[str, int] = msgspec.field(default_factory=dict)  #: events, by source
    #: Source, and whether its total came from the cache.
    totals: list[tuple[str, bool]] = msgspec.field(default_factory=list)
    #: To go along with the answer, whatever it is.
    headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)

    def deliver(self, counts: Mapping[str, int]) -> None:
        """Events go out: so many of each source."""
        self.events = (self.events or 0) + sum(counts.values())
        for source, count in counts.items():
            self.delivered[source] = self.delivered.get(source, 0) + count


def new_request_id() -> str:
    """32 hexadecimal digits. No secret, so the system's own source of chance, which takes longer, is not asked."""
    return f"{random.getrandbits(128):032x}"


def request_log(request: Request) -> RequestLog:
    """The log of this request, made by `app.api.middleware.RequestMiddleware`."""
    log: RequestLog = request.state.gateway_log
    return log


def note_sources(log: RequestLog, statuses: Iterable[SourceStatus]) -> None:
    """What a request cost at each source, and how that fared."""
    for status in statuses:
        noted: dict[str, Any] = {"calls": status.calls, "records": status.records}
        if status.bad_records:
            noted["bad_records"] = status.bad_records
        if status.error is not None:
            noted["error"] = status.error.code
        log.sources[status.name] = noted
