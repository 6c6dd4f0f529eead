"""A running export: pages of the feed as lines of a format, with one page read ahead.

At most two pages are in memory, for an export of any length.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

from cachetools import TTLCache
from fastapi import Request

from app.api.auth import check_again
from app.api.exports import FORMATS
from app.api.middleware import InterruptedAnswer
from app.api.rendering import encode
from app.api.request_log import request_log
from app.domain.caller import Caller
from app.domain.errors import GatewayError, ParameterError
from app.domain.event import Record
from app.domain.query import EventQuery, ExportQuery
from app.domain.times import format_seconds, now_micros
from app.evidence import Segment, digest_of
from app.feed.model import Page, gaps_of
from app.feed.planner import WalkStart
from app.privacy.redaction import Redactor
from app.providers.shared import SharedState

MANIFEST_PATH = "/events/export/manifests/"
PAGE = 2000  #: events
_MOST_KNOWN = 10_000  #: unreadable records of a source, so that the memory is constant
_MOST_NOTES = 16  #: reasons of a source
_CHUNK = 100  #: events rendered at a time, so that other requests are served in between

_HOUR = 3600
_MANIFESTS = 1000  #: in this process, and in the folder of all workers

#: Reasons of an early end, in addition to the codes of problems.
DEADLINE, STOPPING, LIMIT = "deadline", "stopping", "limit"


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
        self._segment = Segment()
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
        if header:
            self._segment.add(header, [])
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
                for lines in self._rendered(records):
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
        await check_again(self._request, self._scopes, self._start.active)
        limit = PAGE if self._query.limit is None else min(PAGE, self._query.limit - read)
        asked = EventQuery(cursor=cursor, limit=limit, include=self._start.include - {"total"}, partial=False)
        may_exceed = self._query.limit is None
        page: Page = await self._state.feed.page(asked, self._caller, may_exceed=may_exceed, is_patient=True)
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

    def _rendered(self, records: list[Record]) -> Iterator[bytes]:
        """Yield a page's masked lines in parts. Removes the records from the list."""
        private, raw = "pii:read" in self._caller.scopes, "raw" in self._start.include
        redactor = Redactor(private=private, raw=raw, pseudonyms=self._state.pseudonyms)
        records.reverse()
        while records:
            some = records[: -_CHUNK - 1 : -1]
            del records[-_CHUNK:]
            counts = Counter(record.key[1] for record in some)
            shown = redactor.events(some)
            lines = self.form.lines(shown)
            self._segment.add(lines, [event.id for event in shown])
            self._log.deliver(counts)
            yield lines

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
        for name in start.active:
            status, bad = "forbidden" if name in self._forbidden else "ok", self._bad_records.get(name, Counter())
            source = {"name": name, "status": status, "bad_records": bad.total()}
            sources.append(source | ({"reason": "; ".join(self._notes[name])} if name in self._notes else {}))
        filters = start.query.given(without=("order", "follow"))
        return self._segment.sign(
            self._state.signing_key,
            format=self.form.name,
            window=start.window.shown(),
            filters={name: sorted(value) if isinstance(value, tuple) else value for name, value in filters.items()},
            order=start.query.order,
            sources=sources,
            as_of=format_seconds(now_micros()),
            complete=complete,
            end=None if end is None else hashlib.sha256(end).hexdigest(),
            resumed_from=digest_of(query.cursor if query.after is None else f"{query.cursor} {query.after}"),
            next=digest_of(cursor),
        )


class Manifests:
    """Manifests of exports in formats without a place for one, for an hour after the export; with `shared`, in all
    replicas, and with `folder` in all workers of this machine. uvicorn sends no HTTP trailer, and many clients drop
    them: a response header contains the path of the manifest, a random id that only the same caller can use."""

    def __init__(self, shared: SharedState | None, folder: Path | None) -> None:
        self._shared, self._folder = shared, folder
        self._kept: TTLCache[tuple[str, str], str] = TTLCache(_MANIFESTS, _HOUR)

    async def put(self, manifest_id: str, caller: Caller, manifest: str) -> None:
        self._kept[manifest_id, caller.name] = manifest
        if self._shared is not None:
            await self._shared.put(self._shared.key("manifest", manifest_id, caller.name), manifest.encode(), _HOUR)
        if self._folder is not None:
            await asyncio.to_thread(_write, self._folder, _file_name(manifest_id, caller), manifest)

    async def get(self, manifest_id: str, caller: Caller) -> str | None:
        known = self._kept.get((manifest_id, caller.name))
        if known is None and self._folder is not None:
            known = await asyncio.to_thread(_read, self._folder / _file_name(manifest_id, caller))
        if known is None and self._shared is not None:
            held = await self._shared.get(self._shared.key("manifest", manifest_id, caller.name))
            known = None if held is None else held.value.decode()
        return known


def _file_name(manifest_id: str, caller: Caller) -> str:
    """Return a digest, because the id in a request may be a path."""
    return hashlib.blake2b(json.dumps([manifest_id, caller.name]).encode(), digest_size=16).hexdigest()


def _write(folder: Path, name: str, manifest: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError):  # removed by another worker
        for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)[: 1 - _MANIFESTS]:
            old.unlink()
    (folder / name).write_text(manifest, encoding="utf-8")


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8") if file.stat().st_mtime > time.time() - _HOUR else None
    except FileNotFoundError:
        return None
