"""An export under way: pages of the feed, one read ahead of the one that is being sent, as lines of a format.

Two pages are held at the most, however long the export is: no page is asked for before the last but one is sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Any

import msgspec

from app.api.exports import Format
from app.api.middleware import InterruptedAnswer
from app.api.rendering import encode
from app.api.request_log import RequestLog
from app.api.streaming import Gzip
from app.domain.caller import Caller
from app.domain.errors import GatewayError, ParameterError
from app.domain.event import Record
from app.domain.query import EventQuery
from app.domain.times import format_seconds, now_micros
from app.evidence.manifest import Segment, digest_of
from app.evidence.signing import SigningKey
from app.feed import Feed, Page, WalkStart
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import visible_events

PAGE = 2000  #: events
_CHUNK = 100  #: events rendered at a time: other requests have their turn in between

#: Reasons of an export that ended early, beside the codes of problems.
DEADLINE, STOPPING, LIMIT = "deadline", "stopping", "limit"

#: The end was reached, and records on the way could not be understood: `bad_records` counts them.
UNREADABLE = "unreadable_records"


class Export(msgspec.Struct, frozen=True):
    """What is exported to whom. `recheck` is called before each page and raises CallerError once the caller may not
    read on; `must_end` gives the reason to read no further page, if there is one."""

    feed: Feed
    caller: Caller
    start: WalkStart
    form: Format
    log: RequestLog
    recheck: Callable[[], Awaitable[None]]
    must_end: Callable[[], str | None]
    pseudonyms: Pseudonyms | None = None
    #: Events in this answer, at most; None for all. The last line hands out the cursor of the rest.
    limit: int | None = None
    #: Whether a format that cannot state its end leaves out records that cannot be read.
    skips_unreadable: bool = False
    signing_key: SigningKey | None = None
    #: What the manifest states of the request: `window`, `filters`, `order` and `resumed_from`.
    described: dict[str, Any] = msgspec.field(default_factory=dict)
    segment: Segment = msgspec.field(default_factory=Segment)
    #: Takes the manifest of a whole export in a format that has no place for it.
    deposit: Callable[[str], Awaitable[None]] | None = None
    #: By source, what its provider does not let us read.
    forbidden: dict[str, str] = msgspec.field(default_factory=dict)
    #: By source, how many records could not be read.
    bad_records: Counter[str] = msgspec.field(default_factory=Counter)

    async def first(self, after: str | None = None, at: int | None = None) -> Page:
        """The first page; with `after`, an event's id, what is left of it behind that event, which happened `at` (µs)
        and is among the first. Raises CallerError, SourcesFailed."""
        page = await self._page(self.start.cursor)
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
            self.segment.add(header, [])
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
                self.log.code = error.code
                yield self._ended(cursor, error.code), True
                return
            finally:
                await _stopped(ahead)
        end = self._ended(cursor, None if cursor is None else self._must_end(read) or DEADLINE)
        if self.deposit is not None and self.signing_key is not None:
            await self.deposit(self._manifest(self.signing_key, cursor, cursor is None and not self.bad_records))
        yield end, True

    def _must_end(self, read: int) -> str | None:
        return LIMIT if self.limit is not None and read >= self.limit else self.must_end()

    def _read_ahead(self, page: Page, read: int) -> asyncio.Task[Page] | None:
        """The next page, being read; None where there is none, or it is not to be read."""
        if page.next_cursor is None or self._must_end(read) is not None:
            return None
        return asyncio.create_task(self._page(page.next_cursor, read))

    async def _page(self, cursor: str, read: int = 0) -> Page:
        await self.recheck()
        limit = PAGE if self.limit is None else min(PAGE, self.limit - read)
        asked = EventQuery(cursor=cursor, limit=limit, include=self.start.include - {"total"}, partial=False)
        page = await self.feed.page(asked, self.caller)
        for status in page.sources:
            if status.status == "forbidden":
                self.forbidden[status.name] = status.reason or ""
            if status.bad_records:
                self.bad_records[status.name] += status.bad_records
            noted = self.log.sources.setdefault(status.name, {"calls": 0, "records": 0})
            noted["calls"] += status.calls
            noted["records"] += status.records
        return page

    def _rendered(self, records: list[Record]) -> Iterator[tuple[bytes, bool]]:
        """A page's lines as this caller may see them, some at a time, and whether they are its last. Takes the records
        out of the list."""
        private, raw = self.caller.may("pii:read"), "raw" in self.start.include
        records.reverse()
        given = (records.pop() for _ in range(len(records)))
        events = visible_events(given, private=private, raw=raw, pseudonyms=self.pseudonyms)
        while records:
            counts = Counter(record.key[1] for record in records[-_CHUNK:])
            shown = list(islice(events, counts.total()))
            lines = self.form.lines(shown)
            self.segment.add(lines, [event.id for event in shown])
            self.log.deliver(counts)
            yield lines, not records

    def _ended(self, cursor: str | None, reason: str | None) -> bytes:
        """The last line; nothing for a format that has none and is complete."""
        if cursor is None and self.bad_records:
            reason = reason or UNREADABLE
        if self.form.tells_its_end:
            line: dict[str, object] = {"cursor": cursor, "complete": reason is None}
            optional = {"reason": reason, "forbidden": self.forbidden, "bad_records": dict(self.bad_records)}
            line |= {name: value for name, value in optional.items() if value}
            if self.signing_key is not None:
                line["manifest"] = self._manifest(self.signing_key, cursor, reason is None)
            return encode(line) + b"\n"
        if reason == LIMIT:
            reason = UNREADABLE if self.bad_records else None  # it has as many events as were asked for
        if reason is None or (reason == UNREADABLE and self.skips_unreadable):
            return b""
        self.log.code = self.log.code or reason
        raise InterruptedAnswer(f"the export ended early: {reason}")

    def _manifest(self, key: SigningKey, cursor: str | None, complete: bool) -> str:
        sources = [
            {
                "name": name,
                "status": "forbidden" if name in self.forbidden else "ok",
                "bad_records": self.bad_records.get(name, 0),
            }
            for name in self.start.sources
        ]
        return self.segment.sign(
            key,
            format=self.form.name,
            sources=sources,
            as_of=format_seconds(now_micros()),
            complete=complete,
            next=digest_of(cursor),
            **self.described,
        )


async def _stopped(task: asyncio.Task[Page] | None) -> None:
    """Cancel a page that is not needed any more, and with it the calls to providers."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # It may have failed already; asyncio logs an exception that is not retrieved.
