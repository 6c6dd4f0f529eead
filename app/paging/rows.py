"""Rows of a log that has positions but no dates, and the pages in which a provider sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class Timed(Protocol):
    """A row of the log. `time`: µs since the epoch, that of a neighbour where the row is `bad`; None where no row of
    its page has one. A `bad` row keeps its place and is never used to find another."""

    time: int | None
    bad: bool

    def same_as(self, other: Any) -> bool:
        """Whether both hold equal records."""

    def content(self) -> Any:
        """The record, as JSON can hold it."""


R = TypeVar("R", bound=Timed)


class Response(msgspec.Struct, Generic[R], frozen=True):
    """One page as the provider sent it. `total`: None where it was refused. `has_next`: whether it claims another one
    behind it; `number`: which page it claims to be."""

    page: int
    rows: Sequence[R]
    total: int | None
    has_next: bool | None = None
    number: int | None = None


class Rows(msgspec.Struct, Generic[R], frozen=True):
    """What `take` hands out: (number, row) in time order, complete up to `complete_until` (see
    `Batch.complete_until`)."""

    rows: list[tuple[int, R]]
    complete_until: int
    ended: bool
