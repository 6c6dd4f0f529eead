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
