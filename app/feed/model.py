"""What goes into the feed and what comes out of it: plain values, no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec

from app.domain.errors import SourceError
from app.domain.event import Time, described
from app.domain.parameter_types import Include, Order
from app.domain.position import Position
from app.domain.query import Window
from app.providers.base import Record

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


_RELATIONS = ("eq", "gte", "estimate")
_RELATION = described("Whether the count is exact: `eq`, `gte` (a lower bound) or `estimate`.", *_RELATIONS)


class ProviderTotal(msgspec.Struct, frozen=True):
    """What the provider itself counts, which may be something else."""

    value: Annotated[int, described("The provider's count.")]
    unit: Annotated[str, described("What it counts.", "events", "envelopes")]
    relation: Annotated[str, _RELATION]


class SourceTotal(msgspec.Struct, frozen=True):
    """How many events one source has."""

    name: Annotated[str, described("The source's name.")]
    value: Annotated[int, described("The count.")]
    unit: Annotated[str, described("What is counted.", "events")]
    relation: Annotated[str, _RELATION]
    provider_total: Annotated[ProviderTotal | None, described("Null where the provider has none for these filters.")]
    scanned_to: Annotated[Time | None, described("How far back the count came, where it stopped at its budget.")]
    as_of: Annotated[Time, described("When it was true.")]
    cached: Annotated[bool, described("Whether it was counted for an earlier call.")]


class Group(msgspec.Struct, frozen=True):
    """One value of the field that is counted by."""

    key: Annotated[str, described("The value.", "recipient.signed")]
    value: Annotated[int, described("How many events have it.", 12)]


class Totals(msgspec.Struct, frozen=True):
    """How many events there are, in all and per source."""

    value: Annotated[int, described("The sum.")]
    unit: Annotated[str, described("What is counted.", "events")]
    relation: Annotated[str, described("The weakest relation of all sources: `eq`, `gte` or `estimate`.", *_RELATIONS)]
    groups: Annotated[list[Group] | None, described("With `by`: the largest first, days in order; null without.")]
    warnings: Annotated[Sequence[ValueWarning], described("Values of filters that can match nothing.")]
    sources: Annotated[list[SourceTotal], described("Each source's own.")]


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
