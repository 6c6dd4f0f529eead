"""What goes into the feed and what comes out of it: plain values, no HTTP."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.domain.errors import SourceError
from app.domain.order import Position
from app.domain.query import Order, Query, Window
from app.providers.base import Record, Relation

SourceState = Literal["ok", "skipped", "forbidden", "failed"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of `GET /events`, each parameter valid on its own; what was left out is absent or None.

    `given` has the filters that were written, normalized: text, a sorted tuple for those that repeat, µs for `since`
    and `until`, a bool for `follow`, `asc` or `desc` for `order`.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    include: frozenset[str] | None = None
    partial: bool | None = None
    cursor: str | None = None


@dataclass(slots=True)
class SourceStatus:
    """How one source fared. `complete_through` in µs; `calls` and `records` are what this request cost there."""

    name: str
    provider: str
    status: SourceState = "ok"
    reason: str | None = None
    complete_through: int | None = None
    calls: int = 0
    records: int = 0
    bad_records: int = 0
    error: SourceError | None = None


@dataclass(frozen=True, slots=True)
class SourceTotal:
    """What one source has to say to a count. `as_of` in µs; `cached`: it was counted for an earlier call."""

    name: str
    value: int
    unit: str
    relation: Relation
    as_of: int
    cached: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of all sources that the filters do not exclude. `value`, `unit` and `relation` are of the sum, None
    unless all of them count the same."""

    value: int | None
    unit: str | None
    relation: Relation | None
    sources: list[SourceTotal]


@dataclass(slots=True)
class Page:
    """One page of events, still as records, so that whoever shows them decides what the caller may see.

    `position`: every source that did not fail is delivered up to here. `cursor_after(index)` seals a cursor that goes
    on right behind `records[index]`, as if the page had ended there. `good_until`: on the
    clock of `time.monotonic`, until when others who ask the same may be given it; minus infinity: at no time."""

    records: list[Record]
    limit: int
    order: Order
    has_more: bool
    next_cursor: str | None
    scanned_to: int | None
    window: Window
    sources: list[SourceStatus]
    include: frozenset[str]
    position: Position
    cursor_after: Callable[[int], str] = field(repr=False)
    good_until: float = -math.inf
    total: Totals | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a walk begins, before anything is read: `cursor` holds all of it. `sources` are those that are read."""

    cursor: str
    position: Position
    query: Query
    window: Window
    include: frozenset[str]
    partial: bool
    sources: tuple[str, ...]
