"""Facts about one request, for its response and log line, and the audit trail: one line for each access.

A line of the audit trail, on the logger `gateway.audit`, contains the caller, the filters, the number of events sent,
and the outcome. The standard library's logger accepts separate handlers. No line contains personal values: filter
values from a fixed vocabulary are logged, others as keyed hashes, which show that two queries were equal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Scope

from app.api.routing import pairs_of
from app.domain.errors import ParameterError
from app.domain.parameters import choices
from app.domain.query import CountQuery, EventQuery, ExportQuery
from app.domain.times import format_micros, parse_moment
from app.feed.model import SourceStatus
from app.logs import AUDIT
from app.privacy.pseudonyms import Pseudonyms


class RequestLog(msgspec.Struct):
    """Loggable facts about one request: no query values, keys or provider data."""

    request_id: str
    status: int = 0  #: of the response; 0 before it begins
    is_complete: bool = False  #: whether the whole response was sent
    caller: str | None = None
    code: str | None = None  #: of the problem in the response
    events: int | None = None
    sources: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    delivered: dict[str, int] = msgspec.field(default_factory=dict)  #: events, by source
    #: Source, and whether its total was cached.
    totals: list[tuple[str, bool]] = msgspec.field(default_factory=list)
    #: Headers of any response.
    headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    at_end: list[Callable[[], object]] = msgspec.field(default_factory=list)  #: called once the response has ended

    def deliver(self, counts: Mapping[str, int]) -> None:
        """Count delivered events by source."""
        self.events = (self.events or 0) + sum(counts.values())
        for source, count in counts.items():
            self.delivered[source] = self.delivered.get(source, 0) + count


def request_log(request: Request) -> RequestLog:
    """Return the log of this request, created by `app.api.middleware.RequestMiddleware`."""
    log: RequestLog = request.state.gateway_log
    return log


def note_sources(log: RequestLog, statuses: Iterable[SourceStatus]) -> None:
    """Record calls and outcome of a request at each source."""
    for status in statuses:
        noted: dict[str, Any] = {"calls": status.calls, "records": status.records}
        if status.bad_records:
            noted["bad_records"] = status.bad_records.total()
        if status.error is not None:
            noted["error"] = status.error.code
        log.sources[status.name] = noted


_log = logging.getLogger(AUDIT)

#: Paths without keys and personal data.
_OPEN = (
    "/", "/health/live", "/health/ready", "/docs", "/docs/{name}", "/openapi.json",
    "/problems/{code}", "/ui", "/ui/setup.js", "/ui/{name:path}",
)  # fmt: skip

#: Each parameter, with its values if it is an enum.
_CHOICES = {
    field.alias or name: ("true", "false") if "bool" in str(field.annotation) else choices(field.annotation)
    for model in (ExportQuery, CountQuery, EventQuery)
    for name, field in model.model_fields.items()
}
_TIMES = ("since", "until")
_MOST = 40  #: values in a line


class AuditTrail:
    """Write the lines. `words`: by parameter, the values of the operator's settings and the mapping tables, which are
    logged unchanged."""

    def __init__(self, pseudonyms: Pseudonyms, words: Mapping[str, Collection[str]] | None = None) -> None:
        self._pseudonyms = pseudonyms
        self._words = {name: frozenset(values) for name, values in (words or {}).items()}

    def record(self, scope: Scope, log: RequestLog, route: str) -> None:
        """Log one line for this request, unless its path is public."""
        if route in _OPEN or route == "unmatched":
            return
        status = log.status
        if status < 400:
            outcome = "allowed" if status else "hung_up"
        else:
            outcome = "denied" if status in (401, 403, 429) else "failed" if status >= 500 else "refused"
        line: dict[str, Any] = {
            "request_id": log.request_id,
            "caller": log.caller,
            "route": route,
            "filters": self.filters(scope),
            "events": log.events or 0,
            "outcome": outcome,
            "status": status,
            "code": log.code,
            "sources": sorted(log.sources),
        }
        for name in ("event_id", "envelope_id"):
            if name in (found := scope.get("path_params") or {}):
                line[name] = self._pseudonyms.of(str(found[name]))
        if _log.isEnabledFor(logging.INFO):
            # `_log.info` would search for the calling line of code, which is always this one.
            _log.handle(_log.makeRecord(AUDIT, logging.INFO, "", 0, "access", (), None, extra={"audit": line}))

    def filters(self, scope: Scope) -> dict[str, list[str]]:
        """Return the query's parameters by name, with loggable values."""
        try:
            pairs = pairs_of(scope)
        except ParameterError:
            return {"?": ["unreadable"]}
        shown: dict[str, list[str]] = {}
        for name, value in pairs[:_MOST]:
            if name not in _CHOICES:  # an unknown name is the caller's text, too
                name, value = "?", "unknown"
            elif name == "cursor":
                value = "given"
            elif name in _TIMES:
                try:
                    value = format_micros(time) if isinstance(time := parse_moment(value), int) else value
                except ValueError:
                    value = "invalid"
            elif not (
                value in self._words.get(name.removesuffix(".not"), ())
                or value in _CHOICES[name]
                or (name == "limit" and value.isascii() and value.isdigit() and len(value) <= 4)
            ):
                value = self._pseudonyms.of(value)
            shown.setdefault(name, []).append(value)
        if len(pairs) > _MOST:
            shown["?"] = [*shown.get("?", []), f"{len(pairs) - _MOST} more"]
        return shown
