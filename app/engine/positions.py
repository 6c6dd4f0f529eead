"""Reads a log that has positions but no dates, in time order, with few calls.

The log: records numbered 0, 1, 2, ... in order of insertion, handed out in pages of a fixed size; new ones are put at
the end. Its times follow the numbers but for a known **skew**: a record is never older than an earlier one by more than
`skew`. `PositionWalk` finds the place of a time with O(log n) pages (interpolating, and halving whenever that gains too
little) and then reads on from there, handing records out only when no unread one can precede them.

Everything rests on two consequences of the skew, so that a remembered position needs no trust: a record at `t - skew`
or before proves that nothing wanted lies *behind* it, and one at `t + skew` or after that nothing lies *ahead*.

Both directions are one algorithm: reading downwards is reading upwards with numbers and times mirrored, `x = -1 - i`
and `v = -time`. In mirrored numbers, too, a record's `x` never changes while the log grows.

No I/O: `wanted` names the pages to fetch, `add` takes them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """A row of the log."""

    @property
    def time(self) -> int:
        """µs since the epoch."""


R = TypeVar("R", bound=Timed)

_NEVER = -(1 << 62)  #: a v before all others


class LogMoved(Exception):
    """The log is shorter than it was, or its pages do not fit together: start over, with pages of `page_size`."""

    def __init__(self, page_size: int) -> None:
        super().__init__(page_size)
        self.page_size = page_size


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """What `take` hands out: (number, row) in time order, complete up to `through` (see `Batch.through`)."""

    rows: list[tuple[int, R]]
    through: int
    ended: bool


class PositionWalk(Generic[R]):
    """One walk, in one direction, from the time `start` (in it) to the time `stop`.

    Ascending: rows with start <= time < stop. Descending, `start` is the newest time wanted and `stop` the oldest:
    rows with stop <= time <= start. `hint` is what `hint_at` gave an earlier walk of the same direction; `now` guides
    the first guess. Neither has to be right. Times in µs.
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
    ) -> None:
        self._ascending = ascending
        self._sign = 1 if ascending else -1
        self._start = start if ascending else -start
        self._stop = stop if ascending else -stop + 1
        self._skew = skew
        self._size = page_size
        self._now = now * self._sign
        self._hint = tuple(hint) if hint and len(hint) == 2 else None
        self._total: int | None = None
        self._pages: dict[int, Sequence[R]] = {}
        # Looking for the place to begin: the last row known to lie behind it, the first one after that known not to.
        self._low = self._high = 0
        self._probes = 0
        self._same_side = 0  # how many guesses in a row moved only the low (+) or only the high (-) bound
        # Reading on from there.
        self._begin: int | None = None
        self._next = 0  # the first x not read yet
        self._peak = _NEVER  # the largest v read
        self._held: list[tuple[int, int, R]] = []  # (v, x, row), sorted: read and not handed out
        self._given = self._start  # everything below this v has been handed out

    # ---- what to fetch -------------------------------------------------------------------------------------------

    def wanted(self, count: int, most: int) -> list[int]:
        """Pages (from 1) to fetch so that `take` can hand out about `count` rows; at most `most` (at least 1).

        Empty: `take` has what there is. Ask again after each round of `add`."""
        if self._total is None:
            return self._first_pages(count, most)
        if self._begin is not None and self._is_astray():
            self._probes += (self._next - self._begin) // self._size - 1
            self._begin = None
            self._narrow()
        if self._begin is None and not self._found():
            return self._probes_to_make(most)
        ready = len(self._ready())
        if self._is_over() or ready >= count:
            return []
        return self._following(count - ready, most)

    def _first_pages(self, count: int, most: int) -> list[int]:
        if self._hint is None:
            return [1]
        # Fetch as if the hint were true; what comes back shows whether it is.
        number, slack = max(0, self._hint[0]), min(max(0, self._hint[1]), 100 * self._size)
        last = max(0, number + self._sign * (count + 2 * slack))
        step = self._sign
        return list(range(self._page_of(number), self._page_of(last) + step, step))[:most]

    def _following(self, missing: int, most: int) -> list[int]:
        """The next unread pages, as many as `missing` rows and those within one skew after them will fill."""
        end = self._end()
        rows = missing + (len(self._held) - len(self._ready()) if self._held else self._density())
        pages: list[int] = []
        x = self._next
        while x < end and (rows > 0 or not pages) and len(pages) < most:
            page = self._page_at(x)
            edge = min(self._page_edge(page), end)
            rows -= edge - x
            x = edge
            if page not in self._pages:
                pages.append(page)
        return pages

    def _density(self) -> int:
        """About how many rows one skew holds, judged by the page before the first one to be read."""
        rows = self._pages.get(self._page_at(self._next - 1)) if self._first() < self._next else None
        if not rows or len(rows) < 2:
            return 0
        times = [row.time for row in rows]
        span = max(times) - min(times)
        return min(self._size, len(rows) * self._skew // span) if span else self._size

    @property
    def is_reading(self) -> bool:
        """Whether the place to begin is found, and pages are now read one after the other."""
        return self._begin is not None

    # ---- what came -----------------------------------------------------------------------------------------------

    def add(self, answers: Sequence[tuple[int, Sequence[R], int]]) -> None:
        """One round of pages as the provider sent them: (page, rows, total). Raises LogMoved."""
        total = min(total for _, _, total in answers)
        if self._total is None:
            # Records that arrive while this walk reads belong to the next one.
            self._total = total
        elif total < self._total:
            raise LogMoved(self._size)
        for page, rows, _ in answers:
            offset = (page - 1) * self._size
            expected = max(0, min(self._size, self._total - offset))
            if len(rows) > self._size:
                raise LogMoved(len(rows))
            if len(rows) < expected:
                # A full page that holds fewer than it should shows the provider's real page size.
                raise LogMoved(len(rows) if rows and offset + self._size <= self._total else self._size)
            if expected:
                self._pages.setdefault(page, rows[:expected])
        if self._begin is None:
            self._narrow()
        else:
            self._read_on()

    def _narrow(self) -> None:
        """Moves the bounds of the place looked for, by all that is known."""
        edge = self._start - self._skew
        low, high = self._low, self._high
        known = self._known()
        self._low = max((x for x, v in known if v < edge), default=self._first() - 1)
        self._high = min((x for x, v in known if v >= edge and x > self._low), default=self._end())
        side = (self._low != low) - (self._high != high)
        self._same_side = self._same_side + side if side * self._same_side > 0 else side
        self._probes += 1

    def _found(self) -> bool:
        """Whether it is time to read on from the last row behind. Then all the rows before it lie behind, too."""
        gap = self._high - self._low - 1
        unread = abs(self._page_at(self._high - 1) - self._page_at(self._low + 1)) + 1 if gap > 0 else 0
        # To begin on a mere guess may cost two pages in vain, so such guesses have to pay as well.
        guessed = self._probes + 2 <= self._allowed() and 0 <= self._guess() - self._low <= self._size
        if unread > 1 and not guessed:
            return False
        self._begin = self._next = self._low + 1
        self._peak = self._value_at(self._low, _NEVER)
        self._read_on()
        return True

    def _is_astray(self) -> bool:
        """Whether reading began too far behind: two pages on, nothing wanted is in sight."""
        return (
            self._begin is not None
            and self._next - self._begin > 2 * self._size
            and self._peak < self._start - self._skew
            and self._next < self._end()
        )

    def _guess(self) -> int:
        """Where the place is, by interpolation between the bounds; -1 before the low one where nothing can be said."""
        low, high = self._low, self._high
        v_low = self._value_at(low, _NEVER if self._ascending else self._now)
        v_high = self._value_at(high, self._now if self._ascending else _NEVER)
        if v_low == _NEVER or v_high == _NEVER or v_high <= v_low:
            return low - 1
        share = (self._start - self._skew - v_low) / (v_high - v_low)
        return low + int((high - low) * min(1.0, max(0.0, share)))

    def _allowed(self) -> float:
        """How many probes may have been made by now. Guesses have to pay: over all of them the stretch must shrink by
        half for every two, or it is cut in the middle until it has. That bounds the search by twice a binary one, on
        any history."""
        return 2 * log2((self._end() - self._first() + 2) / (self._high - self._low)) + 3

    def _probes_to_make(self, most: int) -> list[int]:
        """The pages to look at next. The first guess takes the log to end now; the last page, fetched beside it, says
        when it really ends, for an account that has been silent for months."""
        assert self._total is not None
        guess, last = self._probe(), self._page_of(self._total - 1)
        return [guess] if last in self._pages or last == guess or most < 2 else [guess, last]

    def _probe(self) -> int:
        """The page to look at next, strictly between the bounds."""
        low, high, guess = self._low, self._high, self._guess()
        if guess < low or self._probes > self._allowed():
            guess = (low + high) // 2
        elif self._same_side > 1:
            # Guesses that keep falling on one side creep, because the density changes near the place: step over it,
            # further each time, so that the other bound comes close as well.
            guess += (guess - low + self._size) * (self._same_side - 1)
        elif self._same_side < -1:
            guess += (high - guess + self._size) * (self._same_side + 1)
        else:
            # A little behind: the rows from there on have to be read anyway.
            guess -= self._size // 2
        return self._page_at(min(high - 1, max(low + 1, guess)))

    def _read_on(self) -> None:
        """Takes over the rows that follow without a gap what has been read."""
        end = self._end()
        while self._next < end:
            page = self._page_at(self._next)
            if page not in self._pages:
                break
            for x, row in self._rows_of(page):
                if x >= self._next:
                    v = row.time * self._sign
                    self._peak = max(self._peak, v)
                    if self._given <= v < self._stop:
                        self._held.append((v, x, row))
            self._next = self._page_edge(page)
        self._held.sort(key=lambda held: held[:2])

    # ---- what can be handed out ----------------------------------------------------------------------------------

    def take(self) -> Rows[R]:
        """The rows that are certain by now, in reading order of their times and, where equal, of their numbers."""
        ready = self._ready()
        del self._held[: len(ready)]
        self._given = max(self._given, self._sure())
        return Rows([(self._number(x), row) for _, x, row in ready], self.through, self._is_over())

    @property
    def through(self) -> int:
        """How far rows have been handed out; see `Batch.through`."""
        return self._given if self._ascending else -self._given + 1

    def _sure(self) -> int:
        """The v below which no unread row can lie."""
        if self._begin is None:
            return self._given
        if self._next >= self._end():
            return self._stop
        return min(self._stop, self._peak - self._skew)

    def _ready(self) -> list[tuple[int, int, R]]:
        return self._held[: bisect_left(self._held, self._sure(), key=lambda held: held[0])]

    def _is_over(self) -> bool:
        return self._begin is not None and self._sure() >= self._stop

    def rank(self) -> int:
        """How many rows are older than the time this walk started at; ascending only, once `wanted` asks for nothing
        more and `take` has handed everything out up to `stop`."""
        assert self._begin is not None
        read = ((x, row) for page in self._pages for x, row in self._rows_of(page))
        return self._begin + sum(1 for x, row in read if self._begin <= x < self._next and row.time < self._start)

    def hint_at(self, time: int) -> list[int] | None:
        """For a walk that starts at `time`: the number of a row behind it, and about how many rows one skew holds
        there. None where this walk has read nothing."""
        edge = time * self._sign - self._skew
        known = sorted(self._known())
        if not known:
            return None
        behind = [x for x, v in known if v < edge]
        slack = sum(1 for _, v in known if edge <= v < edge + self._skew)
        return [self._number(behind[-1] if behind else known[0][0]), slack]

    # ---- mirrored numbers ----------------------------------------------------------------------------------------

    def _number(self, x: int) -> int:
        return x if self._ascending else -1 - x

    def _first(self) -> int:
        return 0 if self._ascending else -(self._total or 0)

    def _end(self) -> int:
        return (self._total or 0) if self._ascending else 0

    def _page_of(self, number: int) -> int:
        return number // self._size + 1

    def _page_at(self, x: int) -> int:
        return self._page_of(self._number(x))

    def _page_edge(self, page: int) -> int:
        """The x that follows the page in reading direction."""
        return page * self._size if self._ascending else -((page - 1) * self._size)

    def _rows_of(self, page: int) -> list[tuple[int, R]]:
        offset = (page - 1) * self._size
        if self._ascending:
            return [(offset + index, row) for index, row in enumerate(self._pages[page])]
        return [(-1 - offset - index, row) for index, row in enumerate(self._pages[page])][::-1]

    def _known(self) -> list[tuple[int, int]]:
        return [(x, row.time * self._sign) for page in self._pages for x, row in self._rows_of(page)]

    def _value_at(self, x: int, otherwise: int) -> int:
        """The v of row x where it is known."""
        number = self._number(x)
        rows = self._pages.get(self._page_of(number)) if number >= 0 else None
        index = number % self._size
        return rows[index].time * self._sign if rows and index < len(rows) else otherwise
