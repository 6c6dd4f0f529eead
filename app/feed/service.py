"""The feed: one page, or one event, over all sources."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from cachetools import LRUCache

from app.domain.caller import Caller
from app.domain.errors import (
    Forbidden,
    NotFound,
    ParameterError,
    SourceError,
    SourceForbidden,
    SourcesFailed,
    SourceTimeout,
    SourceUnauthorized,
)
from app.domain.query import CountQuery, EventQuery
from app.domain.times import format_seconds, now_micros
from app.feed.model import FeedCall, FeedSettings, Page, Shares, Totals, ValueWarning, WalkStart
from app.feed.page_builder import PageBuilder
from app.feed.planner import Plan, begun_at, first_plan, next_plan
from app.feed.totals import EventCounter, TotalsCache
from app.feed.warnings import warnings_of
from app.paging.cursor import CursorCodec, WalkState
from app.paging.event_id import decode_event_id, source_hash
from app.providers.base import CallBudget, Record, Source
from app.providers.http.concurrency import gather_all

_PATIENCE = 0.7  #: of the deadline, to wait for a count of another replica, which reads for half of it
_MOST_SHARES = 256  #: sets of streams


class Feed:
    """Merge the sources into one feed. Stores no events."""

    def __init__(self, sources: Sequence[Source], settings: FeedSettings) -> None:
        self.sources = {source.name: source for source in sources}
        self.settings = settings
        self._codec = CursorCodec(settings.cursor_secrets)
        #: µs since the epoch, on the clock that windows are cut by.
        self.now = settings.clock or now_micros
        self._shares: Shares = LRUCache(_MOST_SHARES)
        self.totals_cache = TotalsCache(
            ttl=settings.totals_ttl, patience=settings.deadline * _PATIENCE, shared=settings.shared
        )

    async def page(
        self,
        asked: EventQuery,
        caller: Caller,
        *,
        no_cache: bool = False,
        begun: float | None = None,
        may_exceed: bool = False,
    ) -> Page:
        """Return one page; with `include=total`, its totals. `no_cache` bypasses cached totals. `begun`: start of the
        request, by `time.monotonic`. `may_exceed`: up to twice the limit. Raises CallerError and SourcesFailed."""
        call = self._call(caller, begun)
        walk, skipped = self._plan(asked, caller, call.now)
        builder = PageBuilder(walk, call, skipped=skipped)
        page: Page
        if "total" not in walk.include:
            page = await builder.page(self._codec.seal, may_exceed=may_exceed)
            page.warnings = self._warnings(walk, caller)
            return page
        times = (asked.since, asked.until) if asked.cursor is None else (walk.since, walk.until)

        async def total() -> Totals | None:
            try:
                return await EventCounter(walk, call, self.totals_cache, times, no_cache=no_cache).totals()
            except SourcesFailed:
                # With `partial`, the page names the source that failed, and has no total.
                if walk.partial:
                    return None
                raise

        calls: list[Coroutine[Any, Any, Any]] = [builder.page(self._codec.seal), total()]
        page, page.total = await gather_all(calls)
        page.warnings = self._warnings(walk, caller)
        return page

    def _warnings(self, walk: WalkState, caller: Caller) -> Sequence[ValueWarning]:
        granted = [name for name in self.sources if caller.may_read(name)]
        active = [self.sources[name] for name in walk.sources]
        found = warnings_of(walk.query, active, granted, self.settings.mapping)
        if (since := walk.since) > self.now():
            found.append(ValueWarning("since", format_seconds(since), f"{format_seconds(since)} is in the future"))
        return found

    def start(self, asked: EventQuery, caller: Caller, *, at: int | None = None) -> WalkStart:
        """The start of a walk with the query of a page; reads nothing. `at` (µs) starts it with the events of that
        microsecond, or at `asked.cursor` if that is later in the order. Raises CallerError."""
        walk, _ = self._plan(asked, caller, self.now())
        if at is not None:
            if walk.partial:
                what = "needs a cursor without partial=true, with which each source has a position of its own"
                raise ParameterError("invalid_parameter", [("after", what)])
            walk = begun_at(walk, at)
        cursor, warnings = self._codec.seal(walk), self._warnings(walk, caller)
        return WalkStart(**msgspec.structs.asdict(walk), cursor=cursor, warnings=warnings)

    async def totals(self, asked: CountQuery, caller: Caller, *, no_cache: bool = False) -> Totals:
        """How many events the filters select, per source, and by group. Raises CallerError and SourcesFailed."""
        call = self._call(caller)
        walk, _ = self._plan(EventQuery.of(asked), caller, call.now)
        counter = EventCounter(walk, call, self.totals_cache, (asked.since, asked.until), no_cache=no_cache)
        totals = await counter.totals(exact=asked.exact, by=asked.by)
        return msgspec.structs.replace(totals, warnings=self._warnings(walk, caller))

    def _plan(self, asked: EventQuery, caller: Caller, now: int) -> Plan:
        if asked.cursor is not None:
            plan = next_plan(asked, caller, self.sources, self._codec.open(asked.cursor))
        else:
            plan = first_plan(asked, caller, self.sources, now=now, default_window=self.settings.default_window)
        if plan[0].query.owner is not None and self.settings.pseudonyms is not None and "pii:read" not in caller.scopes:
            # Only the provider can judge it, by the address itself: the result would reveal the owner of the envelopes.
            message = "needs the scope pii:read here, because people are shown by pseudonyms; leave it out"
            raise Forbidden(f"owner: {message}", [("owner", message)])
        return plan

    def _call(self, caller: Caller, begun: float | None = None) -> FeedCall:
        begun, deadline = time.monotonic() if begun is None else begun, self.settings.deadline
        return FeedCall(
            caller, self.now(), begun, begun + deadline / 2, begun + deadline, self.sources, self.settings,
            self._shares,
        )  # fmt: skip

    async def event(self, event_id: str, caller: Caller, spent: dict[str, CallBudget] | None = None) -> Record:
        """The record behind an event id. `spent` receives the calls by source, also of a search without a result.
        Raises NotFound, SourcesFailed."""
        spent = {} if spent is None else spent
        try:
            wanted = decode_event_id(event_id)
        except ValueError:
            raise NotFound("there is no event with this id") from None
        for source in self.sources.values():
            if source_hash(source.name) == wanted.source_hash and caller.may_read(source.name):
                cost = spent[source.name] = CallBudget(deadline=time.monotonic() + self.settings.deadline)
                for record in await self._find(source, wanted.locator, cost):
                    if record.event().id == event_id:
                        return record
        raise NotFound("there is no event with this id")

    async def _find(self, source: Source, locator: bytes, spent: CallBudget) -> Sequence[Record]:
        try:
            async with asyncio.timeout(self.settings.deadline):
                return await source.find(locator, spent)
        except TimeoutError:
            error: SourceError = SourceTimeout("the provider did not answer within the request's deadline")
        except SourceForbidden as forbidden:
            error = SourceUnauthorized(forbidden.detail, provider_request_id=forbidden.provider_request_id)
        except SourceError as failure:
            error = failure
        error.source = source.name
        raise SourcesFailed([error])

    async def aclose(self) -> None:
        async with AsyncExitStack() as closing:  # all of them, should one fail
            for source in self.sources.values():
                closing.push_async_callback(source.aclose)
