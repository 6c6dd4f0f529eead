"""Settings and calls of the feed, pages, states of sources and totals, and the streams of a page: no HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import Annotated, Literal

import msgspec

from app.domain.caller import Caller
from app.domain.errors import SourceError, SourceFailed
from app.domain.event import Time, described
from app.domain.parameters import Include, Order
from app.domain.position import Position
from app.domain.query import Window
from app.paging.cursor import StreamState, WalkState
from app.paging.merge import Stream
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Batch, CallBudget, Reader, Record, Source, TypeMapping
from app.providers.observer import Observer
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


class WalkStart(WalkState, frozen=True, kw_only=True):
    """Start of a walk, before any read: `cursor` contains all of it."""

    cursor: str
    warnings: Sequence[ValueWarning]


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


#: Of each stream (source, name) its part of recent pages, in thousandths, by all streams of the page; the last page
#: counts half. A first page requests from each stream its likely part, because missing records cost another round of
#: calls, and unused ones are read again for the next page.
Shares = MutableMapping[frozenset[tuple[str, str]], Mapping[tuple[str, str], int]]


class FeedCall(msgspec.Struct, frozen=True):
    """`now` in µs since the epoch; `begun`, `half_time` and `deadline` on the clock of `time.monotonic`."""

    caller: Caller
    now: int
    begun: float
    half_time: float
    deadline: float
    sources: Mapping[str, Source]
    settings: FeedSettings
    shares: Shares


_SPARE = 10  #: records beyond a stream's likely share of a page, because a second request costs more
UNKNOWN_SHARE = 100  #: records of a first request if the shares of several streams are unknown
_MAX_WANT = 2000  #: records of one request if filters discard most of them


class Reading(Stream, kw_only=True):
    """A stream with its reader, the budget of its source, and its numbers of records so far: `seen`, and `kept` by the
    filters."""

    reader: Reader
    budget: CallBudget
    old: StreamState | None  #: after the previous page; None on a walk's first page
    was_read: bool = False
    seen: int = 0
    kept: int = 0
    bad_records: Counter[str] = msgspec.field(default_factory=Counter)
    any_readable: bool = False

    def take(self, batch: Batch, *, follow: bool) -> None:
        """Count the records of a batch. Raises SourceFailed if there are several on a walk's first page and none can be
        read, because the provider's format is unknown. On a later page and for a follower they may be all that is
        left."""
        self.seen += len(batch.records)
        self.bad_records |= batch.bad_records
        self.any_readable = self.any_readable or batch.any_readable or self.seen > 0
        bad = self.bad_records.total()
        if bad > 1 and not (self.any_readable or follow or self.old is not None):
            raise SourceFailed(f"none of the {bad} records in the provider's answers can be read")

    def want(self, missing: int, usual: int | None, streams: int) -> int:
        """Return the number of records to request for the `missing` ones of a page of as many `streams`. `usual`: this
        stream's share of recent pages, in thousandths."""
        if self.was_read or streams == 1:
            # As many more as the filters have discarded so far.
            return missing if self.kept == self.seen else min(_MAX_WANT, missing * (self.seen + 1) // (self.kept + 1))
        # Records without room in the page are read twice, because the next page reads them again.
        if self.old is not None and self.old.share >= 0:
            return min(missing, missing * self.old.share * 9 // 8000 + _SPARE)
        # In eighths, rounded up, because a share that is slightly too small costs a call.
        share = missing // streams if usual is None else (usual // 125 + 1) * missing // 8
        return min(missing, max(UNKNOWN_SHARE, share))
