"""One call of the feed: settings, caller, time, and observations of earlier calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from cachetools import LRUCache

from app.domain.caller import Caller
from app.domain.times import SECOND
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Source, TypeMapping
from app.providers.observer import Observer
from app.providers.shared.redis import SharedState

_MOST = 256  #: sets of streams
_MOST_STREAMS = 16  #: of one set; larger sets are of single envelopes, and rarely repeat
_MEMORY = 2000  #: records after which older ones count half
_PATIENCE = 60 * SECOND  #: by which a `Date` may be behind

StreamId = tuple[str, str]  #: source, stream


class StreamRatios:
    """Shares of the streams in recent pages, in thousandths. A first page requests from each stream its likely part,
    because missing records cost another round of calls, and unused ones are read again for the next page."""

    def __init__(self) -> None:
        self._given: LRUCache[frozenset[StreamId], Mapping[StreamId, int]] = LRUCache(_MOST)

    def learn(self, given: Mapping[StreamId, int]) -> None:
        """Record the number of records from each stream of a page."""
        if len(given) > _MOST_STREAMS or not any(given.values()):
            return
        before = self._given.get(streams := frozenset(given), {})
        fade = 2 if sum(before.values()) > _MEMORY else 1
        self._given[streams] = {stream: before.get(stream, 0) // fade + count for stream, count in given.items()}

    def of(self, streams: frozenset[StreamId]) -> dict[StreamId, int]:
        """Return the shares by stream; empty for streams that no recent page combined."""
        given = self._given.get(streams, {})
        shown = sum(given.values())
        return {stream: 1000 * count // shown for stream, count in given.items()}


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
    """`now` in µs since the epoch; `begun` on the clock of `time.monotonic`, as `deadline` and `half_time` are."""

    caller: Caller
    now: int
    begun: float
    sources: Mapping[str, Source]
    settings: FeedSettings
    ratios: StreamRatios

    def is_late(self, date: int | None) -> bool:
        """Whether a provider's `Date`, in µs, is so far behind, or has stood still for so long, that followers wait."""
        return date is not None and self.now - date > _PATIENCE

    @property
    def deadline(self) -> float:
        return self.begun + self.settings.deadline

    @property
    def half_time(self) -> float:
        return self.begun + self.settings.deadline / 2
