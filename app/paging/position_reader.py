"""Read a log with positions but without dates in time order, with few calls.

The log: records numbered 0, 1, 2, ... in order of insertion, in pages of a fixed size; new ones are added at the end.
Times follow the numbers except for a known **skew**: a record is never older than an earlier one by more than `skew`.
`PositionReader` finds a time with O(log n) pages (`app.paging.position_search`), then reads on and returns records only
when no unread one can precede them.

Two consequences of the skew verify any remembered position: a record at `t - skew` or before proves that no wanted
record is *before* it, and one at `t + skew` or after that none is *after* it.
Both directions are one algorithm over mirrored numbers `x` and times `v` (`app.paging.position_log`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from app.domain.times import DAY
from app.paging.chain import Chain
from app.paging.log_end import LogMoved, OddPages
from app.paging.position_log import ENDS, PositionLog
from app.paging.position_search import Search
from app.paging.rows import Consecutive, HeldRows, R, Response, Rows
from app.paging.steadiness import Anchor

__all__ = ["Consecutive", "LogMoved", "OddPages", "PositionReader", "Response", "Rows"]

_MOST_COST = 5  #: guesses that rows asked for before their place was found count as, at the most
_SURE = 3  #: how many times further than the place is away rows must be wanted, to read from where it is guessed to be
_SPARE = 12  #: for so many pages wanted, one more on either side: what is missing costs another round


class PositionReader(Generic[R]):
    """One walk, in one direction, from the time `start` (inclusive) to the time `stop`.

    Ascending: rows with start <= time < stop. Descending, `start` is the newest time wanted and `stop` the oldest:
    rows with stop <= time <= start. `hint` is what `hint_at` gave an earlier walk of the same direction, or its first
    two numbers; `marks` are (number, time) of rows near the start, and `total` how many rows there were, when they were
    read some other time; `now` guides the first guess. None of them has to be right. The server has sent pages of up to
    `longest` rows; if fewer than `page_size`, that pages have this size is to be seen first. `glances` are pages to
    read besides: rows with wrong times stood there. Times in µs.

    Use: fetch the pages `wanted`, `add` them, until none is; then, while `unconfirmed` names a page, fetch it again and
    `steadiness.confirm` it; then `take`. LogMoved, from any of them: the rows' numbers changed; another walk from
    `complete_until` goes on, with the first two numbers of a hint.

    Guarantee: each row that existed at the first response is returned once, in order; `Search` bounds its cost.
    """

    def __init__(
        self,
        *,
        ascending: bool,
        start: int,
        stop: int,
        skew: int,
        page_size: int,
        now: int,
        hint: Sequence[int] | None = None,
        marks: Sequence[tuple[int, int]] = (),
        total: int | None = None,
        longest: int = 1 << 30,
        glances: Sequence[int] = (),
        max_skew: int = DAY,
    ) -> None:
        self._ascending = ascending
        self._start = start if ascending else -start
        self._stop = stop if ascending else -stop + 1
        self.skew = skew  #: allowed for: the given one, or the largest step back that was seen
        self._hint = [max(0, number) for number in hint] if hint and len(hint) in (2, 4) else None
        self._total, self._trusted = total, longest >= page_size
        anchor = None
        if self._hint and len(self._hint) > 2:
            anchor = Anchor(self._hint[0] // page_size + 1, self._hint[2] % ENDS, self._hint[3])
        self._log: PositionLog[R] = PositionLog(ascending, page_size, max_skew, anchor, longest, now)
        self.steadiness, self.ending, self.misplaced = self._log.steadiness, self._log.ending, self._log.misplaced
        if anchor is not None and self._hint and self._hint[2] >= ENDS:
            self.ending.prove((anchor.page - 1) * page_size + anchor.rows)
        self._anchor, self._left = anchor, list(glances)  # `_left`: pages to read after those of the first round
        self._marks = [(self._log.number(number), time * self._log.sign) for number, time in marks]
        self._now = now * self._log.sign
        self._search = self._new_search()
        self._begin: int | None = None  # start of sequential reading; None during the search
        self._is_ahead = False  # whether rows were requested before that
        self._next = 0  # the first unread x
        self._held: HeldRows[R] = HeldRows(self._start, self._stop, self._log.support)

    def wanted(self, count: int, most: int) -> list[int]:
        """Return the pages (from 1) to fetch so that `take` can return about `count` rows, a tenth more or fewer; at
        most `most` (at least 1). Empty: `take` has all rows. Call again after each round of `add`."""
        pages = self._wanted(count, most)
        if self._hint is None and self._total is None and self.ending.end is not None:
            if len(pages) < most or not pages:
                # The last two rows show the end of a silent log, and a wrong time that no search finds.
                last = {self._log.page_of(self._log.total - 1), self._log.page_of(self._log.total - 2)}
                pages += [page for page in last.difference(pages) if not self.steadiness.has_read(page)]
            if not pages and not (pages := self._look(needed=True)) and self._begin is None:
                return self.wanted(count, most)  # the log ends elsewhere
        if not pages and self._begin is not None and (opposite := self._log.opposite()) is not None:
            return [opposite]
        return pages

    def _wanted(self, count: int, most: int) -> list[int]:
        if self.ending.end is None:
            return self._first_pages(count, most)
        left, self._left = [page for page in {*self._left} if not self.steadiness.has_read(page)], []
        if left:
            return left
        if look := self._look(needed=False):
            return look
        if self._begin is not None and self._is_astray(self._begin):
            self._search.narrow(cost=(self._next - self._begin) // self._log.size)
            self._begin = None
        if self._begin is None and not self._begin_reading():
            return self._looked_for(count, most)
        if look := self.last_look():
            return look
        if self._begin is None:
            return self._wanted(count, most)  # the log ends elsewhere
        ready = self._held.ready(self._sure())
        if self._is_over() or ready >= count - count // 10:
            return []
        # To be certain of the rows still missing, those within one skew after them are needed, too; and to come to the
        # first, those before it.
        unsure = len(self._held) - ready
        if not self._held:
            unsure = self._log.density(self._next, self.skew) + max(0, self._search.guess() - self._next)
        return self._led(self._following(self._next, count - ready + unsure, most))

    def _following(self, x: int, rows: int, most: int) -> list[int]:
        """Return the unread pages of the next rows, up to a page after the expected place of the walk's end."""
        return self._log.following(x, min(rows, self._log.expected(self._stop + self.skew) - x + self._log.size), most)

    def _led(self, pages: list[int]) -> list[int]:
        """Return the highest page before the others, unless one behind it was read: see `Steadiness`."""
        top = max(pages, default=0)
        if len(pages) <= 1 or self._log.is_chain or self.steadiness.has_read(top + 1):
            return pages
        self._left += [page for page in pages if page != top]
        return [top]

    def _new_search(self) -> Search[R]:
        return Search(self._log, edge=self._start - self.skew, now=self._now, marks=self._marks)

    def last_look(self) -> list[int]:
        """Return the page without which no row can be returned, for a caller that stops calling `wanted`."""
        return [] if self._begin is None else self._look(needed=self._needs_the_end())

    def _look(self, *, needed: bool) -> list[int]:
        total, page = self._log.total, self.ending.look(needed=needed)
        is_forgotten = page is not None and self.ending.is_forgotten(page)
        if page is not None and is_forgotten:
            self._log.forget(page)
        if total != self._log.total or is_forgotten:
            self._take_over(0, again=True)
        return [] if page is None else [page]

    def may_lack(self, page: int, total: int) -> bool:
        """Whether the log may end before a page: neither it nor a later one has known rows, so that `LogEnd` can show
        the end. `total`: of another response, for a first round."""
        if self.ending.end is None:
            return 0 <= total <= page * self._log.size
        return all(known < page for known in self.ending.pages())

    @property
    def is_unordered(self) -> bool:
        """Whether most rows contradict the order of time, in which no time can be found."""
        return self._log.is_unordered

    def contradicts_end(self, rows: Sequence[R], chain: Chain[R] | None = None) -> bool:
        """Whether rows from the end on (of the chain, if there is one) were there before the walk, and are not the last
        one, which a server may repeat after the end."""
        there = [row for row in rows if row.time is None or self._log.was_there(row)]
        return bool(there) and not self.ends_with(there, chain)

    def ends_with(self, rows: Sequence[R], chain: Chain[R] | None = None) -> bool:
        """Whether all of some rows are equal to the last one, also of a chain."""
        last = self._log.rows.get(self._log.total - 1) if chain is None else chain.rows[-1]
        return bool(rows) and last is not None and all(map(last.same_as, rows))

    def rows_of(self, page: int) -> list[R]:
        """Return the known rows of a page."""
        return self._log.rows_of(page)

    def unproven(self) -> int:
        """See `LogEnd.unproven`; 0 if the end is not needed."""
        return self.ending.unproven() if self._begin is not None and self._needs_the_end() else 0

    def page_before_end(self) -> int | None:
        """Return the page before the last one if that was read without it; else None."""
        page = self._log.page_of(self._log.total - 1) - 1
        is_read = page < 1 or self.steadiness.has_read(page) or self._log.is_chain
        return None if is_read or not self.steadiness.has_read(page + 1) else page

    def _needs_the_end(self) -> bool:
        """Whether the returned rows depend on the end of the log."""
        return self._next >= self._log.end if self._ascending else self._begin == self._log.first

    def _looked_for(self, count: int, most: int) -> list[int]:
        """The pages by which to find the place to begin. Once, when it is nearly found, those to read as well: if they
        are too many, then by few."""
        probe = self._search.probe()
        before = abs(self._search.guess() - probe)
        if not self._is_ahead and before <= self._log.size and self._search.reach() <= count // _SURE:
            self._is_ahead = True
            spare = count // (_SPARE * self._log.size) * self._log.size
            begin = self._search.between(probe - spare)
            rows = probe - begin + before + count + self._log.density(self._next, self.skew) + spare
            return self._led(self._following(begin, rows, most))
        return [self._log.page_at(probe)]

    def _first_pages(self, count: int, most: int) -> list[int]:
        if self._hint is None:
            return [self._search.first() if self._trusted else 1]
        number, slack, step = self._hint[0], min(self._hint[1], 100 * self._log.size), self._log.sign
        last = max(0, number + step * (count + 2 * slack))
        if self._ascending and self._total is not None:
            last = max(number, min(last, self._total - 1))
        pages = list(range(self._log.page_of(number), self._log.page_of(last) + step, step))
        unseen = [] if self._trusted or 1 in pages else [1]
        if self._anchor is None:
            self._left += pages[:1]
            return unseen or pages[:1]
        return unseen + (self._led(pages[:most]) if self._ascending else pages[:most])

    def _begin_reading(self) -> bool:
        """Whether the start is found. Rows fetched after it are read immediately."""
        self._begin = self._search.begin()
        if self._begin is None:
            return False
        self._next = self._begin
        self._held.clear()
        self._read_on()
        return True

    def _is_astray(self, begin: int) -> bool:
        """Whether reading began too far before the wanted rows: none within two pages."""
        return (
            self._next - begin > 2 * self._log.size
            and self._held.peak < self._start - self.skew
            and self._next < self._log.end
        )

    @property
    def is_reading(self) -> bool:
        """Whether the start is found, and pages are read sequentially."""
        return self._begin is not None

    def add(self, responses: Sequence[Response[R]]) -> None:
        """Add one round of pages as the provider sent them. Raises OddPages, LogMoved."""
        total = self.ending.end
        self._log.add(responses)
        # Pages that were asked for too early count as guesses: so a first page of a hundred keeps its bound.
        self._take_over(min(len(responses), _MOST_COST) if self._is_ahead else 1, again=total != self.ending.end)

    def adopt(self, chain: Chain[R]) -> None:
        """Take a chain in place of rounds: nothing is unconfirmed. Read as a chain what `wanted` names then, too."""
        self._hint = [0, 0]
        self._log.adopt(chain)
        self._left.clear()
        self._take_over(1, again=False)

    def chain(self, time: int) -> Chain[R] | None:
        """A chain of the pages from which a walk that starts at `time` gets as far as this one; None where this one has
        read nothing."""
        is_to_end, last = self.is_reading and self._needs_the_end(), self._next - 1 if self.is_reading else None
        return self._log.chain(time * self._log.sign - self.skew, last, is_to_end=is_to_end)

    def place(self) -> int | None:
        """Return the page of the row before which reading began."""
        return None if self._begin is None else self._log.page_at(max(self._begin - 1, self._log.first))

    def unconfirmed(self) -> int | None:
        """The page to read again (see `Steadiness`) before rows are handed out; None where all that were read are
        certainly of one state of the log."""
        if (place := self.place()) is None:
            return None
        edges = [place, self._log.page_at(self._next - 1)]
        if self.ending.shown_by is not None and self._needs_the_end():
            edges.append(self.ending.shown_by)
        return self.steadiness.page_to_confirm(min(edges), max(edges))

    def repeated(self) -> int | None:
        """See `PositionLog.repeated`."""
        return self._log.repeated()

    def _take_over(self, cost: int, *, again: bool) -> None:
        if self._log.step_back > self.skew:
            # Times run back by more than the skew: search again with the larger one.
            self.skew = self._log.step_back
            again = True
        if again and self._begin is not None:
            self._begin = None
            self._held.clear()
        if again:
            self._search = self._new_search()
        if self._anchor is not None and self._hint and self.steadiness.has_read(self._anchor.page):
            self._search.proven = self._log.number(self._hint[0])
        if self._begin is None:
            self._search.narrow(cost)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Take over the rows that follow the read ones without a gap."""
        assert self._begin is not None
        rows = self._log.run(self._next)
        self._next += len(rows)
        self._held.extend(rows)

    def take(self) -> Rows[R]:
        """Return the certain rows, in reading order of their times and, if equal, of their numbers."""
        rows = self._held.take(self._sure())
        return Rows([(self._log.number(x), row) for x, row in rows], self.complete_until, self._is_over())

    @property
    def complete_until(self) -> int:
        """Return the time up to which rows were returned; see `Batch.complete_until`."""
        return self._held.given if self._ascending else -self._held.given + 1

    def _sure(self) -> int:
        """Return the v below which no row is unread."""
        if self._begin is None:
            return self._held.given
        if self._next >= self._log.end:
            return self._stop
        return min(self._stop, self._held.peak - self.skew)

    def _is_over(self) -> bool:
        return self._begin is not None and self._sure() >= self._stop

    def consecutive(self) -> Consecutive[R] | None:
        """Return the rows read without a gap; None before the start is found."""
        return None if self._begin is None else self._log.consecutive(self._begin, self._next)

    def hint_at(self, time: int) -> list[int] | None:
        """For a walk that starts at `time`: the number of a row behind it, about how many rows one skew holds there,
        and, of that page, the other numbers of `PositionLog.hint`. None where this walk has read nothing."""
        return self._log.hint(time * self._log.sign - self.skew, self.skew)
