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

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Generic

from app.paging.chain import Chain
from app.paging.log_end import LogMoved, OddPages
from app.paging.position_log import PositionLog, between
from app.paging.position_search import Search
from app.paging.rows import NEVER, Consecutive, R, Response, Rows
from app.paging.steadiness import Anchor, digest_of

__all__ = ["Consecutive", "LogMoved", "OddPages", "PositionReader", "Response", "Rows"]

_MOST_COST = 5  #: guesses that rows asked for before their place was found count as, at the most
_SURE = 3  #: how many times further than the place is away rows must be wanted, to read from where it is guessed to be
_SPARE = 12  #: for so many pages wanted, one more on either side: what is missing costs another round
#: Added to the rows of a hint's page if it is not full, and therefore the last one. More than a page has: hints
#: of older cursors, which lack it, prove no end.
ENDS = 1 << 16


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
        self.log: PositionLog[R] = PositionLog(ascending, page_size, anchor, longest, now)
        self.steadiness, self.ending = self.log.steadiness, self.log.ending
        if anchor is not None and self._hint and self._hint[2] >= ENDS:
            self.ending.proven = (anchor.page - 1) * page_size + anchor.rows
        self._anchor, self._left = anchor, list(glances)  # `_left`: pages to read after those of the first round
        self._marks = [(self.log.number(number), time * self.log.sign) for number, time in marks]
        self._now = now * self.log.sign
        self._search: Search[R] = Search(self.log, edge=self._start - self.skew, now=self._now, marks=self._marks)
        self.begin: int | None = None  #: x at which sequential reading began; None during the search
        self._is_ahead = False  # whether rows were requested before that
        self._next = 0  # the first unread x
        self._given = self._start  # rows of a v below it were returned
        # Rows to return (v, x, row) by v and then by x; the v of the last few read; and the largest v read without
        # those: a wrong time among them would falsely prove that nothing earlier follows.
        self._held: list[tuple[int, int, R]] = []
        self._latest, self._peak = deque[int](), NEVER

    def wanted(self, count: int, most: int) -> list[int]:
        """Return the pages (from 1) to fetch so that `take` can return about `count` rows, a tenth more or fewer; at
        most `most` (at least 1). Empty: `take` has all rows. Call again after each round of `add`."""
        pages = self._wanted(count, most)
        if self._hint is None and self._total is None and self.ending.end is not None:
            if len(pages) < most or not pages:
                # The last two rows show the end of a silent log, and a wrong time that no search finds.
                last = {self.log.page_of(self.log.total - 1), self.log.page_of(self.log.total - 2)}
                pages += [page for page in last.difference(pages) if page not in self.steadiness.pages]
            if not pages and not (pages := self.look(needed=True)) and self.begin is None:
                return self.wanted(count, most)  # the log ends elsewhere
        if not pages and self.begin is not None and (opposite := self.log.opposite()) is not None:
            return [opposite]
        return pages

    def _wanted(self, count: int, most: int) -> list[int]:
        if self.ending.end is None:
            return self._first_pages(count, most)
        left, self._left = [page for page in {*self._left} if page not in self.steadiness.pages], []
        if left:
            return left
        if look := self.look(needed=False):
            return look
        read = 0 if self.begin is None else self._next - self.begin
        if read > 2 * self.log.size and self._peak < self._start - self.skew and self._next < self.log.end:
            # Reading began too far before the wanted rows: none within two pages.
            self._search.narrow(cost=read // self.log.size)
            self.begin = None
        if self.begin is None:
            # Rows fetched after the start are read immediately.
            self.begin = self._search.begin()
            if self.begin is None:
                return self._looked_for(count, most)
            self._next, self._held, self._latest, self._peak = self.begin, [], deque(), NEVER
            self._read_on()
        if look := self.look():
            return look
        if self.place() is None:
            return self._wanted(count, most)  # the log ends elsewhere
        ready = bisect_left(self._held, (self._sure(),))
        if self._sure() >= self._stop or ready >= count - count // 10:
            return []
        # To be certain of the rows still missing, those within one skew after them are needed, too; and to come to the
        # first, those before it.
        unsure = len(self._held) - ready
        if not self._held:
            unsure = self.log.density(self._next, self.skew) + max(0, self._search.guess() - self._next)
        return self._led(self._following(self._next, count - ready + unsure, most))

    def _following(self, x: int, rows: int, most: int) -> list[int]:
        """Return the unread pages of the next rows, up to a page after the expected place of the walk's end, between
        known rows."""
        known, end, v = self.log.timed(), self.log.end, self._stop + self.skew
        behind = max([mark for mark in known if mark[1] < v], default=(end, v))
        ahead = min([mark for mark in known if mark[1] >= v], default=(end, v))
        last = between(behind, ahead, v) if behind[0] < ahead[0] < end else end
        return self.log.following(x, min(rows, last - x + self.log.size), most)

    def _led(self, pages: list[int]) -> list[int]:
        """Return the highest page before the others, unless one behind it was read: see `Steadiness`."""
        top = max(pages, default=0)
        if len(pages) <= 1 or self.log.is_chain or top + 1 in self.steadiness.pages:
            return pages
        self._left += [page for page in pages if page != top]
        return [top]

    def look(self, *, needed: bool | None = None) -> list[int]:
        """Return the page without which no row can be returned, for a caller that stops calling `wanted` once reading
        has begun. `needed`: whether the end is."""
        needed = self._needs_the_end() if needed is None else needed
        total, page = self.log.total, self.ending.look(needed=needed)
        # It is read again as if it had not been read.
        is_forgotten = page in self.ending.read_again and page not in self.ending.lengths
        if page is not None and is_forgotten:
            self.log.forget(page)
        if total != self.log.total or is_forgotten:
            self._take_over(0, again=True)
        return [] if page is None else [page]

    def may_lack(self, page: int, total: int) -> bool:
        """Whether the log may end before a page: neither it nor a later one has known rows, so that `LogEnd` can show
        the end. `total`: of another response, for a first round."""
        if self.ending.end is None:
            return 0 <= total <= page * self.log.size
        return all(known < page for known in self.ending.pages())

    def unproven(self) -> int:
        """Return the rows of the last page if it may be truncated, although totals or a later page show the end: all
        totals may lack as many rows. 0 if it is full, or the end is proven or not needed."""
        ending, (full, rows) = self.ending, divmod(self.log.total, self.log.size)
        is_open = not ending.is_settled and self.log.total != ending.proven and ending.lengths.get(full + 1) == rows
        return rows if is_open and self.begin is not None and self._needs_the_end() else 0

    def _needs_the_end(self) -> bool:
        """Whether the returned rows depend on the end of the log."""
        return self._next >= self.log.end if self._ascending else self.begin == self.log.first

    def _looked_for(self, count: int, most: int) -> list[int]:
        """The pages by which to find the place to begin. Once, when it is nearly found, those to read as well: if they
        are too many, then by few."""
        probe = self._search.probe()
        before = abs(self._search.guess() - probe)
        if not self._is_ahead and before <= self.log.size and self._search.reach() <= count // _SURE:
            self._is_ahead = True
            spare = count // (_SPARE * self.log.size) * self.log.size
            begin = self._search.between(probe - spare)
            rows = probe - begin + before + count + self.log.density(self._next, self.skew) + spare
            return self._led(self._following(begin, rows, most))
        return [self.log.page_at(probe)]

    def _first_pages(self, count: int, most: int) -> list[int]:
        if self._hint is None:
            return [self._search.first() if self._trusted else 1]
        number, slack, step = self._hint[0], min(self._hint[1], 100 * self.log.size), self.log.sign
        last = max(0, number + step * (count + 2 * slack))
        if self._ascending and self._total is not None:
            last = max(number, min(last, self._total - 1))
        pages = list(range(self.log.page_of(number), self.log.page_of(last) + step, step))
        unseen = [] if self._trusted or 1 in pages else [1]
        if self._anchor is None:
            self._left += pages[:1]
            return unseen or pages[:1]
        return unseen + (self._led(pages[:most]) if self._ascending else pages[:most])

    def add(self, responses: Sequence[Response[R]]) -> None:
        """Add one round of pages as the provider sent them. Raises OddPages, LogMoved."""
        total = self.ending.end
        self.log.add(responses)
        # Pages that were asked for too early count as guesses: so a first page of a hundred keeps its bound.
        self._take_over(min(len(responses), _MOST_COST) if self._is_ahead else 1, again=total != self.ending.end)

    def adopt(self, chain: Chain[R]) -> None:
        """Take a chain in place of rounds: nothing is unconfirmed. Read as a chain what `wanted` names then, too."""
        self._hint = [0, 0]
        self.log.adopt(chain)
        self._left.clear()
        self._take_over(1, again=False)

    def chain(self, time: int) -> Chain[R] | None:
        """A chain of the pages from which a walk that starts at `time` gets as far as this one; None where this one has
        read nothing."""
        log, behind = self.log, self.hint_at(time)
        if behind is None:
            return None
        before = max(log.number(behind[0]) - log.support, log.first)
        edges = [log.page_at(before), log.page_at(before if self.begin is None else self._next - 1)]
        if self.begin is not None and self._needs_the_end():
            edges.append(log.page_of(log.total) + 1)
        return Chain(log.size, min(edges), max(edges))

    def place(self) -> int | None:
        """Return the page of the row before which reading began."""
        return None if self.begin is None else self.log.page_at(max(self.begin - 1, self.log.first))

    def unconfirmed(self) -> int | None:
        """The page to read again (see `Steadiness`) before rows are handed out; None where all that were read are
        certainly of one state of the log."""
        if (place := self.place()) is None:
            return None
        edges = [place, self.log.page_at(self._next - 1)]
        if self.ending.shown_by is not None and self._needs_the_end():
            edges.append(self.ending.shown_by)
        return self.steadiness.page_to_confirm(min(edges), max(edges))

    def _take_over(self, cost: int, *, again: bool) -> None:
        if self.log.order.step_back > self.skew:
            # Times run back by more than the skew: search again with the larger one.
            self.skew = self.log.order.step_back
            again = True
        if again:
            self.begin = None
            self._search = Search(self.log, edge=self._start - self.skew, now=self._now, marks=self._marks)
        if self._anchor is not None and self._hint and self._anchor.page in self.steadiness.pages:
            self._search.proven = self.log.number(self._hint[0])
        if self.begin is None:
            self._search.narrow(cost)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Take over the rows that follow the read ones without a gap."""
        log, held = self.log, self._held
        while self._next < log.end and (row := log.rows.get(log.number(self._next))) is not None:
            if row.bad or row.time is None:
                v = self._latest[-1] if self._latest else max(self._peak, self._given)  # as its neighbours
            else:
                v = row.time * log.sign
                self._latest.append(v)
                if len(self._latest) > log.support:
                    self._peak = max(self._peak, self._latest.popleft())
            if self._given <= v < self._stop:
                held.append((v, self._next, row))
            self._next += 1
        held.sort()  # each x is unique, so that rows themselves are never compared

    def take(self) -> Rows[R]:
        """Return the certain rows, in reading order of their times and, if equal, of their numbers."""
        sure = self._sure()
        ready = bisect_left(self._held, (sure,))
        rows = [(self.log.number(x), row) for _, x, row in self._held[:ready]]
        del self._held[:ready]
        self._given = max(self._given, sure)
        return Rows(rows, self.complete_until, self.begin is not None and sure >= self._stop)

    @property
    def complete_until(self) -> int:
        """Return the time up to which rows were returned; see `Batch.complete_until`."""
        return self._given if self._ascending else -self._given + 1

    def _sure(self) -> int:
        """Return the v below which no row is unread."""
        if self.begin is None:
            return self._given
        if self._next >= self.log.end:
            return self._stop
        return min(self._stop, self._peak - self.skew)

    def consecutive(self) -> Consecutive[R] | None:
        """Return the rows read without a gap; None before the start is found."""
        if self.begin is None:
            return None
        log, x, after = self.log, self.begin, min(self._next, self.log.end)
        while log.knows(x - 1):
            x -= 1
        first = x if self._ascending else -after
        last = first + after - x
        rows = [log.rows[number] for number in range(first, last)]
        return Consecutive(first, rows, log.total, from_start=not first, to_end=last >= log.total)

    def hint_at(self, time: int) -> list[int] | None:
        """For a walk that starts at `time`: the number of the last row read behind it, the approximate number of rows
        in one skew there, the number of known rows of that page (and ENDS if it is not full), and their digest. None if
        no row was read."""
        log, edge, known = self.log, time * self.log.sign - self.skew, self.log.timed()
        if not known:
            return None
        below = [x for x, v in known if v < edge] or [known[0][0]]
        behind = log.number(next(filter(log.is_supported, reversed(below)), below[-1]))
        slack = len([v for _, v in known if edge <= v < edge + self.skew])
        page = log.rows_of(log.page_of(behind))
        return [behind, slack, len(page) + ENDS * (len(page) < log.size), digest_of(page)]
