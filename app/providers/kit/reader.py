"""Read the pages of a provider on the kit in the gateway's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.position import Position, first_time, is_beyond
from app.domain.query import Query
from app.providers.base import Batch, CallBudget, Hint, ReadRequest, Record
from app.providers.kit.record import TimeRangeRecord

if TYPE_CHECKING:
    from app.providers.kit.source import TimeRangeSource


class PageRequest(msgspec.Struct, frozen=True):
    """Selection of one call: [`since`, `until`) in µs, in time order. `token`: `next` of the previous page, None at
    first. `envelope`: the only envelope to select, if `native` has `envelope_id`. `query` has the caller's filters."""

    since: int
    until: int
    ascending: bool
    token: Any
    envelope: str | None
    query: Query
    budget: CallBudget


class FetchedPage(msgspec.Struct, frozen=True):
    """One response. `items`: its records as sent. `next`: the token of the following page, None after the last one.
    `total`: number of records on all pages; None if the provider does not count."""

    items: Sequence[Any]
    next: Any = None
    total: int | None = None


class TimeRangeReader:
    """Read pages, and return records of whole microseconds only, so that a page's edge never splits a tie."""

    def __init__(self, source: TimeRangeSource, span: ReadRequest, spent: CallBudget, envelope: str | None) -> None:
        self._source, self._span, self._spent, self._envelope = source, span, spent, envelope
        self._ascending = span.query.ascending
        first = first_time(span.position, self._ascending)
        self._since = max(span.since, first) if self._ascending else span.since
        self._until = span.until if self._ascending else min(span.until, first + 1)
        self._ended = self._since >= self._until
        self._edge = self._since if self._ascending else self._until - 1
        self._token: Any = None
        self._held: list[TimeRangeRecord] = []  #: of the microsecond `_edge`, which the next page may continue
        self._seen: set[str] = set()

    async def read(self, want: int, max_calls: int) -> Batch:
        bad, calls, records, any_readable = Counter[str](), 0, list[TimeRangeRecord](), False
        # A page without readable records ends the batch; on a walk's first page it is a failure.
        while not (self._ended or len(records) >= want or bad.total() > len(records)) and (
            calls < max_calls or not records
        ):
            window = self._since, self._until, self._ascending
            request = PageRequest(*window, self._token, self._envelope, self._span.query, self._spent)
            page = await self._source.fetch(request)
            calls += 1
            self._spent.records += len(page.items)
            self._token, self._ended = page.next, page.next is None or not page.items
            found, unreadable = self._source.records(page.items, self._ascending)
            bad += unreadable
            if found:
                any_readable = True
                self._edge = found[-1].key[0]
            # A record may have been added, so that the next page repeats one at its start.
            fresh = self._held + [one for one in found if one.id not in self._seen and self._selects(one)]
            self._seen.update(one.id for one in found)
            self._held = [] if self._ended else [one for one in fresh if one.key[0] == self._edge]
            records += fresh if self._ended else [one for one in fresh if one.key[0] != self._edge]
        records.sort(key=lambda record: record.key, reverse=not self._ascending)
        ahead: list[Record] = [one for one in records if is_beyond(one.key, self._span.position, self._ascending)]
        complete_until = self._edge if self._ascending else self._edge + 1
        return Batch(ahead, complete_until, self._ended, bad, any_readable=any_readable)

    def _selects(self, record: TimeRangeRecord) -> bool:
        wanted = self._span.query.envelope_id
        return self._since <= record.key[0] < self._until and (not wanted or record.key[3] in wanted)

    def hint(self, position: Position) -> Hint:
        return None
