"""Rows of a log with positions but without dates: the provider's pages of them, those that a walk has read but not
returned yet, and those that contradict the order of the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, Generic, Protocol, TypeVar

import msgspec

NEVER = -(1 << 62)  #: a v before all others (see `PositionLog`)
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
    older than any time for which these were read, and all after them newer, except for wrong times."""

    first: int
    rows: list[R]
    end: int

    @property
    def from_start(self) -> bool:
        """Whether the log begins with them."""
        return not self.first

    @property
    def to_end(self) -> bool:
        """Whether the log ends with them."""
        return self.first + len(self.rows) >= self.end

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


class HeldRows(Generic[R]):
    """Rows with `given` <= v < `stop`, by v and then by x (see `PositionLog`). Everything below `given` was returned.

    `peak` is the largest v read, without the last `support` rows: a wrong time among those would falsely prove that
    nothing earlier follows."""

    def __init__(self, given: int, stop: int, support: int) -> None:
        self.given, self.peak = given, NEVER
        self._stop, self._support = stop, support
        self._last: deque[int] = deque()
        self._rows: list[tuple[int, int, R]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def extend(self, rows: Iterable[tuple[int, R, int | None]]) -> None:
        """Add the next rows as (x, row, v); `v` None if it has no valid time: it counts at the time of its
        neighbours."""
        for x, row, v in rows:
            if v is None:
                v = self._last[-1] if self._last else max(self.peak, self.given)
            else:
                self._last.append(v)
                if len(self._last) > self._support and (oldest := self._last.popleft()) > self.peak:
                    self.peak = oldest
            if self.given <= v < self._stop:
                self._rows.append((v, x, row))
        # Each x is unique, so that rows themselves are never compared.
        self._rows.sort()

    def ready(self, sure: int) -> int:
        """Return the number of rows below `sure`."""
        return bisect_left(self._rows, (sure,))

    def take(self, sure: int) -> list[tuple[int, R]]:
        """Remove and return the rows below `sure` as (x, row)."""
        ready = self.ready(sure)
        rows = [(x, row) for _, x, row in self._rows[:ready]]
        del self._rows[:ready]
        self.given = max(self.given, sure)
        return rows


def are_falling(times: Sequence[int], least: float) -> bool:
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
