"""The feed: one page, or one event, over all sources. (Being written.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.caller import Caller
from app.feed.model import Asked, Page
from app.providers.base import Record, Source


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """Seconds throughout; `scan` counts provider calls; `default_window` is in µs."""

    cursor_secrets: tuple[str, ...]
    deadline: float = 30.0
    scan: int = 40
    default_window: int = 30 * 86_400 * 1_000_000
    clock: Callable[[], int] | None = None


class Feed:
    """Merges the sources into one feed. Holds no events."""

    def __init__(self, sources: Sequence[Source], settings: FeedSettings) -> None:
        self.sources = {source.name: source for source in sources}
        self.settings = settings

    async def page(self, asked: Asked, caller: Caller) -> Page:
        """One page. Raises CallerError and SourcesFailed."""
        raise NotImplementedError

    async def event(self, event_id: str, caller: Caller) -> Record:
        """The record behind an event id. Raises NotFound, SourcesFailed."""
        raise NotImplementedError

    async def aclose(self) -> None:
        for source in self.sources.values():
            await source.aclose()
