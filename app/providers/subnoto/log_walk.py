"""Read one list of Subnoto's log in the order of `id`, although pages are odd, calls are refused, or rows removed."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.errors import SourceFailed
from app.domain.position import first_time
from app.paging.chain import Chain
from app.paging.position_reader import LogMoved, OddPages, PositionReader, Response
from app.paging.rows import are_equal
from app.providers.base import ENOUGH_BYTES
from app.providers.http.concurrency import gather_all
from app.providers.subnoto.client import PAGE_SIZE, EventTypesRefused, PageTooLarge
from app.providers.subnoto.gaps import AGAIN, BEHIND, LACKING, SHUFFLED, TWINS, UNORDERED
from app.providers.subnoto.log_calls import LogCalls, LogRequest
from app.providers.subnoto.wire import LogRow

_RESTARTS, _MOVES = 4, 16  #: new readers for odd pages, and moves of the log, without progress
_LOOKS = 8  #: for rows after the end, which a log that grows has again and again
_FAR = 1 << 20  #: rows after the end, where a log has none


class LogWalk:
    """The walk of one `request` through its list, by one `reader` after another: each goes on where the rows of the one
    before are complete. `known_skew`: that of the cursor that the walk continues; `place`: of its hint.

    `skew` in µs: the setting, or a larger one that was seen; `size`: rows of a page; `chain`: of pages, while the log
    moves; `moves`: how often it moved."""

    def __init__(self, request: LogRequest, *, known_skew: int | None, place: list[int]) -> None:
        self.calls = LogCalls(request)
        self._request, self._span, self._spent = request, request.span, request.spent
        self._observations, self._index = request.observations, request.index
        self._ascending = self._span.query.ascending
        self.size = self._observations.rows_at_once
        self.skew = max(request.skew, known_skew or 0)
        self._restarts = self.moves = self._chained = self._looks = 0  # `_chained`: rows of the last chain
        self._compared = set[int | None]()  # pages read again because of rows seen twice
        self.chain: Chain[LogRow] | None = None
        self.near: list[int] | None = None  #: the hint of a reader that continues another
        #: The row behind the end as a reader knew it, once read.
        self._behind: tuple[PositionReader[LogRow] | None, int, list[LogRow]] = None, 0, []
        self._total_differs = False  # whether a total differs from that end
        query, span, index = request.query, request.span, request.index
        start = first_time(span.position, self._ascending)
        # A cursor contains the skew of these rows.
        self._strays = [] if known_skew is not None else index.strays(query, span.since, span.until)
        marks = index.around(query, start, self.skew, ascending=self._ascending)
        near = place or index.near(query, start, request.now, self.skew, ascending=self._ascending)
        # A page that a hint leads to may be after the end, where the hint's own page is not.
        self._retries = [None, near[:2]] if near else [None]
        self.reader = self._new_reader(start, near, marks)

    def _new_reader(
        self, start: int, hint: list[int] | None = None, marks: Sequence[tuple[int, int]] = ()
    ) -> PositionReader[LogRow]:
        strays = {at // self.size + 1 for number in self._strays for at in (max(0, number - 1), number)}
        reader: PositionReader[LogRow] = PositionReader(
            ascending=self._ascending, start=start, stop=self._span.until if self._ascending else self._span.since,
            skew=self.skew, page_size=self.size, now=self._request.now, hint=hint, marks=marks,
            total=self._index.total(self.calls.query), longest=self._observations.longest, glances=sorted(strays),
        )  # fmt: skip
        if self.calls.exceeds:
            reader.ending.doubt()
        return reader

    def gaps(self) -> set[str]:
        """Return the reasons why rows may be missing or come twice: see `app.providers.subnoto.gaps`."""
        ending = self.reader.ending
        seen = {LACKING: ending.lacks_rows, TWINS: ending.may_be_twins, UNORDERED: self.reader.log.order.is_unordered}
        return self.calls.doubts.union(reason for reason, is_so in seen.items() if is_so)

    async def advance(self, want: int, most: int, *, confirm: bool = True) -> bool:
        """Make one round of calls; returns whether one was needed."""
        if self.chain is not None:
            return await self._link(self.chain, want, most)
        try:
            # Fewer pages in one round if they are large.
            page_bytes = self._spent.bytes // max(1, self._spent.calls) or self._observations.page_bytes
            most_pages = min(most, max(1, ENOUGH_BYTES // page_bytes))
            if pages := self.reader.wanted(want, most_pages) if most > 0 else self.reader.look():
                end = self.reader.ending.end
                # In the same round, because the vendor's calls take longer than all else.
                is_open = end and self.reader.unproven() and self._behind[:2] != (self.reader, end)
                look = [self._look_behind(end)] if end and is_open else []
                await gather_all([self._fetch(pages), *look])
                return True
            if await self._is_cut():
                return True
            page = None
            if confirm and not self.calls.doubts & {AGAIN, SHUFFLED} and (page := self.reader.unconfirmed()) is None:
                repeated = self.reader.log.repeated()
                page = None if repeated in self._compared else repeated
                self._compared.add(repeated)
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

    async def _look_behind(self, end: int) -> None:
        """Read the row behind the end, and that of a chain before it, in pages of one row."""
        reader = self.reader
        found = await self.calls.list_pages([end + 1] if self.chain is None else [end, end + 1], 1, BEHIND)
        if reader.ending.claimed > end and found and found[-1][1].refusal is not None:
            # Perhaps for its number: then the server refuses the last row, too.
            last = await self.calls.list_pages([end], 1, BEHIND)
            self.calls.doubts.update([BEHIND] if last is None or last[0][1].refusal is not None else [])
        rows = [row for number, page in found or () if page.number in (None, number) for row in page.rows[:1]]
        self._behind = reader, end, rows
        self._total_differs = any(page.total != end for _, page in found or ())

    async def read_before_end(self) -> bool:
        """Read the page before the last one, which a server may repeat for the page after it. Returns whether that was
        needed."""
        log = self.reader.log
        last = log.page_of(log.total - 1)
        if last < 2 or log.is_chain or last not in log.steadiness.pages or last - 1 in log.steadiness.pages:
            return False
        await self._fetch([last - 1])
        return True

    async def is_unmoved(self) -> bool:
        """Check by one call that no record was removed since this walk's first response."""
        page, moves = self.reader.place(), self.moves
        if page is None or page not in self.reader.steadiness.pages:
            return self.chain is None
        await self._fetch([page], again=True)
        return moves == self.moves and AGAIN not in self.calls.doubts

    async def _fetch(self, pages: list[int], *, again: bool = False) -> None:
        size = self.size if self.chain is None else self.chain.size
        end = self.reader.ending.end
        # Pages after the end that totals and lists claim, to prove it.
        is_behind = self.chain is None and end is not None and (min(pages) - 1) * self.size >= end
        kind = AGAIN if again else BEHIND if is_behind else None
        try:
            found = await self.calls.list_pages(pages, size, kind)
        except PageTooLarge as large:
            self.size = self._observations.too_large(self.size, large.bytes)
            self._renew()
            return
        except EventTypesRefused as refused:
            self.calls.refuse_types(is_known=refused.is_known)
            self._restart()
            return
        if found is None and again:
            return
        if found is None:
            return self._take([Response(page, [], None, None, None) for page in pages])
        read = [(number, page) for number, page in found if page.refusal is None]
        total = max((page.total for _, page in read), default=-1)
        for number, page in found:
            if page.refusal is not None and self.chain is None and not self.reader.may_lack(number, total):
                if not self._retries and again:
                    self.calls.doubts.add(AGAIN)
                    return
                if not self._retries:
                    raise page.refusal
                self._index.forget(self.calls.query)
                self._restart(self._retries.pop())
                return
        responses = [
            Response(number, page.rows, page.total if page.refusal is None else None, page.has_next, page.number)
            for number, page in found
        ]
        self.calls.learn(read, size)
        if not (again and SHUFFLED in self.calls.doubts):
            self._take(responses, again=again)

    def _take(self, responses: list[Response[LogRow]], *, again: bool = False) -> None:
        """Pass responses to the reader; begin another if they are inconsistent."""
        try:
            if self.chain is not None:
                self.chain.add(responses[0])
            elif again:
                self.reader.log.confirm(responses[0])
            else:
                self.reader.add(responses)
                if self.reader.ending.repeated is not None:
                    self._index.forget(self.calls.query)  # it has rows of the last page as those of later ones
        except OddPages as odd:
            self._resize(odd.page_size)
        except LogMoved:
            self._go_on()

    def _resize(self, rows: int) -> None:
        if rows < self.size:
            self._observations.shrink_pages(rows)
            self.size = self._observations.rows_at_once
        else:
            self.size = min(rows, PAGE_SIZE)
        self._restart()

    def _restart(self, hint: list[int] | None = None) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise SourceFailed("the provider's log contradicts itself: its pages do not fit its totals")
        self._renew(hint)

    def _renew(self, hint: list[int] | None = None, chain: Chain[LogRow] | None = None) -> None:
        """Continue with another reader, over a chain if there is one."""
        self.reader, self.chain = self._new_reader(self._goes_on_at(), hint), chain

    def _go_on(self) -> None:
        """The rows' numbers have changed: continue from about the same place."""
        self.moves += 1
        if self.moves > _MOVES:
            raise SourceFailed("the provider removes records faster than they can be read")
        start = self._goes_on_at()
        chain = self.reader.chain(start) if self.moves > 1 and self.chain is None else None
        # Rows move towards lower numbers, so begin a little before their last place.
        found = self.reader.hint_at(start)
        self.near = self.near if found is None else [max(0, found[0] - self.size // 4), found[1]]
        self._renew(self.near, chain)

    async def _link(self, chain: Chain[LogRow], want: int, most: int) -> bool:
        """Advance a reader over a chain: read its next page, or find the others that are needed."""
        page = chain.page
        if page is not None:
            await self._fetch([page])
            if self.chain is chain and not await self._is_cut() and chain.page is None:
                self.reader.adopt(chain)
            return True
        pages = self.reader.wanted(want, most) if most > 0 else []
        if not pages:
            self.moves = 1
            return False
        self.skew = self.reader.skew  # rows of different states of the log would have a larger one
        self.moves, self._chained = self.moves + (len(chain.rows) <= self._chained), len(chain.rows)
        if (reaching := chain.reaching(pages)) is None or self.moves > _MOVES:
            self._go_on()
        else:
            self._renew(self.near, reaching)
        return True

    def _goes_on_at(self) -> int:
        complete_until = self.reader.complete_until
        return complete_until if self._ascending else complete_until - 1

    async def _is_cut(self) -> bool:
        """Whether the last page is truncated, although its total or an empty page shows the end: a page of one row
        shows the next row. While the log moves, that may have the last row's number by now. If it is, that page is
        read again, then completed, or another reader begins with pages of that length."""
        chain, ending = self.chain, self.reader.ending
        rows, end = (self.reader.unproven(), ending.end) if chain is None else (chain.doubted, chain.end)
        if not rows or not end:
            return False
        if chain is not None:
            chain.doubted = None
        if chain is not None or self._behind[:2] != (self.reader, end):
            await self._look_behind(end)
        log, found, self._looks = self.reader.log, self._behind[2], self._looks + 1
        last = log.rows.get(log.total - 1) if chain is None else chain.rows[-1]
        is_cut = log.are_others(found, last)
        if found and not is_cut and chain is None and last is not None and all(map(last.same_as, found)):
            # The server repeats its last page for all pages after it, or this row is a twin of the last one.
            far = await self.calls.list_pages([end + _FAR], 1, BEHIND)
            is_cut = far is not None and (not far[0][1].rows or log.are_others(far[0][1].rows, last))
            if self._total_differs and not is_cut and are_equal(log.rows_of(end // self.size + 1)[-2:]):
                self.calls.doubts.add(TWINS)
        if is_cut and self._looks > _LOOKS:
            self.calls.doubts.add(BEHIND)
        if not is_cut or self._looks > _LOOKS:
            ending.proven = end
            return False
        if chain is None:
            await self._fetch([end // self.size + 1])
        if chain is not None or (self.reader.ending is ending and ending.end == end):
            if chain is None and self._observations.longest >= self.size:
                await self._complete(end)
            else:
                self._resize(rows)
        return True

    async def _complete(self, end: int) -> None:
        """Read the rows after `end` of a page that stays truncated, in pages of one row. A server that repeats its last
        page sends its last row for all after it."""
        page = end // self.size + 1
        found = await self.calls.list_pages([*range(end + 1, page * self.size + 1), end + _FAR], 1, BEHIND) or []
        rows = self.reader.log.rows_of(page) + [row for _, answer in found[:-1] for row in answer.rows[:1]]
        far = found[-1][1].rows if found else []
        while far and len(rows) > 1 and all(map(far[0].same_as, rows[-2:])):
            rows.pop()
        if len(rows) <= end % self.size:
            self.calls.doubts.add(BEHIND)
            self.reader.ending.proven = end
            return
        self._take([Response(page, rows, (page - 1) * self.size + len(rows))])
