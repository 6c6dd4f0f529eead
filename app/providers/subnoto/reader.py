"""Read one part of Subnoto's log in the gateway's order, by positions (see `app.paging.position_reader`)."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from app.domain.position import Position, first_time
from app.domain.query import matches_type
from app.paging.position_reader import Rows
from app.providers.base import ENOUGH_BYTES, Batch, Hint
from app.providers.subnoto.gaps import LOST_TIES, MISPLACED, UNORDERED, UNSORTED, skew_reason
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.log_walk import LogWalk
from app.providers.subnoto.mapping import type_of
from app.providers.subnoto.record import SubnotoRecord, number_ties
from app.providers.subnoto.ties import restore_ranks, ties_at
from app.providers.subnoto.time_order import TimeOrder
from app.providers.subnoto.wire import LogRow

#: Numbers of a hint: event types, skew, two of `ties_at`, two or four of `PositionReader`. Before the latter, by the
#: length: one of `TimeOrder` for the edge where the walk began, and its time if that is within the window.
_HINTS = {6: 0, 7: 1, 8: 0, 9: 1, 10: 2}


class SubnotoReader:
    """One stream of one request."""

    def __init__(self, request: LogRequest) -> None:
        self._request, self._span, self._spent = request, request.span, request.spent
        self._ascending = request.span.query.ascending
        span, query = request.span, request.span.query
        #: Judges event types, if any are filtered.
        self._keeps = (
            (lambda sent: matches_type(query, type_of(sent), sent)) if query.type or query.provider_type else None
        )
        self._misses = 0  # records at least that are elsewhere in the log
        # A resumed export begins at a bare time, too, but within the window.
        self._is_first = span.hint is None and len(span.position) == 1 and span.until - span.since > 1
        self._lost_ties = False  # whether it is unknown which records of the cursor's microsecond were returned
        self._numbered: list[SubnotoRecord] = []
        hint = span.hint or []
        # Without its number of event types; none if it counts rows of another list.
        is_usable = len(hint) in _HINTS and hint[0] == len(request.query.event_types)
        hint = [max(0, number) for number in hint[1:]] if is_usable else []
        self._tied, self._begun = hint[1:3], hint[3 : 3 + _HINTS[len(hint) + 1]] if hint else []
        self._is_unsorted = False  # whether the provider does not show its order of time
        known_skew = hint[0] if hint else None
        self.walk = LogWalk(request, known_skew=known_skew, place=hint[3 + len(self._begun) :])

    async def read(self, want: int, max_calls: int) -> Batch:
        ahead, enough = self._spent.calls + max_calls, self._spent.bytes + ENOUGH_BYTES
        while True:
            # The search for the start is not shortened, because no records can be returned without it.
            left = 0 if self._spent.bytes >= enough else ahead - self._spent.calls
            if not await self.walk.advance(want, left if self.walk.reader.begin is not None else max_calls):
                break
        self.walk.skew = self.walk.reader.skew
        taken, span = self.walk.reader.take(), self._span
        self._misses = max(self._misses, await self._count_missing(taken))
        unread = {number for number, row in taken.rows if row.bad}
        unread |= {
            at
            for at, time in self.walk.reader.log.order.misplaced.items()
            if self._span.since <= time < self._span.until
        }
        name = f"{self.walk.calls.query.category} {self.walk.calls.query.envelope}"
        bad = Counter({name: self._misses}) + Counter(f"{name} {number}" for number in unread)
        records = number_ties(self._request.source, self.walk.calls.query.category, taken.rows, self._keeps)
        position = span.position
        self._lost_ties |= restore_ranks(records, position, self._tied, ascending=self._ascending)
        self._numbered += records
        records.sort(key=attrgetter("key"), reverse=not self._ascending)
        gaps = self.walk.gaps()
        gaps |= {LOST_TIES} if self._lost_ties else set()
        gaps |= {MISPLACED} if self._misses else set()
        is_unproven = bool(gaps)
        gaps |= {UNSORTED} if self._is_unsorted else set()
        seen = 0 if gaps & {UNORDERED, MISPLACED} else self.walk.reader.skew
        return Batch(
            [one for one in records if (one.key > position if self._ascending else one.key < position)],
            complete_until=taken.complete_until,
            ended=taken.ended,
            bad_records=bad,
            reason="; ".join(filter(None, [*sorted(gaps), skew_reason(seen, self._request.skew)])) or None,
            any_readable=self.walk.calls.any_readable,
            unproven=is_unproven,
            assumes=self._is_unsorted,
        )

    async def _count_missing(self, taken: Rows[LogRow]) -> int:
        """Return how many records at least the search missed on a walk's first page, or before the end of a walk of
        several: see `TimeOrder`. Makes at most two calls if the page ends the window, else at most one; more if records
        are missing."""
        order, span = self._time_order(), self._span
        begin, end = (span.since, span.until) if self._ascending else (span.until, span.since)
        first = span.position[0] if self._is_first else self._begun[-1] if len(self._begun) > 1 else begin
        last = end if taken.ended else taken.complete_until
        low, high = sorted((first, last))
        misplaced = self.walk.reader.log.order.misplaced
        misses, settled = 0, self._request.now - self.walk.skew
        if order is not None and self._is_first and (taken.ended or not self._numbered):
            misses = await order.missing(low, high, misplaced, 1 + taken.ended, settled)
            begun = [order.begin(first, ascending=self._ascending), *([first] if first != begin else [])]
            self._begun = [] if taken.ended else begun
        elif order is not None and taken.ended and self._begun and not self.walk.moves:
            misses = await order.lacking(self._begun[0], first, last, settled)
            misses -= len([time for time in misplaced.values() if low <= time < high])
            self._begun = []
        self._is_unsorted |= order is not None and order.is_lacking
        return misses if misses > 0 and await self.walk.is_unmoved() else 0

    def _time_order(self) -> TimeOrder | None:
        if (read := self.walk.reader.consecutive()) is None or self.walk.chain is not None:
            return None
        return TimeOrder(self._request, self.walk.calls.query, self.walk.size, read)

    async def rank(self, first: SubnotoReader | None = None, *, is_again: bool = False) -> int:
        """Return the number of the stream's records before `span.since`, including unreadable ones, in O(log n) calls.
        Does not count those that have arrived since `first` read, and are before its `span.since`. Ascending only.
        Counts all types if it no longer `filters_natively`. `is_again`: reads the page before the last one, too."""
        while await self.walk.advance(1, 16, confirm=False) or (is_again and await self.walk.read_before_end()):
            pass
        read, end = self.walk.reader.consecutive(), 0 if first is None else first.walk.reader.ending.end or 0
        assert read is not None
        return read.rank(self._span.since) if first is None else read.rank(self._span.since, end, first._span.since)

    def lacks_rows(self, rank: int) -> bool:
        """Whether `rank` may lack rows: the log moved, or they are before `span.since` but after this place in the log,
        or counted but not listed; or the provider does not show that, or that others are elsewhere in the log."""
        walk = self.walk
        strays = self._request.index.strays(walk.calls.query, 0, self._span.since)
        # Misplaced rows were counted at their neighbours' times.
        gaps = walk.gaps() or walk.reader.log.order.misplaced
        return walk.moves > 0 or self._is_unsorted or bool(gaps) or any(number >= rank for number in strays)

    async def is_confirmed(self) -> bool | None:
        """Whether as many records are before `span.since` in the provider's order of time, which one call shows; None
        if the provider has no such order, or the log moved."""
        if (order := self._time_order()) is None:
            return None
        agreed = await order.agrees(self._span.since)
        self._is_unsorted |= order.is_lacking
        return agreed

    @property
    def filters_natively(self) -> bool:
        """Whether the provider applies the query's type filters, which it may have refused."""
        return bool(self.walk.calls.query.event_types)

    def hint(self, position: Position) -> Hint:
        found = self.walk.reader.hint_at(first_time(position, self._ascending)) or self.walk.near
        # Numbers of rows are compared only if none was removed during the walk.
        ties = ties_at(position, self._numbered, ascending=self._ascending)
        begun = [] if self.walk.moves else self._begun
        return (
            None if found is None else [len(self.walk.calls.query.event_types), self.walk.skew, *ties, *begun, *found]
        )
