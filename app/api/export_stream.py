"""An export under way: pages of the feed, one read ahead of the one that is being sent, as lines of a format.

Two pages are held at the most, however long the export is: no page is asked for before the last but one is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import islice

from fastapi import Request

from app.api.auth import require_still
from app.api.exports import FORMATS
from app.api.manifests import Manifests
from app.api.middleware import InterruptedAnswer
from app.api.rendering import encode
from app.api.request_log import request_log
from app.api.streaming import Gzip
from app.domain.caller import Caller
from app.domain.errors import GatewayError, ParameterError
from app.domain.event import Record
from app.domain.query import EventQuery, ExportQuery
from app.domain.times import format_seconds, now_micros
from app.evidence.manifest import Segment, digest_of
from app.feed import Page, WalkStart
from app.privacy.redaction import visible_events

PAGE = 2000  #: events
_CHUNK = 100  #: events rendered at a time: other requests have their turn in between

#: Reasons of an export that ended early, beside the codes of problems.
DEADLINE, STOPPING, LIMIT = "deadline", "stopping", "limit"

#: The end was reached, and records on the way could not be understood: `bad_records` counts them.
UNREADABLE = "unreadable_records"


class Export:
    """An export of what `query` asks for, to a caller whose walk begins at `start`."""

    def __init__(self, request: Request, caller: Caller, query: ExportQuery, start: WalkStart) -> None:
        state = request.app.state
        self.form = FORMATS[query.format]
        self._request, self._caller, self._query, self._start = request, caller, query, start
        self._state, self._log = state, request_log(request)
        self._ends_at = time.monotonic() + state.export_deadline
        # What is shown is decided by what the key granted at the beginning: all of that must last.
        self._scopes = caller.scopes & {"events:read", "pii:read"}
        self._scopes |= {"raw:read"} if "raw" in start.include else set()
        self._segment = Segment()
        self._forbidden: dict[str, str] = {}  # by source, what its provider does not let us read
        self._bad_records = Counter[str]()  # by source
        #: Of the manifest of a whole export, in a format that has no place for it.
        self.manifest_id: str | None = None
        if state.signing_key is not None and not self.form.tells_its_end and query.after is None:
            self.manifest_id = Manifests.new_id()

    async def first(self, at: int | None = None) -> Page:
        """The first page; with `after`, an event's id, what is left of it behind that event, which happened `at` (µs)
        and is among the first. Raises CallerError, SourcesFailed."""
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

    async def body(self, page: Page, *, gzip: bool, header: bytes) -> AsyncGenerator[bytes]:
        """The answer's body, from its first page on, behind the format's `header`: none where rows are appended.
        Raises InterruptedAnswer where it ends early in a format that cannot say so."""
        packer = Gzip() if gzip else None
        all_parts = self._parts(page, header)
        del page  # for as long as the export takes
        async with aclosing(all_parts) as parts:
            async for part, whole in parts:
                sent = part if packer is None else packer.add(part) + (packer.flush() if whole else b"")
                if sent:
                    yield sent
        if packer is not None:
            yield packer.end()

    async def _parts(self, page: Page, header: bytes) -> AsyncGenerator[tuple[bytes, bool]]:
        """Bytes, and whether they are the last of a page."""
        if header:
            self._segment.add(header, [])
            yield header, True
        read = len(page.records)
        while True:
            cursor = page.next_cursor
            ahead = self._read_ahead(page, read)
            # Of the page only what is still to be sent is kept: not the reading of it, nor what was sent.
            records = page.records
            del page
            try:
                for lines, last in self._rendered(records):
                    yield lines, last
                if ahead is None:
                    break
                page = await ahead
                read += len(page.records)
            except GatewayError as error:
                self._log.code = error.code
                yield self._ended(cursor, error.code), True
                return
            finally:
                await _stopped(ahead)
        end = self._ended(cursor, None if cursor is None else self._must_end(read) or DEADLINE)
        if self.manifest_id is not None:
            manifest = self._manifest(cursor, cursor is None and not self._bad_records)
            await self._state.manifests.put(self.manifest_id, self._caller, manifest)
        yield end, True

    def _must_end(self, read: int) -> str | None:
        """The reason to read no further page, if there is one."""
        if self._query.limit is not None and read >= self._query.limit:
            return LIMIT
        return DEADLINE if time.monotonic() >= self._ends_at else None if self._state.ready else STOPPING

    def _read_ahead(self, page: Page, read: int) -> asyncio.Task[Page] | None:
        """The next page, being read; None where there is none, or it is not to be read."""
        if page.next_cursor is None or self._must_end(read) is not None:
            return None
        return asyncio.create_task(self._page(page.next_cursor, read))

    async def _page(self, cursor: str, read: int = 0) -> Page:
        await require_still(self._request, self._scopes, self._start.sources)
        limit = PAGE if self._query.limit is None else min(PAGE, self._query.limit - read)
        asked = EventQuery(cursor=cursor, limit=limit, include=self._start.include - {"total"}, partial=False)
        page: Page = await self._state.feed.page(asked, self._caller)
        for status in page.sources:
            if status.status == "forbidden":
                self._forbidden[status.name] = status.reason or ""
            if status.bad_records:
                self._bad_records[status.name] += status.bad_records
            noted = self._log.sources.setdefault(status.name, {"calls": 0, "records": 0})
            noted["calls"] += status.calls
            noted["records"] += status.records
        return page

    def _rendered(self, records: list[Record]) -> Iterator[tuple[bytes, bool]]:
        """A page's lines as this caller may see them, some at a time, and whether they are its last. Takes the records
        out of the list."""
        private, raw = self._caller.may("pii:read"), "raw" in self._start.include
        records.reverse()
        given = (records.pop() for _ in range(len(records)))
        events = visible_events(given, private=private, raw=raw, pseudonyms=self._state.pseudonyms)
        while records:
            counts = Counter(record.key[1] for record in records[-_CHUNK:])
            shown = list(islice(events, counts.total()))
            lines = self.form.lines(shown)
            self._segment.add(lines, [event.id for event in shown])
            self._log.deliver(counts)
            yield lines, not records

    def _ended(self, cursor: str | None, reason: str | None) -> bytes:
        """The last line; nothing for a format that has none and is complete."""
        if cursor is None and self._bad_records:
            reason = reason or UNREADABLE
        if self.form.tells_its_end:
            line: dict[str, object] = {"cursor": cursor, "complete": reason is None}
            optional = {"reason": reason, "forbidden": self._forbidden, "bad_records": dict(self._bad_records)}
            line |= {name: value for name, value in optional.items() if value}
            if self._state.signing_key is not None:
                line["manifest"] = self._manifest(cursor, reason is None)
            return encode(line) + b"\n"
        if reason == LIMIT:
            reason = UNREADABLE if self._bad_records else None  # it has as many events as were asked for
        if reason is None or (reason == UNREADABLE and self._query.unreadable == "skip"):
            return b""
        self._log.code = self._log.code or reason
        raise InterruptedAnswer(f"the export ended early: {reason}")

    def _manifest(self, cursor: str | None, complete: bool) -> str:
        query, window = self._query, self._start.window
        sources = [
            {
                "name": name,
                "status": "forbidden" if name in self._forbidden else "ok",
                "bad_records": self._bad_records.get(name, 0),
            }
            for name in self._start.sources
        ]
        filters = self._start.query.given(without=("order", "follow"))
        return self._segment.sign(
            self._state.signing_key,
            format=self.form.name,
            window={
                "since": format_seconds(window.since),
                "until": None if window.until is None else format_seconds(window.until),
            },
            filters={name: sorted(value) if isinstance(value, tuple) else value for name, value in filters.items()},
            order=self._start.query.order,
            sources=sources,
            as_of=format_seconds(now_micros()),
            complete=complete,
            resumed_from=digest_of(query.cursor if query.after is None else f"{query.cursor} {query.after}"),
            next=digest_of(cursor),
        )


async def _stopped(task: asyncio.Task[Page] | None) -> None:
    """Cancel a page that is not needed any more, and with it the calls to providers."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # It may have failed already; asyncio logs an exception that is not retrieved.
