"""What goes into the feed and what comes out of it: plain values, no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec

from app.domain.errors import SourceError
from app.domain.event import described
from app.domain.parameter_types import Include, Order
from app.domain.position import Position
from app.domain.query import Window
from app.providers.base import Record, Relation, Total

SourceState = Literal["ok", "skipped", "forbidden", "failed"]


class ValueWarning(msgspec.Struct, frozen=True):
    """A filter's value that can match nothing."""

    parameter: Annotated[str, described("The parameter.", "type")]
    value: Annotated[str, described("Its value.", "recipient.singed")]
    message: Annotated[
        str,
        described("Why it matches nothing.", "recipient.singed is not a known type; did you mean recipient.signed?"),
    ]
    nearest: Annotated[str | None, described("The nearest known value.", "recipient.signed")] = None


class SourceStatus(msgspec.Struct):
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


class SourceTotal(msgspec.Struct, frozen=True):
    """How many events one source has. `as_of` in µs; `cached`: it was counted for an earlier call; `own`: the total of
    the provider itself; `scanned_to`: how far back (µs) a count by reading came that did not reach the end."""

    name: str
    value: int
    unit: str
    relation: Relation
    as_of: int
    cached: bool
    own: Total | None = None
    scanned_to: int | None = None


class Totals(msgspec.Struct, frozen=True):
    """The counts of all sources that the filters do not exclude, their sum, and (key, count) groups where asked."""

    value: int
    unit: str
    relation: Relation
    sources: list[SourceTotal]
    groups: Sequence[tuple[str, int]] | None = None
    warnings: Sequence[ValueWarning] = ()


class Page(msgspec.Struct):
    """One page of events, still as records: rendering decides what the caller may see.

    `position`: every source that did not fail is delivered up to here. `cursor_after(index)` seals a cursor that goes
    on right behind `records[index]`, as if the page had ended there."""

    records: list[Record]
    limit: int
    order: Order
    has_more: bool
    next_cursor: str | None
    scanned_to: int | None
    window: Window
    sources: list[SourceStatus]
    include: Include
    position: Position
    cursor_after: Callable[[int], str]
    total: Totals | None = None
    warnings: Sequence[ValueWarning] = ()

    def cut_after(self, index: int) -> None:
        """End the page behind `records[index]`, which is not its last."""
        self.next_cursor, self.has_more, self.scanned_to = self.cursor_after(index), True, None
        self.position = self.records[index].key
        del self.records[index + 1 :]
