"""Totals: what the providers count themselves, cached for seconds; and, where asked, events counted one by one."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from cachetools import TTLCache
from cachetools_async import cachedmethod

from app.domain.caller import Caller
from app.domain.errors import SourceError, SourceForbidden, SourcesFailed, SourceTimeout
from app.domain.query import Query, Window
from app.engine.cursor import CursorState
from app.feed.model import MAX_LIMIT, SourceTotal, Totals
from app.feed.pager import Pager
from app.feed.plan import Plan
from app.providers.base import Relation, Source, Spent, Total
from app.providers.concurrency import together

_MOST = 4096  #: totals kept; the oldest go first

#: Source, filters, window as it was asked for: a bound that was left out moves with the clock, and stays left out here.
_Key = tuple[str, Query, int | None, int | None]


class TotalsCache:
    """Totals of single sources. Concurrent callers share one upstream call; errors are not kept.

    `ttl` in seconds, 0 for none; `timer` is a monotonic clock in seconds."""

    def __init__(
        self, sources: Mapping[str, Source], *, ttl: float, deadline: float, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources, self._deadline = sources, deadline
        self._cache: TTLCache[_Key, Future[Total]] = TTLCache(_MOST, ttl, timer)

    def __len__(self) -> int:
        return len(self._cache)

    async def get(self, key: _Key, window: Window, until: int, *, fresh: bool) -> tuple[Total, bool]:
        """The total, and whether it was known before. `fresh` goes past the cache. Raises SourceError."""
        held = self._cache.get(key)
        if fresh and held is not None and held.done():
            self._cache.pop(key, None)
            held = None
        known = held is not None and held.done() and held.exception() is None
        fetching = asyncio.ensure_future(self._fetch(key, window.since, until))
        # Whoever asked may be gone when it fails; an exception that nobody hears would be logged, with its text.
        fetching.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await asyncio.shield(fetching), known

    @cachedmethod(lambda self: self._cache, key=lambda self, key, since, until: key)
    async def _fetch(self, key: _Key, since: int, until: int) -> Total:
        spent = Spent(deadline=time.monotonic() + self._deadline)
        try:
            async with asyncio.timeout(self._deadline):
                return await self._sources[key[0]].total(key[1], since, until, spent)
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None


class Counter:
    """The totals of one plan. `now` in µs."""

    def __init__(
        self, plan: Plan, sources: Mapping[str, Source], caller: Caller, cache: TotalsCache, *, now: int
    ) -> None:
        self._plan, self._sources, self._caller, self._cache, self._now = plan, sources, caller, cache, now

    async def totals(
        self, given: Mapping[str, Any], *, fresh: bool, exact: bool, pager: Callable[[Plan], Pager], deadline: float
    ) -> Totals:
        """`given` are the filters as the caller wrote them. Raises SourcesFailed."""
        found = await together(
            self._of(name, given, fresh=fresh, exact=exact, pager=pager, deadline=deadline)
            for name in self._plan.active
        )
        return combine([total for total in found if total is not None])

    async def _of(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        fresh: bool,
        exact: bool,
        pager: Callable[[Plan], Pager],
        deadline: float,
    ) -> SourceTotal | None:
        try:
            total, cached = await self._own(name, given, fresh)
        except SourceForbidden:
            return None  # the page says so of this source
        except SourceError as error:
            error.source = name
            raise SourcesFailed([error]) from None
        if exact and (total.unit != "events" or total.relation != "eq"):
            return await self._one_by_one(name, pager, deadline)
        as_of = self._now if total.as_of is None else total.as_of
        return SourceTotal(name, total.value, total.unit, total.relation, as_of, cached)

    async def _own(self, name: str, given: Mapping[str, Any], fresh: bool) -> tuple[Total, bool]:
        query, window = self._plan.query, self._plan.window
        if query.q is not None and not self._caller.may("pii:read"):
            # The provider searches what this caller may not see.
            return Total(0, "events", "gte"), False
        until = self._now if window.until is None else window.until
        plain = msgspec.structs.replace(query, source=(), provider=(), order="desc", follow=False)
        key = (name, plain, given.get("since"), given.get("until"))
        return await self._cache.get(key, window, until, fresh=fresh)

    async def _one_by_one(self, name: str, pager: Callable[[Plan], Pager], deadline: float) -> SourceTotal:
        """Counts by reading; what is counted when the time is up is a lower bound."""
        plan: Plan | None = replace(self._plan, active=(name,), limit=MAX_LIMIT)
        count = 0
        held: list[CursorState] = []
        while plan is not None and time.monotonic() < deadline:
            held.clear()

            def keep(state: CursorState) -> str:
                held.append(state)
                return ""

            page = await pager(plan).page(keep)
            count += len(page.records)
            plan = _after(plan, held[0]) if held and page.has_more else None
        relation: Relation = "eq" if plan is None else "gte"
        return SourceTotal(name, count, "events", relation, self._now, False)


def _after(plan: Plan, state: CursorState) -> Plan:
    return replace(plan, position=tuple(state.position), states=state.sources)


def combine(sources: Sequence[SourceTotal]) -> Totals:
    """The sum, where all count the same unit: exact if all are, a lower bound if none is an estimate."""
    units = {source.unit for source in sources}
    if len(units) != 1:
        return Totals(None, None, None, list(sources))
    relations = {source.relation for source in sources}
    relation: Relation = "estimate" if "estimate" in relations else "gte" if "gte" in relations else "eq"
    return Totals(sum(source.value for source in sources), units.pop(), relation, list(sources))
