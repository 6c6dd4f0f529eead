"""Reads a log that has positions but no dates, in time order, with few calls.

The log: records numbered 0, 1, 2, ... in order of insertion, handed out in pages of a fixed size; new ones are put at
the end. Its times follow the numbers but for a known **skew**: a record is never older than an earlier one by more than
`skew`. `PositionReader` finds the place of a time with O(log n) pages (`app.paging.position_search`) and then reads on
from there, handing records out only when no unread one can precede them.

Everything rests on two consequences of the skew, so that a remembered position needs no trust: a record at `t - skew`
or before proves that nothing wanted lies *behind* it, and one at `t + skew` or after that nothing lies *ahead*.

Both directions are one algorithm over mirrored numbers `x` and times `v` (`app.paging.position_log`).

No I/O: `wanted` names the pages to fetch, `add` takes them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Generic

import msgspec

from app.paging.position_log import NEVER, LogMoved, PositionLog, R
from app.paging.position_search import Search

__all__ = ["LogMoved", "PositionReader", "Rows"]

_MOST_COST = 5  #: guesses that rows asked for before their place was found count as, at the most
_SURE = 3  #: how many times further than the place is away rows must be wanted, to read from where it is guessed to be
_SPARE = 12  #: for so many pages wanted, one more on either side: what is missing costs another round


class Rows(msgspec.Struct, Generic[R], frozen=True):
    """What `take` hands out: (number, row) in time order, complete up to `complete_until` (see
    `Batch.complete_until`)."""

    rows: list[tuple[int, R]]
    complete_until: int
    ended: bool


class PositionReader(Generic[R]):
    """One walk, in one direction, from the time `start` (in it) to the time `stop`.

    Ascending: rows with start <= time < stop. Descending, `start` is the newest time wanted and `stop` the oldest:
    rows with stop <= time <= start. `hint` is what `hint_at` gave an earlier walk of the same direction; `marks` are
    (number, time) of rows near the start, and `total` how many rows there were, when they were read some other time;
    `now` guides the first guess. None of them has to be right. Without `trusted`, that pages have the size is to be
    seen first. Times in µs.

    Guarantee: each row that was there at the first answer comes once, in order; no page is asked for twice; what it
    costs to find the place is bounded (see `Search`).
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
        trusted: bool = True,
    ) -> None:
        self._ascending = ascending
        self._start = start if ascending else -start
        self._stop = stop if ascending else -stop + 1
        self._skew = skew
        self._hint = tuple(hint) if hint and len(hint) == 2 else None
        self._total, self._trusted = total, trusted
        self._log: PositionLog[R] = PositionLog(ascending=ascending, page_size=page_size)
        mirrored = [(self._log.number(number), time * self._log.sign) for number, time in marks]
        self._search = Search(self._log, edge=self._start - skew, now=now * self._log.sign, marks=mirrored)
        self._begin: int | None = None  # where reading on began; None while that place is looked for
        self._is_ahead = False  # whether rows were asked for before the place was found
        self._next = 0  # the first x not read yet
        self._peak = NEVER  # the largest v read
        self._held: list[tuple[int, int, R]] = []  # (v, x, row), sorted: read and not handed out
        self._given = self._start  # everything below this v has been handed out

    # ---- what to fetch -------------------------------------------------------------------------------------------

    def wanted(self, count: int, most: int) -> list[int]:
        """Pages (from 1) to fetch so that `take` can hand out about `count` rows, a tenth more or fewer; at most `most`
        (at least 1).

        Empty: `take` has what there is. Ask again after each round of `add`."""
        if self._log.total is None:
            return self._first_pages(count, most)
        if self._begin is not None and self._is_astray(self._begin):
            self._search.narrow(cost=(self._next - self._begin) // self._log.size)
            self._begin = None
        if self._begin is None and not self._begin_reading():
            return self._looked_for(count, most)
        ready = self._ready()
        if self._is_over() or ready >= count - count // 10:
            return []
        # To be certain of the rows still missing, those within one skew after them have to be read, too; and to come to
        # the first, those before it.
        unsure = len(self._held) - ready if self._held else self._density() + max(0, self._search.guess() - self._next)
        return self._following(self._next, count - ready + unsure, most)

    def _looked_for(self, count: int, most: int) -> list[int]:
        """The pages by which to find the place to begin. Once, when it is nearly found, those to read as well: if they
        are too many, then by few."""
        probe = self._search.probe()
        before = abs(self._search.guess() - probe)
        if not self._is_ahead and before <= self._log.size and self._search.reach() <= count // _SURE:
            self._is_ahead = True
            spare = count // (_SPARE * self._log.size) * self._log.size
            begin = self._search.between(probe - spare)
            return self._following(begin, probe - begin + before + count + self._density() + spare, most)
        return self._search.pages(probe, most)

    def _first_pages(self, count: int, most: int) -> list[int]:
        if self._hint is None:
            return [self._search.first() if self._trusted else 1]
        # Fetch as if the hint were true; what comes back shows whether it is.
        number, slack = max(0, self._hint[0]), min(max(0, self._hint[1]), 100 * self._log.size)
        step = self._log.sign
        last = max(0, number + step * (count + 2 * slack))
        if self._ascending and self._total is not None:
            # A follower is at the end: what has come since is on the last page, or that says how much there is.
            last = max(number, min(last, self._total - 1))
        pages = list(range(self._log.page_of(number), self._log.page_of(last) + step, step))
        return (pages if self._trusted or 1 in pages else [1, *pages])[:most]

    def _begin_reading(self) -> bool:
        """Whether the place to begin is found. What was fetched from there on is read at once."""
        self._begin = self._search.begin()
        if self._begin is None:
            return False
        self._next = self._begin
        self._peak = self._log.value_at(self._begin - 1, NEVER)
        self._read_on()
        return True

    def _is_astray(self, begin: int) -> bool:
        """Whether reading began too far behind: two pages on, nothing wanted is in sight."""
        return (
            self._next - begin > 2 * self._log.size
            and self._peak < self._start - self._skew
            and self._next < self._log.end
        )

    def _following(self, x: int, rows: int, most: int) -> list[int]:
        """The unread pages from row `x` on, as many as the next `rows` rows fill: one at least, unless the log ends."""
        end = self._log.end
        pages: list[int] = []
        while x < end and (rows > 0 or not pages) and len(pages) < most:
            page = self._log.page_at(x)
            edge = min(self._log.page_edge(page), end)
            rows -= edge - x
            x = edge
            if page not in self._log.pages:
                pages.append(page)
        return pages

    def _density(self) -> int:
        """About how many rows one skew holds, judged by the page before the first one to be read."""
        rows = self._log.pages.get(self._log.page_at(self._next - 1)) if self._log.first < self._next else None
        if not rows or len(rows) < 2:
            return 0
        times = [row.time for row in rows if row.time is not None]
        span = max(times, default=0) - min(times, default=0)
        size = self._log.size
        return min(size, len(rows) * self._skew // span) if span else size

    @property
    def is_reading(self) -> bool:
        """Whether the place to begin is found, and pages are now read one after the other."""
        return self._begin is not None

    # ---- what came -----------------------------------------------------------------------------------------------

    def add(self, answers: Sequence[tuple[int, Sequence[R], int]]) -> None:
        """One round of pages as the provider sent them: (page, rows, total). Raises LogMoved."""
        self._log.add(answers)
        if self._begin is None:
            # Pages that were asked for too early count as guesses: so a first page of a hundred keeps its bound.
            self._search.narrow(cost=min(len(answers), _MOST_COST) if self._is_ahead else 1)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Takes over the rows that follow without a gap what has been read."""
        end = self._log.end
        while self._next < end:
            page = self._log.page_at(self._next)
            if page not in self._log.pages:
                break
            for v, x, row in self._log.rows_of(page):
                if x >= self._next:
                    self._peak = max(self._peak, v)
                    if self._given <= v < self._stop:
                        self._held.append((v, x, row))
            # Rows without a time go with those before them, to be counted.
            v = max(self._peak, self._given)
            if v < self._stop:
                self._held += [(v, x, row) for x, row in self._log.untimed(page) if x >= self._next]
            self._next = self._log.page_edge(page)
        # No x is held twice, so that rows themselves are never compared.
        self._held.sort()

    # ---- what can be handed out ----------------------------------------------------------------------------------

    def take(self) -> Rows[R]:
        """The rows that are certain by now, in reading order of their times and, where equal, of their numbers."""
        ready = self._ready()
        rows = [(self._log.number(x), row) for _, x, row in self._held[:ready]]
        del self._held[:ready]
        self._given = max(self._given, self._sure())
        return Rows(rows, self.complete_until, self._is_over())

    @property
    def complete_until(self) -> int:
        """How far rows have been handed out; see `Batch.complete_until`."""
        return self._given if self._ascending else -self._given + 1

    def _sure(self) -> int:
        """The v below which no unread row can lie."""
        if self._begin is None:
            return self._given
        if self._next >= self._log.end:
            return self._stop
        return min(self._stop, self._peak - self._skew)

    def _ready(self) -> int:
        """How many of the rows held are certain."""
        return bisect_left(self._held, self._sure(), key=lambda held: held[0])

    def _is_over(self) -> bool:
        return self._begin is not None and self._sure() >= self._stop

    def rank(self) -> int:
        """How many rows are older than the time this walk started at, whether or not they can be read; ascending only,
        once `wanted` asks for nothing more."""
        assert self._begin is not None
        read = range(self._begin, min(self._next, self._log.end))
        return self._begin + sum(self._log.value_at(x, NEVER) < self._start for x in read)

    def hint_at(self, time: int) -> list[int] | None:
        """For a walk that starts at `time`: the number of a row behind it, and about how many rows one skew holds
        there. None where this walk has read nothing."""
        edge = time * self._log.sign - self._skew
        known = [(x, v) for page in self._log.pages for v, x, _ in self._log.rows_of(page)]
        if not known:
            return None
        behind = max((x for x, v in known if v < edge), default=min(known)[0])
        slack = sum(edge <= v < edge + self._skew for _, v in known)
        return [self._log.number(behind), slack]
