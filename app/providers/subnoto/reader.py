"""Read one part of Subnoto's log in the gateway's order, by positions (see `app.paging.position_reader`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.domain.errors import SourceFailed
from app.domain.filters import matches_type
from app.domain.position import Position, first_time, is_beyond
from app.paging.chain import Chain
from app.paging.position_reader import LogMoved, OddPages, PositionReader, Response, Rows
from app.providers.base import ENOUGH_BYTES, Batch, CallBudget, Hint, ReadRequest
from app.providers.subnoto.client import PAGE_SIZE, EventTypesRefused, LogQuery, PageTooLarge, SubnotoClient
from app.providers.subnoto.gaps import gap_reason, skew_reason
from app.providers.subnoto.mapping import type_of
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.record import SubnotoRecord, number_ties
from app.providers.subnoto.ties import restore_ranks, ties_at
from app.providers.subnoto.time_index import TimeIndex
from app.providers.subnoto.time_order import TimeOrder
from app.providers.subnoto.wire import LogPage, LogRow

#: Numbers of a hint: event types, skew, two of `ties_at`, one or none of `TimeOrder`, two or four of `PositionReader`.
_HINTS = (6, 7, 8, 9)
_RESTARTS, _MOVES = 4, 16  #: restarts of a walk, and moves of the log, without progress

#: Kinds of optional calls, as reasons: a page after the claimed end, and a page read again.
_BEHIND = "the provider does not show whether its log ends where it claims: newer records may be missing"
_AGAIN = "the provider does not show whether records were removed meanwhile: others may be missing"


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
        observations: AccountObservations,
        index: TimeIndex,
    ) -> None:
        self._client, self._query, self._span, self._spent = client, query, span, spent
        self._source, self._now, self._observations, self._index = source, now, observations, index
        self._ascending = span.query.ascending
        self._size = observations.rows_at_once
        self._restarts = self._moves = self._chained = 0  # `_chained`: rows of the last chain
        self._misses = 0  # records of the first page at least that are elsewhere in the log
        self._any_readable = self._exceeds = False  # `_exceeds`: whether lists have exceeded totals
        # A walk that was cut off begins at a bare time, too, but within the window.
        edge = span.since if self._ascending else span.until
        self._is_first = span.hint is None and span.position == (edge,) and span.until - span.since > 1
        self._lost_ties = False  # whether it is unknown which records of the cursor's microsecond were returned
        self._chain: Chain[LogRow] | None = None  # during moves of the log
        self._doubts = set[str]()  # kinds of optional calls that failed
        self._numbered: list[SubnotoRecord] = []
        self._near: list[int] | None = None  # the hint of a walk that continues another
        self._setting, hint = skew, self._usable_hint(span.hint)
        self._tied, self._begun = hint[1:3], hint[3:4] if len(hint) % 2 == 0 else []
        place = hint[3 + len(self._begun) :]
        self._skew = max(skew, hint[0] if hint else 0)
        start = first_time(span.position, self._ascending)
        # A cursor contains the skew of these rows.
        self._strays = [] if hint else index.strays(query, span.since, span.until)
        marks = index.around(query, start, self._skew, ascending=self._ascending)
        near = place or index.near(query, start, now, self._skew, ascending=self._ascending)
        # A page that a hint leads to may be after the end, where the hint's own page is not.
        self._retries = [None, near[:2]] if near else [None]
        self._walk = self._new_walk(start, near, marks)

    def _new_walk(
        self, start: int, hint: list[int] | None = None, marks: Sequence[tuple[int, int]] = ()
    ) -> PositionReader[LogRow]:
        strays = {at // self._size + 1 for number in self._strays for at in (max(0, number - 1), number)}
        walk: PositionReader[LogRow] = PositionReader(
            ascending=self._ascending, start=start, stop=self._span.until if self._ascending else self._span.since,
            skew=self._skew, page_size=self._size, now=self._now, hint=hint, marks=marks,
            total=self._index.total(self._query), longest=self._observations.longest, glances=sorted(strays),
        )  # fmt: skip
        if self._exceeds:
            walk.ending.doubt()
        return walk

    def _usable_hint(self, hint: Hint) -> list[int]:
        # A hint counts rows of its own list; other event types are another list.
        if hint is None or len(hint) not in _HINTS or hint[0] != len(self._query.event_types):
            return []
        return [max(0, number) for number in hint[1:]]

    async def read(self, want: int, max_calls: int) -> Batch:
        ahead, enough = self._spent.calls + max_calls, self._spent.bytes + ENOUGH_BYTES
        while True:
            # The search for the start is not shortened, because no records can be returned without it.
            left = 0 if self._spent.bytes >= enough else ahead - self._spent.calls
            if not await self._advance(want, left if self._walk.is_reading else max_calls):
                break
        self._skew, taken = self._walk.skew, self._walk.take()
        self._misses = max(self._misses, await self._count_missing(taken))
        unread = {number for number, row in taken.rows if row.bad}
        unread |= {at for at, time in self._walk.misplaced.items() if self._span.since <= time < self._span.until}
        name = f"{self._query.category} {self._query.envelope}"
        bad = Counter({name: self._misses}) + Counter(f"{name} {number}" for number in unread)
        records = number_ties(self._source, self._query.category, taken.rows, self._keeps)
        position, begins = self._span.position, any(not number for number, _ in taken.rows)
        self._lost_ties |= restore_ranks(records, position, self._tied, begins=begins)
        self._numbered += records
        records.sort(key=lambda record: record.key, reverse=not self._ascending)
        gap = gap_reason(self._walk, misses=self._misses, lost_ties=self._lost_ties)
        reasons = [gap or skew_reason(self._walk, self._setting), *sorted(self._doubts)]
        return Batch(
            [record for record in records if is_beyond(record.key, position, self._ascending)],
            complete_until=taken.complete_until,
            ended=taken.ended,
            bad_records=bad,
            reason="; ".join(filter(None, reasons)) or None,
            any_readable=self._any_readable,
            unproven=gap is not None or bool(self._doubts),
        )

    async def _count_missing(self, taken: Rows[LogRow]) -> int:
        """Return how many records at least the search missed on a walk's first page, or before the end of a walk of
        several: see `TimeOrder`. Makes at most two calls if the page ends the window, else at most one; more if records
        are missing."""
        order, span, until = self._time_order(), self._span, taken.complete_until
        low, high = (span.since, until) if self._ascending else (until, span.until)
        low, high = (span.since, span.until) if taken.ended else (low, high)
        first, last = (low, high) if self._ascending else (high, low)
        misplaced = [time for time in self._walk.misplaced.values() if low <= time < high]
        misses, settled = 0, self._now - self._skew
        if order is not None and self._is_first and (taken.ended or not self._numbered):
            misses = await order.missing(low, high, misplaced, 1 + taken.ended, settled)
            self._begun = [] if taken.ended else order.begin(first, ascending=self._ascending)
        elif order is not None and taken.ended and self._begun and not self._moves:
            misses = await order.lacking(self._begun.pop(), first, last, settled) - len(misplaced)
        return misses if misses > 0 and await self.is_unmoved() else 0

    def _time_order(self) -> TimeOrder | None:
        if (read := self._walk.consecutive()) is None or self._chain is not None:
            return None
        return TimeOrder(self._client, self._query, self._size, read, self._spent, self._observations)

    def _at_once(self) -> int:
        """Return the number of pages to fetch in one round, from earlier sizes."""
        return max(1, ENOUGH_BYTES // (self._spent.bytes // max(1, self._spent.calls) or self._observations.page_bytes))

    def _keeps(self, event_type: str) -> bool:
        query = self._span.query
        return not (query.type or query.provider_type) or matches_type(query, type_of(event_type), event_type)

    def _are_behind(self, pages: list[int]) -> bool:
        """Whether the pages are after the end that totals and lists claim, to prove it."""
        end = self._walk.ending.end
        return self._chain is None and end is not None and (min(pages) - 1) * self._size >= end

    async def _list(self, pages: list[int], size: int, kind: str | None) -> list[tuple[int, LogPage]] | None:
        """Return pages, or None if optional calls of this `kind` fail, which is a reason. Raises as `list_logs`."""
        if kind is None:
            return await self._client.list_logs(self._query, pages, size, self._spent)

        async def attempt(spent: CallBudget) -> list[tuple[int, LogPage]] | PageTooLarge:
            try:
                return await self._client.list_logs(self._query, pages, size, spent)
            except PageTooLarge as error:
                return error
            except EventTypesRefused:
                raise SourceFailed("the provider refuses event types that it accepted") from None

        found = await self._observations.optional.attempt(kind, self._spent, attempt)
        if isinstance(found, PageTooLarge):
            raise found
        if found is None:
            self._doubts.add(kind)
        return found

    async def _fetch(self, pages: list[int], *, again: bool = False) -> None:
        size = self._size if self._chain is None else self._chain.size
        kind = _AGAIN if again else _BEHIND if self._are_behind(pages) else None
        try:
            found = await self._list(pages, size, kind)
        except PageTooLarge as large:
            self._size = self._observations.too_large(self._size, large.bytes)
            self._walk, self._chain = self._new_walk(self._goes_on_at()), None
            return
        except EventTypesRefused as refused:
            self._observations.refuse(self._query.event_types, is_known=refused.is_known)
            self._query = LogQuery(self._query.category, self._query.envelope, self._query.workspace)
            self._restart()
            return
        if found is None and again:
            return
        if found is None:
            return self._take([Response(page, [], None, None, None) for page in pages])
        read = [(number, page) for number, page in found if page.refusal is None]
        total = max((page.total for _, page in read), default=-1)
        for number, page in found:
            if page.refusal is not None and self._chain is None and not self._walk.may_lack(number, total):
                if not self._retries and again:
                    self._doubts.add(_AGAIN)
                    return
                if not self._retries:
                    raise page.refusal
                self._index.forget(self._query)
                self._restart(self._retries.pop())
                return
        responses = [
            Response(number, page.rows, page.total if page.refusal is None else None, page.has_next, page.number)
            for number, page in found
        ]
        self._observations.learn(self._query.category, [page for _, page in read])
        for number, page in read:
            self._any_readable = self._any_readable or not all(row.bad for row in page.rows)
            offset = (number - 1) * size
            is_repeated = page.number is not None and page.number < number
            self._exceeds |= bool(page.rows) and not is_repeated and offset + len(page.rows) > page.total
            late = self._index.learn(self._query, offset, page.rows, page.total, self._now, self._setting)
            self._observations.note_lag(late)
        self._take(responses, again=again)

    def _take(self, responses: list[Response[LogRow]], *, again: bool = False) -> None:
        """Pass responses to the walk; begin another if they are inconsistent."""
        try:
            if self._chain is not None:
                self._chain.add(responses[0])
            elif again:
                self._walk.steadiness.confirm(responses[0])
            else:
                self._walk.add(responses)
        except OddPages as odd:
            self._resize(odd.page_size)
        except LogMoved:
            self._go_on()

    def _resize(self, rows: int) -> None:
        if rows < self._size:
            self._observations.shrink_pages(rows)
            self._size = self._observations.rows_at_once
        else:
            self._size = min(rows, PAGE_SIZE)
        self._restart()

    def _restart(self, hint: list[int] | None = None) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise SourceFailed("the provider's log contradicts itself: its pages do not fit its totals")
        self._walk, self._chain = self._new_walk(self._goes_on_at(), hint), None

    def _go_on(self) -> None:
        """The rows' numbers have changed: continue from about the same place."""
        self._moves += 1
        if self._moves > _MOVES:
            raise SourceFailed("the provider removes records faster than they can be read")
        start = self._goes_on_at()
        chain = self._walk.chain(start) if self._moves > 1 and self._chain is None else None
        # Rows move towards lower numbers, so begin a little before their last place.
        found = self._walk.hint_at(start)
        self._near = self._near if found is None else [max(0, found[0] - self._size // 4), found[1]]
        self._follow(chain)

    def _follow(self, chain: Chain[LogRow] | None) -> None:
        """Continue with another walk, over a chain if there is one."""
        self._walk, self._chain = self._new_walk(self._goes_on_at(), self._near), chain

    async def _link(self, chain: Chain[LogRow], want: int, most: int) -> bool:
        """Advance a walk over a chain: read its next page, or find the others that are needed."""
        page = chain.page
        if page is not None:
            await self._fetch([page])
            if self._chain is chain and chain.page is None:
                self._walk.adopt(chain)
            return True
        pages = self._walk.wanted(want, most) if most > 0 else []
        if not pages:
            self._moves = 1
            return False
        self._skew = self._walk.skew  # rows of different states of the log would have a larger one
        self._moves, self._chained = self._moves + (len(chain.rows) <= self._chained), len(chain.rows)
        if (reaching := chain.reaching(pages)) is None or self._moves > _MOVES:
            self._go_on()
        else:
            self._follow(reaching)
        return True

    def _goes_on_at(self) -> int:
        complete_until = self._walk.complete_until
        return complete_until if self._ascending else complete_until - 1

    async def _advance(self, want: int, most: int, *, confirm: bool = True) -> bool:
        """Make one round of calls; returns whether one was needed."""
        if self._chain is not None:
            return await self._link(self._chain, want, most)
        try:
            if pages := self._walk.wanted(want, min(most, self._at_once())) if most > 0 else self._walk.last_look():
                await self._fetch(pages)
                return True
            if await self._is_cut():
                return True
            page = self._walk.unconfirmed() if confirm and _AGAIN not in self._doubts else None
        except OddPages as odd:
            # A page that is not full may be the end, or truncated.
            self._resize(odd.page_size)
            return True
        except LogMoved:
            self._go_on()
            return True
        if page is not None:
            await self._fetch([page], again=True)
        return page is not None

    async def _is_cut(self) -> bool:
        """Whether the last page is truncated, although an empty page follows it: a page of one row shows the next row.
        Checked once, if totals contradict the end. Begins another walk with pages of that length."""
        ending = self._walk.ending
        rows, end, ending.doubted = ending.doubted, ending.end, None
        if not rows or not end:
            return False
        if (found := await self._list([end + 1], 1, _BEHIND)) is None:
            return False
        [(number, page)] = found
        if page.number not in (None, number) or not self._walk.contradicts_end(page.rows):
            return False
        self._resize(rows)
        return True

    async def rank(self, first: SubnotoReader | None = None) -> int:
        """Return the number of the stream's records before `span.since`, including unreadable ones, in O(log n) calls.
        Does not count those that have arrived since `first` read, and are before its `span.since`. Ascending only.
        Counts all types if it no longer `filters_natively`."""
        while await self._advance(1, 16, confirm=False):
            pass
        read, end = self._walk.consecutive(), 0 if first is None else first._walk.ending.end or 0
        assert read is not None
        return read.rank(self._span.since) if first is None else read.rank(self._span.since, end, first._span.since)

    def lacks_rows(self, rank: int) -> bool:
        """Whether `rank` may lack rows: the log moved, or they are before `span.since` but after this place in the log,
        or counted but not listed; or the provider does not show that."""
        strays = self._index.strays(self._query, 0, self._span.since)
        lacks = self._moves > 0 or self._walk.ending.lacks_rows or self._walk.is_unordered or bool(self._doubts)
        return lacks or any(number >= rank for number in strays)

    async def is_confirmed(self) -> bool | None:
        """Whether as many records are before `span.since` in the provider's order of time, which one call shows; None
        if the provider has no such order, or the log moved."""
        order = self._time_order()
        return None if order is None else await order.agrees(self._span.since)

    async def is_unmoved(self) -> bool:
        """Check by one call that no record was removed since this walk's first response."""
        page, moves = self._walk.place(), self._moves
        if page is None or not self._walk.steadiness.has_read(page):
            return self._chain is None
        await self._fetch([page], again=True)
        return moves == self._moves and _AGAIN not in self._doubts

    @property
    def filters_natively(self) -> bool:
        """Whether the provider applies the query's type filters, which it may have refused."""
        return bool(self._query.event_types)

    def hint(self, position: Position) -> Hint:
        found = self._walk.hint_at(first_time(position, self._ascending)) or self._near
        # Numbers of rows are compared only if none was removed during the walk.
        ties, begun = ties_at(position, self._numbered), [] if self._moves else self._begun
        return None if found is None else [len(self._query.event_types), self._skew, *ties, *begun, *found]
