"""Rows of a log with positions but without dates, and the provider's pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec


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

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.first + len(self.rows)

    def rank(self, time: int, end: int = 0, since: int = -(1 << 62)) -> int:
        """Return the number of rows before a time, including unreadable ones, but without those that are before `since`
        and not before number `end`."""
        times = ((row.time, number < end) for number, row in enumerate(self.rows, self.first))
        return self.first + sum(own is None or (own < time and (known or own >= since)) for own, known in times)

    def has_same(self, start: int, rows: Sequence[R]) -> bool:
        """Whether those of `rows`, numbered from `start` on, that have numbers of rows here are the same; false if none
        has."""
        both = [(row, self.rows[at - self.first]) for at, row in enumerate(rows, start) if at in self]
        return bool(both) and all(own.same_as(row) for row, own in both)
