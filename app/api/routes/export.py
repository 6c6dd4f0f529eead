"""`GET /events/export`: all matching events in one response, in a format of the caller's choice.

Pages of the feed become lines of a format, with one page read ahead: at most two pages are in memory, for an export of
any length.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from starlette.responses import Response

from app.api.auth import EventReader, check_again, require_raw
from app.api.exports import FORMATS
from app.api.middleware import InterruptedAnswer
from app.api.openapi import ANSWER_HEADERS, answers, header
from app.api.rendering import ClosingStream, encode
from app.api.request_log import request_log
from app.api.routes.manifests import MANIFEST_PATH
from app.api.routing import LONGEST_HEADER, new_router
from app.domain.caller import Caller
from app.domain.errors import CursorMismatch, GatewayError, NotFound, ParameterError
from app.domain.query import EventQuery, ExportQuery
from app.domain.times import format_seconds, now_micros, to_datetime
from app.evidence import Manifest, SigningKey, digest_of
from app.feed.model import Page, WalkStart, gaps_of
from app.feed.service import Feed
from app.privacy.redaction import Redactor

router = new_router(tags=["events"])

PAGE = 2000  #: events
_MOST_KNOWN = 10_000  #: unreadable records of a source, so that the memory is constant
_MOST_NOTES = 16  #: reasons of a source
_CHUNK = 100  #: events rendered at a time, so that other requests are served in between

#: Reasons of an early end, in addition to the codes of problems.
DEADLINE, STOPPING, LIMIT = "deadline", "stopping", "limit"

_HEADERS: dict[str, Any] = {
    "Export-Cursor": header(
        "The beginning of this export, with its filters and window. After a cut, send it as `cursor`, with the id of"
        f" the last complete event as `after`. Absent if longer than {LONGEST_HEADER} characters: then send the same"
        " filters with the same `since` and `until`."
    ),
    "Export-Manifest": header(
        "With a signing key, except for `ndjson` and `after`: the path of the export's signed manifest (a compact"
        " JWS), available for an hour after the end of the export."
    ),
    "Content-Disposition": header("A file name with the window: `attachment; filename=…`."),
    **ANSWER_HEADERS,
}

_LINKS: dict[str, Any] = {
    "SameWindow": {
        "operationId": "export_events",
        "description": "The same export with the same window; with `after`, the rest of a cut one.",
        "parameters": {"cursor": "$response.header.Export-Cursor"},
    }
}


@router.get(
    "/events/export",
    summary="Export events",
    response_class=Response,
    responses=answers(
        "events",
        'The events, one a line. With `format=ndjson` the last line is `{"cursor": …, "complete": …}`. If'
        " `complete` is false, `reason` is the cause (`limit`, `deadline`, `stopping`, `unreadable_records`,"
        " `unproven` or a problem's code), and `cursor` continues; at the end, this is about all parts of a resumed"
        " export, but with `after` only about the events after that one. Optional members, by source: `bad_records`,"
        " the number of unreadable records left out; `forbidden`, why the provider refuses a part of the account;"
        " `notes`, why events may be missing, as in `sources` of `GET /events`. In the other formats, a response that"
        " ends normally is complete; one that is incomplete, unproven or lacks unreadable records is cut, which an HTTP"
        " client reports as an error.",
        headers=_HEADERS,
        links=_LINKS,
        content={media: {"schema": {"type": "string"}} for media in ("application/x-ndjson", "text/csv")},
    ),
)
async def export_events(request: Request, caller: EventReader, query: Annotated[ExportQuery, Query()]) -> Response:
    """All matching events in one streamed response of any length.

    The filters and the order are those of `GET /events`. To resume a cut export without loss or duplicates, send
    `cursor` from its last line. If the connection broke before that, repeat the call with `after`, the id of the last
    complete event."""
    if query.after is not None and query.cursor is None and not {"since", "envelope_id"} & query.model_fields_set:
        message = "needs the Export-Cursor or the since of the export that it continues: the default since moves"
        raise ParameterError("invalid_parameter", [("after", message)])
    if request.scope["http_version"] == "1.0" and not FORMATS[query.format].has_last_line:
        # Its responses end with the connection, so a cut one looks complete.
        raise ParameterError("invalid_parameter", [("format", "needs HTTP/1.1; with HTTP/1.0 only ndjson")])
    request.app.state.export_slots.take(request, caller)
    feed: Feed = request.app.state.feed
    at = None
    if query.after is not None:
        try:
            at = (await feed.event(query.after, caller)).key[0]
        except NotFound:
            message = "must be the id of the last complete event; there is no such event"
            raise ParameterError("invalid_parameter", [("after", message)]) from None
    start = feed.start(EventQuery.of(query, limit=None), caller, at=at)
    if start.query.follow:
        raise CursorMismatch([("cursor", "is a follower's, which has no end; read it with GET /events/stream")])
    if "raw" in start.include:
        require_raw(caller, by_cursor=query.include is None)
    export = Export(request, caller, query, start)
    page, form = await export.first(at), export.form
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    ends = (end for end in (start.window.since, start.window.until) if end is not None)
    window = "_".join(f"{to_datetime(end):%Y%m%dT%H%M%SZ}" for end in ends)
    headers["Content-Disposition"] = f'attachment; filename="audit-events_{window}.{form.extension}"'
    if len(start.cursor) <= LONGEST_HEADER:
        headers["Export-Cursor"] = start.cursor
    if export.manifest_id is not None:
        headers["Export-Manifest"] = f"{request.scope.get('root_path', '')}{MANIFEST_PATH}{export.manifest_id}"
    first = (BOM_UTF8 if query.bom and form.name == "csv" else b"") + form.header
    body = export.body(page, header=first if query.after is None else b"")
    return ClosingStream(body, media_type=form.media_type, headers=headers)


class Export:
    """An export of `query` for a caller whose walk begins at `start`."""

    def __init__(self, request: Request, caller: Caller, query: ExportQuery, start: WalkStart) -> None:
        state = request.app.state
        self.form = FORMATS[query.format]
        self._request, self._caller, self._query, self._start = request, caller, query, start
        self._state, self._log = state, request_log(request)
        self._ends_at = time.monotonic() + state.export_deadline
        # The grants at the beginning determine the visible values, so the key must keep all of them.
        self._scopes = caller.scopes & {"events:read", "pii:read"}
        self._scopes |= {"raw:read"} if "raw" in start.include else set()
        self._sha256, self._count = hashlib.sha256(), 0  # of the bytes sent so far, before compression, and the events
        self._first_id: str | None = None
        self._last_id: str | None = None
        self._forbidden: dict[str, str] = {}  # by source, the parts that its provider refuses
        self._bad_records: dict[str, Counter[str]] = {}  # by source
        self._gaps = start.gaps  # also of the segments before
        self._notes: dict[str, dict[str, None]] = {}  # by source, the reasons why events may be missing
        #: Id of the manifest of a whole export in a format without a place for it.
        self.manifest_id: str | None = None
        if state.signing_key is not None and not self.form.has_last_line and query.after is None:
            self.manifest_id = secrets.token_urlsafe(16)

    async def first(self, at: int | None = None) -> Page:
        """Return the first page; with `after`, an event's id, its rest after that event, which happened `at` (µs) and
        is among the first. Raises CallerError, SourcesFailed."""
        page, after = await self._page(self._start.cursor), self._query.after
        while after is not None:
            ids = [record.event().id for record in page.records]
            if after in ids:
                del page.records[: ids.index(after) + 1]
                break
            if page.next_cursor is None or any(record.key[0] != at for record in page.records):
                message = "is no event of this export; send the same filters, or its Export-Cursor, beside it"
                raise ParameterError("invalid_parameter", [("after", message)])
            page = await self._page(page.next_cursor)
        return page

    async def body(self, page: Page, *, header: bytes) -> AsyncGenerator[bytes]:
        """Yield the response's body from its first page on, after the format's `header`, which is empty for appended
        rows. Raises InterruptedAnswer for an early end in a format without a last line."""
        private, raw = "pii:read" in self._caller.scopes, "raw" in self._start.include
        if header:
            self._sha256.update(header)
            yield header
        read = len(page.records)
        while True:
            cursor = page.next_cursor
            ahead = None
            if cursor is not None and self._must_end(read) is None:
                ahead = asyncio.create_task(self._page(cursor, read))
            # Keep only the unsent rest of the page.
            records = page.records
            del page
            try:
                redactor = Redactor(private=private, raw=raw, pseudonyms=self._state.pseudonyms)
                records.reverse()
                while records:
                    some = records[: -_CHUNK - 1 : -1]
                    del records[-_CHUNK:]
                    events = redactor.events(some)
                    lines = self.form.lines(events)
                    self._sha256.update(lines)
                    self._count += len(events)
                    self._first_id, self._last_id = self._first_id or events[0].id, events[-1].id
                    self._log.deliver(Counter(record.key[1] for record in some))
                    yield lines
                    await asyncio.sleep(0)  # a fast client never makes the server wait
                if ahead is None:
                    break
                page = await ahead
                read += len(page.records)
            except GatewayError as error:
                self._log.code = error.code
                yield self._ended(cursor, error.code)
                return
            finally:
                if ahead is not None:  # an unneeded page ends with its calls to providers
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)
        end = self._ended(cursor, None if cursor is None else self._must_end(read) or DEADLINE)
        if self.manifest_id is not None:
            manifest = self._manifest(cursor, cursor is None and not self._gaps)
            await self._state.manifests.put(self.manifest_id, self._caller, manifest)
        if end:
            yield end

    def _must_end(self, read: int) -> str | None:
        """Return the reason to stop reading, if any."""
        if self._query.limit is not None and read >= self._query.limit:
            return LIMIT
        return DEADLINE if time.monotonic() >= self._ends_at else None if self._state.ready else STOPPING

    async def _page(self, cursor: str, read: int = 0) -> Page:
        await check_again(self._request, self._scopes, self._start.sources)
        limit = PAGE if self._query.limit is None else min(PAGE, self._query.limit - read)
        include = frozenset(self._start.include) - {"total"}
        query = EventQuery(cursor=cursor, limit=limit, include=include, partial=False)
        page: Page = await self._state.feed.page(query, self._caller, may_exceed=self._query.limit is None)
        for status in page.sources:
            if status.status == "forbidden":
                self._forbidden[status.name] = status.reason or ""
            elif status.reason is not None and status.status == "ok":
                known = self._notes.setdefault(status.name, {})
                known |= dict.fromkeys(status.reason.split("; ")[: _MOST_NOTES - len(known)])
            if status.bad_records:
                # The page before may have read them, too.
                unreadable = self._bad_records.setdefault(status.name, Counter())
                if len(unreadable) < _MOST_KNOWN:
                    unreadable |= status.bad_records
                else:
                    unreadable[""] += status.bad_records.total()
            noted = self._log.sources.setdefault(status.name, {"calls": 0, "records": 0})
            noted["calls"] += status.calls
            noted["records"] += status.records
        self._gaps = gaps_of(page.sources, self._gaps)
        if self._gaps and not self.form.has_last_line and self._query.unreadable == "fail":
            # Not after the page, whose events `after` would continue behind, as if the rest were the whole.
            self._log.code = self._gaps[0]
            raise InterruptedAnswer(f"the export ended early: {self._gaps[0]}; unreadable=skip continues")
        return page

    def _ended(self, cursor: str | None, reason: str | None) -> bytes:
        """Return the last line; empty for a complete export in a format without one."""
        if cursor is None and reason is None and self._gaps:
            reason = self._gaps[0]
        if self.form.has_last_line:
            bad = {name: records.total() for name, records in self._bad_records.items()}
            line: dict[str, object] = {"cursor": cursor, "complete": reason is None}
            notes = {name: "; ".join(parts) for name, parts in self._notes.items()}
            optional: dict[str, object] = {"reason": reason, "after": self._query.after, "forbidden": self._forbidden}
            optional |= {"bad_records": bad, "notes": notes}
            line |= {name: value for name, value in optional.items() if value}
            if self._state.signing_key is not None:
                line["manifest"] = self._manifest(cursor, reason is None, encode(line)[:-1])
            return encode(line) + b"\n"
        if reason in (None, LIMIT, *self._gaps):  # the requested number of events, or `unreadable=skip`
            return b""
        self._log.code = self._log.code or reason
        raise InterruptedAnswer(f"the export ended early: {reason}")

    def _manifest(self, cursor: str | None, complete: bool, end: bytes | None = None) -> str:
        query, start = self._query, self._start
        sources = []
        for name in start.sources:
            status, bad = "forbidden" if name in self._forbidden else "ok", self._bad_records.get(name, Counter())
            source = {"name": name, "status": status, "bad_records": bad.total()}
            sources.append(source | ({"reason": "; ".join(self._notes[name])} if name in self._notes else {}))
        filters = start.query.given(without=("order", "follow"))
        manifest = Manifest(
            format=self.form.name,
            count=self._count,
            first_id=self._first_id,
            last_id=self._last_id,
            window=start.window.shown(),
            filters={name: sorted(value) if isinstance(value, tuple) else value for name, value in filters.items()},
            order=start.query.order,
            sources=sources,
            as_of=format_seconds(now_micros()),
            complete=complete,
            sha256=self._sha256.hexdigest(),
            end=None if end is None else hashlib.sha256(end).hexdigest(),
            resumed_from=digest_of(query.cursor if query.after is None else f"{query.cursor} {query.after}"),
            next=digest_of(cursor),
        )
        key: SigningKey = self._state.signing_key
        return key.sign(msgspec.json.encode(manifest))
