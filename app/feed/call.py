"""One call of the feed, as its parts need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from app.domain.caller import Caller
from app.feed.date_headers import DateHeaders
from app.feed.stream_ratios import StreamRatios
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Source, TypeMapping
from app.providers.observer import Observer
from app.providers.shared.redis import SharedState


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
    shared: SharedState | None = None  #: totals, with the other replicas
    #: Of each provider, to name the nearest known value in warnings.
    mapping: Mapping[str, Sequence[TypeMapping]] = msgspec.field(default_factory=dict)
    pseudonyms: Pseudonyms | None = None  #: what stands for people where callers without `pii:read` must not see them


class FeedCall(msgspec.Struct, frozen=True):
    """`now` in µs since the epoch; `begun` on the clock of `time.monotonic`, as `deadline` and `half_time` are."""

    caller: Caller
    now: int
    begun: float
    sources: Mapping[str, Source]
    settings: FeedSettings
    ratios: StreamRatios
    date_headers: DateHeaders

    @property
    def deadline(self) -> float:
        return self.begun + self.settings.deadline

    @property
    def half_time(self) -> float:
        return self.begun + self.settings.deadline / 2
