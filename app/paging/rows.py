"""Rows of a log with positions but without dates: the provider's pages of them, those that a walk has read but not
returned yet, and those that contradict the order of the others."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import sqrt
from operator import ge, sub
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from app.domain.times import DAY

NEVER = -(1 << 62)  #: a v before all others (see `PositionLog`)
MAX_SKEW = DAY  #: µs
#: Different times that only fall in a log from newest to oldest; fewer may be records added late.
FALLING = 8
#: See `_are_falling`: random times of a page reach these once in 100 pages, and once in 1,000.
_SUSPECT, _SURELY = 1.5, 2.0
_MOST = 64  #: contradicting rows that are judged one by one


class Timed(Protocol):
    """A row of the log. `time`: µs since the epoch; for a `bad` row a neighbour's; None if no row of its page has
    one. A `bad` row keeps its place and is never used to find another."""

    time: int | None
    bad: bool

    def same_as(self, other: Any) -> bool:
        """Whether both contain equal records."""

    def content(self) -> Any:
        """The record, as JSON can hold it."""


R = TypeVar("R", bound=Timed)


class Response(msgspec.Struct, Generic[R], frozen=True):
    """One page as the provider sent it. `total`: None if it was refused. `has_next`: whether another page follows by
    its own statement; `number`: its own page number."""

    page: int
    rows: Sequence[R]
    total: int | None
    has_next: bool | None = None
    number: int | None = None


def are_equal(rows: Sequence[R]) -> bool:
    """Whether all rows contain equal records."""
    return all(row.same_as(rows[0]) for row in rows)


class Rows(msgspec.Struct, Generic[R], frozen=True):
    """Result of `take`: (number, row) in time order, complete up to `complete_until` (see `Batch.complete_until`)."""

    rows: list[tuple[int, R]]
    complete_until: int
    ended: bool


class Consecutive(msgspec.Struct, Generic[R], frozen=True):
    """Rows without a gap, from number `first` on, of a log that ends before number `end`. All rows before them are
    older than any time for which these were read, and all after them newer, except for wrong times. `from_start`,
    `to_end`: whether the log begins and ends with them."""

    first: int
    rows: list[R]
    end: int
    from_start: bool
    to_end: bool

    def rank(self, time: int, end: int = 0, since: int = -(1 << 62)) -> int:
        """Return the number of rows before a time, including unreadable ones, but without those that are before `since`
        and not before number `end`."""
        rank = self.first
        for number, row in enumerate(self.rows, self.first):
            if row.time is None or (row.time < time and (number < end or row.time >= since)):
                rank += 1
        return rank

    def has_same(self, start: int, rows: Sequence[R]) -> bool:
        """Whether those of `rows`, numbered from `start` on, that have numbers of rows here are the same; false if none
        has."""
        skipped = self.first - start
        both = [*zip(rows[max(0, skipped) :], self.rows[max(0, -skipped) :], strict=False)]
        return bool(both) and all(own.same_as(row) for row, own in both)


class RowOrder:
    """How far the rows read contradict the order of their times."""

    def __init__(self) -> None:
        self.step_back = 0  #: largest µs by which a row is older than an earlier one
        self.misplaced: dict[int, int] = {}  #: number and own time of rows that contradict the others beyond MAX_SKEW
        self.is_falling = False  #: whether most rows are older than the one before them
        self.is_unordered = False  #: whether most rows contradict the others beyond MAX_SKEW, or times only fall

    def check(self, rows: Mapping[int, Timed], has_ends: Callable[[], bool]) -> None:
        """Judge the rows read, by number; those that contradict the others beyond MAX_SKEW become bad. `has_ends`:
        whether the first and the last page of the log were read."""
        timed = [(number, row.time) for number, row in sorted(rows.items()) if row.time is not None and not row.bad]
        times = [time for _, time in timed]
        self.step_back = _step_back(times)
        self.is_falling, many = _are_falling(times, _SUSPECT), len(set(times)) >= FALLING
        self.is_unordered |= many and all(map(ge, times, times[1:]))
        if self.is_falling and many and _are_falling(times, _SURELY) and has_ends():
            middle = len(times) // 2
            self.is_unordered |= sorted(times[:middle])[middle // 2] > sorted(times[-middle:])[middle // 2]
        if self.step_back <= MAX_SKEW:
            return
        wrong = wrong_rows(times, MAX_SKEW)
        self.is_unordered |= 2 * len(wrong) > len(times)
        for index in wrong:
            row = rows[timed[index][0]]
            near = next((at for at in (*range(index, -1, -1), *range(index, len(times))) if at not in wrong), None)
            self.misplaced[timed[index][0]] = times[index]
            row.bad, row.time = True, None if near is None else times[near]
        self.step_back = _step_back([time for index, time in enumerate(times) if index not in wrong])


def _step_back(times: Sequence[int]) -> int:
    """Return the largest difference by which a time is before an earlier one."""
    return max(map(sub, accumulate(times, max), times), default=0)


def _are_falling(times: Sequence[int], least: float) -> bool:
    """Whether more times fall than rise, by `least` times the root of the number of steps: random ones do so rarely."""
    steps = [after - time for time, after in pairwise(times) if after != time]
    more = 2 * len([step for step in steps if step < 0]) - len(steps)
    return more > 0 and more >= min(len(steps), least * sqrt(len(steps)))


def wrong_rows(times: Sequence[int], tolerance: int) -> set[int]:
    """The indices of rows without which no row is older than an earlier one by more than `tolerance` µs: first those
    that contradict the most others."""
    wrong: set[int] = set()
    while True:
        left = [index for index in range(len(times)) if index not in wrong]
        # By row, the number of earlier ones that are younger, and of later ones that are older, beyond tolerance.
        younger = _above([times[index] for index in left], tolerance)
        older = _above([-times[index] for index in reversed(left)], tolerance)
        against = [before + after for before, after in zip(younger, reversed(older), strict=True)]
        if not any(against):
            return wrong
        if len(wrong) >= _MOST:
            return wrong | {index for index, others in zip(left, against, strict=True) if others}
        middle = sorted(times[index] for index in left)[len(left) // 2]
        _, _, worst = max((others, abs(times[at] - middle), at) for at, others in zip(left, against, strict=True))
        wrong.add(worst)


def _above(times: Iterable[int], tolerance: int) -> list[int]:
    seen: list[int] = []
    found = []
    for time in times:
        found.append(len(seen) - bisect_right(seen, time + tolerance))
        insort(seen, time)
    return found
