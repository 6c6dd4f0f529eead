"""The feed: one page, or one event, over all sources."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.caller import Caller
from app.domain.errors import (
    NotFound,
    SourceError,
    SourceForbidden,
    SourcesFailed,
    SourceTimeout,
    SourceUnauthorized,
)
from app.engine.cursor import CursorSealer
from app.engine.eventid import decode_event_id, source_hash
from app.feed.model import Asked, Page
from app.feed.pager import Pager
from app.feed.plan import first_plan, next_plan
from app.providers.base import Record, Source, Spent


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """Seconds throughout; `scan` counts provider calls; `default_window` is in µs; `clock` gives µs since the
    epoch."""

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
        self._sealer = CursorSealer(settings.cursor_secrets)
        self._clock = settings.clock or (lambda: time.time_ns() // 1000)

    async def page(self, asked: Asked, caller: Caller) -> Page:
        """One page. Raises CallerError and SourcesFailed."""
        begun, now = time.monotonic(), self._clock()
        if asked.cursor is not None:
            plan = next_plan(asked, caller, self.sources, self._sealer.open(asked.cursor))
        else:
            plan = first_plan(
                asked, caller, self.sources, now=now, default_window=self.settings.default_window
            )
        pager = Pager(
            plan,
            self.sources,
            caller,
            now=now,
            deadline=begun + self.settings.deadline,
            half_time=begun + self.settings.deadline / 2,
            scan=self.settings.scan,
        )
        return await pager.page(self._sealer.seal)

    async def event(self, event_id: str, caller: Caller) -> Record:
        """The record behind an event id. Raises NotFound, SourcesFailed."""
        try:
            wanted = decode_event_id(event_id)
        except ValueError:
            raise NotFound("there is no event with this id") from None
        for source in self.sources.values():
            if source_hash(source.name) == wanted.source_hash and caller.may_read(source.name):
                for record in await self._find(source, wanted.locator):
                    if record.event().id == event_id:
                        return record
        raise NotFound("there is no event with this id")

    async def _find(self, source: Source, locator: bytes) -> Sequence[Record]:
        deadline = time.monotonic() + self.settings.deadline
        try:
            async with asyncio.timeout(self.settings.deadline):
                return await source.find(locator, Spent(deadline=deadline))
        except TimeoutError:
            error: SourceError = SourceTimeout("the provider did not answer within the request's deadline")
        except SourceForbidden as forbidden:
            error = SourceUnauthorized(forbidden.detail, provider_request_id=forbidden.provider_request_id)
        except SourceError as failure:
            error = failure
        error.source = source.name
        raise SourcesFailed([error])

    async def aclose(self) -> None:
        for source in self.sources.values():
            await source.aclose()
