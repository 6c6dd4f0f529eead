"""One call of the feed: settings, caller, time, and the shares of streams in earlier calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from app.domain.caller import Caller
from app.domain.times import SECOND
from app.feed.reading import StreamRatios
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Source, TypeMapping
from app.providers.observer import Observer
from app.providers.shared.redis import SharedState

_PATIENCE = 60 * SECOND  #: by which a `Date` may be behind


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

    def is_late(self, date: int | None) -> bool:
        """Whether a provider's `Date`, in µs, is so far behind, or has stood still for so long, that followers wait."""
        return date is not None and self.now - date > _PATIENCE
