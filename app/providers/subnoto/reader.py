"""Reads one part of Subnoto's log in the gateway's order, by positions: see `app.paging.position_reader`."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.errors import SourceFailed
from app.domain.filters import matches_type
from app.domain.position import Position, first_time, is_beyond
from app.paging.position_reader import LogMoved, PositionReader
from app.providers.base import ENOUGH_BYTES, Batch, CallBudget, Hint, ReadRequest
from app.providers.subnoto.client import EventTypesRefused, LogQuery, PageRefused, PageTooLarge, SubnotoClient
from app.providers.subnoto.mapping import type_of
from app.providers.subnoto.observations import Facts
from app.providers.subnoto.record import number_ties
from app.providers.subnoto.time_index import Places
from app.providers.subnoto.wire import LogRow

_RESTARTS = 4


class SubnotoReader:
    """One stream of one request. `skew` in µs; `now` in µs guides the search for a time."""

    def __init__(
        self,
        client: SubnotoClient,
        query: LogQuery,
        span: ReadRequest,
        spent: CallBudget,
        *,
        source: str,
        skew: int,
        now: int,
        facts: Facts,
        places: Places,
    ) -> None:
        self._client, self._query, self._span, self._spent = client, query, span, spent
        self._source, self._skew, self._now, self._facts = source, skew, now, facts
        self._ascending = span.query.ascending
        self._size = facts.rows_at_once
        self._restarts = 0
        self._as_of: int | None = None
        self._places = places
        self._start = first_time(span.position, self._ascending)
        hint = self._usable_hint(span.hint) or places.near(query, self._start, now, ascending=self._ascending)
        marks = places.around(query, self._start, ascending=self._ascending)
        self._walk = self._new_walk(self._start, hint, marks)

    def _new_walk(
        self, start: int, hint: list[int] | None = None, marks: Sequence[tuple[int, int]] = ()
    ) -> PositionReader[LogRow]:
        return PositionReader(
            ascending=self._ascending,
            start=start,
            stop=self._span.until if self._ascending else self._span.since,
            skew=self._skew,
            page_size=self._size,
            now=self._now,
            hint=hint,
            marks=marks,
            total=self._places.total(self._query),
            trusted=self._facts.hands_out(self._size),
        )

    def _usable_hint(self, hint: Hint) -> list[int] | None:
        # A hint counts rows of the list that it was made from; with other event types, that is another list.
        return hint[1:] if hint and hint[0] == len(self._query.event_types) else None

    async def read(self, want: int, max_calls: int) -> Batch:
        ahead, enough = self._spent.calls + max_calls, self._spent.bytes + ENOUGH_BYTES
        while self._spent.bytes < enough or not self._walk.is_reading:
            # The search for the place to begin is not cut short: without it, there is nothing to show.
            left = ahead - self._spent.calls if self._walk.is_reading else max_calls
            pages = self._walk.wanted(want, max(1, min(left, self._at_once()))) if left > 0 else []
            if not pages:
                break
            await self._fetch(pages)
        taken = self._walk.take()
        bad = sum(row.bad for _, row in taken.rows)
        records = number_ties(self._source, self._query.category, taken.rows, self._keeps)
        records.sort(key=lambda record: record.key, reverse=not self._ascending)
        position = self._span.position
        return Batch(
            [record for record in records if is_beyond(record.key, position, self._ascending)],
            complete_until=taken.complete_until,
            ended=taken.ended,
            as_of=self._as_of,
            bad_records=bad,
        )

    def _at_once(self) -> int:
        """Pages to fetch in one round, judged by the sizes of those before."""
        page = self._spent.bytes // max(1, self._spent.calls) or self._facts.page_bytes
        return max(1, ENOUGH_BYTES // page)

    def _keeps(self, event_type: str) -> bool:
        query = self._span.query
        return not (query.type or query.provider_type) or matches_type(query, type_of(event_type), event_type)

    async def _fetch(self, pages: list[int]) -> None:
        try:
            found = await self._client.list_logs(self._query, pages, self._size, self._spent)
            if found.as_of is not None:
                self._as_of = found.as_of if self._as_of is None else min(self._as_of, found.as_of)
            self._facts.learn(self._query.category, [page for _, page in found.pages])
            self._walk.add([(number, page.rows, page.total) for number, page in found.pages])
            for number, page in found.pages:
                offset = (number - 1) * self._size
                self._facts.note_lag(self._places.learn(self._query, offset, page.rows, page.total, self._now))
        except LogMoved as moved:
            if moved.page_size < self._size:
                self._facts.shrink_pages(moved.page_size)
                self._size = self._facts.rows_at_once
            else:
                self._size = moved.page_size
            self._restart()
        except PageTooLarge as error:
            self._size = self._facts.too_large(self._size, error.bytes)
            self._walk = self._new_walk(self._behind())
        except PageRefused:
            if self._restarts:
                raise
            self._places.forget(self._query)
            self._restart()
        except EventTypesRefused:
            self._facts.refuse(self._query.event_types)
            self._query = LogQuery(self._query.category, self._query.envelope, self._query.workspace)
            self._restart()

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise SourceFailed("the provider's log contradicts itself: its pages do not fit its totals")
        self._walk = self._new_walk(self._behind())

    def _behind(self) -> int:
        """From when a new walk has to read."""
        complete_until = self._walk.complete_until
        return complete_until if self._ascending else complete_until - 1

    async def rank(self) -> int:
        """How many records of the stream are older than `span.since`, unreadable ones too: O(log n) calls. Ascending
        only. Of all types where, then, it no longer `filters_natively`."""
        while pages := self._walk.wanted(1, 16):
            await self._fetch(pages)
        return self._walk.rank()

    @property
    def as_of(self) -> int | None:
        """The provider's now at the earliest answer, in µs."""
        return self._as_of

    @property
    def filters_natively(self) -> bool:
        """Whether the provider applies the query's type filters itself, as far as is known: no longer, once it has
        turned them down."""
        return bool(self._query.event_types)

    def hint(self, position: Position) -> Hint:
        found = self._walk.hint_at(first_time(position, self._ascending))
        return None if found is None else [len(self._query.event_types), *found]
