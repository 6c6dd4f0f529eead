"""Settings and calls of the feed, pages, states of sources and totals: plain values, no HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from app.domain.caller import Caller
from app.domain.errors import SourceError
from app.domain.event import Time, described
from app.domain.parameters import Include, Order
from app.domain.position import Position
from app.domain.query import Window
from app.feed.reading import StreamRatios
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Observer, Record, Source, TypeMapping
from app.providers.shared import SharedState

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
    """State of one source. `complete_through` in µs; `calls` and `records` of this request. `unproven`,
    `assumes`: of any batch."""

    name: str
    provider: str
    status: SourceState = "ok"
    reason: str | None = None
    complete_through: int | None = None
    calls: int = 0
    records: int = 0
    bad_records: Counter[str] = msgspec.field(default_factory=Counter)
    error: SourceError | None = None
    unproven: bool = False
    assumes: bool = False


#: Why a walk may lack events: its unreadable records, and a provider's responses that contradict each other.
UNREADABLE, UNPROVEN = "unreadable_records", "unproven"


def gaps_of(statuses: Iterable[SourceStatus], before: Collection[str]) -> tuple[str, ...]:
    """Return the gaps of a walk, UNREADABLE first, after a page with these statuses; `before`: up to this page."""
    found = list(statuses)
    is_new = {UNREADABLE: any(s.bad_records for s in found), UNPROVEN: any(s.unproven for s in found)}
    return tuple(gap for gap, new in is_new.items() if new or gap in before)


_RELATIONS = ("eq", "gte", "estimate")
_RELATION = described("Whether the count is exact: `eq`, `gte` (a lower bound) or `estimate`.", *_RELATIONS)


class ProviderTotal(msgspec.Struct, frozen=True):
    """The provider's own count, possibly of other units."""

    value: Annotated[int, described("The provider's count.")]
    unit: Annotated[str, described("The counted unit.", "events", "envelopes")]
    relation: Annotated[str, _RELATION]


class SourceTotal(msgspec.Struct, frozen=True):
    """Count of one source."""

    name: Annotated[str, described("The source's name.")]
    value: Annotated[int, described("The count.")]
    unit: Annotated[str, described("The counted unit.", "events")]
    relation: Annotated[str, _RELATION]
    provider_total: Annotated[ProviderTotal | None, described("Null if the provider has none for these filters.")]
    scanned_to: Annotated[Time | None, described("Time that the count reached, if it stopped at its budget.")]
    as_of: Annotated[Time, described("Time of the count.")]
    cached: Annotated[bool, described("Whether the count, or the total beside it, was cached.")]


class Group(msgspec.Struct, frozen=True):
    """Count of one value of the field `by`."""

    key: Annotated[str, described("The field's value.", "recipient.signed")]
    value: Annotated[int, described("Number of events.", 12)]


class Totals(msgspec.Struct, frozen=True):
    """Counts of events, in total and by source."""

    value: Annotated[int, described("The sum.")]
    unit: Annotated[str, described("The counted unit.", "events")]
    relation: Annotated[str, described("The weakest relation of all sources: `eq`, `gte` or `estimate`.", *_RELATIONS)]
    groups: Annotated[list[Group] | None, described("With `by`: the largest first, days in order; else null.")]
    warnings: Annotated[Sequence[ValueWarning], described("Values of filters that can match nothing.")]
    sources: Annotated[list[SourceTotal], described("The counts of the sources.")]


class Page(msgspec.Struct):
    """One page of events, still as records: rendering decides what the caller may see.

    `position`: every source that did not fail is delivered up to here. `cursor_after(index)` seals a cursor that
    continues after `records[index]`, as if the page ended there."""

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
        """End the page after `records[index]`, which is not its last."""
        self.next_cursor, self.has_more, self.scanned_to = self.cursor_after(index), True, None
        self.position = self.records[index].key
        del self.records[index + 1 :]


class FeedSettings(msgspec.Struct, frozen=True):
    """Seconds throughout; `scan` counts provider calls; `default_window` is in µs; `clock` gives µs since the
    epoch."""

    cursor_secrets: tuple[str, ...]
    deadline: float = 30.0
    scan: int = 40
    default_window: int = 30 * 86_400 * 1_000_000
    totals_ttl: float = 30.0
    clock: Callable[[], int] | None = None
    observer: Observer = msgspec.field(default_factory=Observer)
    shared: SharedState | None = None  #: shares totals between replicas
    #: Of each provider, to name the nearest known value in warnings.
    mapping: Mapping[str, Sequence[TypeMapping]] = msgspec.field(default_factory=dict)
    pseudonyms: Pseudonyms | None = None  #: of people, for callers without `pii:read`


class FeedCall(msgspec.Struct, frozen=True):
    """`now` in µs since the epoch; `begun`, `half_time` and `deadline` on the clock of `time.monotonic`."""

    caller: Caller
    now: int
    begun: float
    half_time: float
    deadline: float
    sources: Mapping[str, Source]
    settings: FeedSettings
    ratios: StreamRatios
