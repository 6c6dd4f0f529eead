"""Counts of events, from a provider's own total where that is exact, else by reading (contract, section 6); cached for
seconds in this process and, with Redis, in all replicas."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import msgspec
from cachetools import TLRUCache

from app.domain.errors import SourceError, SourceForbidden, SourcesFailed, SourceTimeout
from app.domain.parameters import Moment
from app.domain.query import OWN_FILTERS, GroupBy, Query
from app.domain.times import format_micros, format_seconds
from app.feed.model import FeedCall, Group, ProviderTotal, SourceTotal, Totals
from app.feed.page_builder import PageBuilder
from app.feed.planner import Plan
from app.feed.visibility import native_query
from app.paging.cursor import CursorState
from app.privacy.redaction import Redactor
from app.providers.base import CallBudget, Record, Relation, Total
from app.providers.http.concurrency import SingleFlight, gather_all
from app.providers.shared import SharedState

_MOST = 8 * 1024 * 1024  #: bytes of cached values, about; the oldest go first
_OVERHEAD = 512  #: bytes of one, beside its key and its value

V = TypeVar("V", bound=msgspec.Struct)
Times = tuple[Moment, Moment]


class _Cached(msgspec.Struct, frozen=True):
    """A value, the seconds for which it is valid, and its bytes."""

    value: msgspec.Struct
    left: float
    size: int


class TotalsCache:
    """Values that cost provider calls. Concurrent callers of one key share one computation, also across replicas;
    errors are not cached.

    `ttl` in seconds, 0 for none. `patience`: seconds to wait for another replica that computes the same."""

    def __init__(self, *, ttl: float, patience: float, shared: SharedState | None = None) -> None:
        self._ttl, self._patience = ttl, patience
        self._shared = shared if ttl > 0 else None
        self._cached: TLRUCache[tuple[str, str, bytes], _Cached] = TLRUCache(
            _MOST, lambda _, cached, now: now + cached.left, time.monotonic, lambda cached: cached.size
        )
        self._flights: SingleFlight[tuple[Any, bool]] = SingleFlight()

    def __len__(self) -> int:
        return len(self._cached)

    async def get(
        self,
        kind: type[V],
        source: str,
        query: Query,
        others: tuple[Any, ...],
        make: Callable[[], Coroutine[Any, Any, V]],
        *,
        no_cache: bool,
    ) -> tuple[V, bool]:
        """Return the value of `kind` for a source's `query` and `others`, and whether it was cached. `no_cache`
        bypasses the cache. Raises what `make` raises."""
        key = kind.__name__, source, msgspec.msgpack.encode((query.model_dump_json(exclude_defaults=True), others))
        if not no_cache and (cached := self._cached.get(key)) is not None:
            return cached.value, True  # type: ignore[return-value]  # `kind` is part of the key

        async def find() -> tuple[V, bool]:
            async with AsyncExitStack() as stack:
                if self._shared is not None and not no_cache:
                    turn = self._shared.compute_once(self._shared.key(*key), self._patience)
                    held = await stack.enter_async_context(turn)
                    if held is not None:
                        with suppress(msgspec.MsgspecError):  # of another version
                            shared = msgspec.msgpack.decode(held.value, type=kind)
                            self._keep(key, shared, min(held.left, self._ttl), len(held.value))
                            return shared, True
                value = await make()
                encoded = msgspec.msgpack.encode(value)
                self._keep(key, value, self._ttl, len(encoded))
                if self._shared is not None:
                    await self._shared.put(self._shared.key(*key), encoded, self._ttl)
            return value, False

        # With `no_cache`, join no computation that began earlier.
        return await self._flights.join((key, no_cache), find)

    def _keep(self, key: tuple[str, str, bytes], value: msgspec.Struct, left: float, size: int) -> None:
        self._cached[key] = _Cached(value, left, _OVERHEAD + len(key[2]) + 3 * size)


_PAGE = 1000  #: events read at a time
_SMALL = 500  #: the same of a count that may be of few events, because a larger page takes ten more calls
_LEFT = 0.8  #: part of the deadline for an exact count, so that the last page completes


class Groups(msgspec.Struct, frozen=True):
    """How many events each key has, and how far the count came."""

    count: int
    relation: Relation
    groups: Mapping[str, int]
    as_of: int
    scanned_to: int | None = None


class EventCounter:
    """The counts of one plan."""

    def __init__(self, plan: Plan, call: FeedCall, cache: TotalsCache) -> None:
        query = plan.query.model_copy(update={"order": "desc", "follow": False})
        self._until = call.now if plan.window.until is None else plan.window.until
        self._plan = msgspec.structs.replace(
            plan,
            query=query,
            window=msgspec.structs.replace(plan.window, until=self._until),
            include=frozenset(),
            partial=False,
            position=(self._until,),
            states={},
        )
        self._call, self._cache = call, cache
        self._private, self._pseudonyms = "pii:read" in call.caller.scopes, call.settings.pseudonyms

    async def totals(self, times: Times, *, no_cache: bool, exact: bool, by: GroupBy | None) -> Totals:
        """`times`: `since` and `until` as the caller wrote them. Raises SourcesFailed."""
        found = await gather_all(self._of(name, times, no_cache, exact, by) for name in self._plan.active)
        sources = [source for source, _ in found]
        groups: Counter[str] = Counter()
        for source, keys in found:
            groups.update({source.name: source.value} if by == "source" else keys)
        relations = {source.relation for source in sources}
        relation: Relation = "estimate" if "estimate" in relations else "gte" if "gte" in relations else "eq"
        ordered = sorted((+groups).items(), key=lambda group: group[0] if by == "day" else (-group[1], group[0]))
        value, shown = sum(source.value for source in sources), [Group(*group) for group in ordered]
        return Totals(value, "events", relation, None if by is None else shown, (), sources)

    async def _of(
        self, name: str, times: Times, no_cache: bool, exact: bool, by: GroupBy | None
    ) -> tuple[SourceTotal, Mapping[str, int]]:
        plain = self._plan.query.model_copy(update={"source": (), "source_not": (), "provider": ()})
        try:
            own, own_cached = await self._own(name, plain, times, no_cache)
        except SourceForbidden:
            return SourceTotal(name, 0, "events", "gte", None, None, format_seconds(self._call.now), False), {}
        except SourceError as error:
            error.source = name
            raise SourcesFailed([error]) from None
        as_of = self._call.now if own is None or own.as_of is None else own.as_of
        total = None if own is None else ProviderTotal(own.value, own.unit, own.relation)
        if total is not None and total.unit == "events" and total.relation == "eq" and by in (None, "source"):
            return SourceTotal(name, total.value, "events", "eq", total, None, format_seconds(as_of), own_cached), {}
        is_small = total is None or (total.unit == "events" and total.value <= _SMALL)
        size = _SMALL if is_small else _PAGE
        others = (times, self._span(times), self._plan.ago, exact, by, self._private, not self._pseudonyms)
        found, cached = await self._cache.get(
            Groups, name, plain, others, lambda: self._read(name, exact, by, as_of, size), no_cache=no_cache
        )
        end = None if found.scanned_to is None else format_seconds(found.scanned_to)
        at = format_seconds(found.as_of)
        # `as_of` is the time of the provider's total, which may be the older of the two.
        is_cached = cached or own_cached
        return SourceTotal(name, found.count, "events", found.relation, total, end, at, is_cached), found.groups

    async def _own(self, name: str, plain: Query, times: Times, no_cache: bool) -> tuple[Total | None, bool]:
        """Return the provider's own total; None if it has none for these filters, or if the total would reveal hidden
        values."""
        searches_hidden = native_query(plain, self._call.caller) != plain
        if searches_hidden or any(getattr(plain, name) not in (None, ()) for name in OWN_FILTERS):
            return None, False
        others = times, self._span(times)
        total, cached = await self._cache.get(
            Total, name, plain, others, lambda: self._ask(name, plain), no_cache=no_cache
        )
        return (None if total.value == 0 and total.relation == "gte" else total), cached

    def _span(self, times: Times) -> int:
        """The default window (µs), which another replica may have set differently; 0 where `since` was given."""
        return self._until - self._plan.window.since if times[0] is None else 0

    async def _ask(self, name: str, plain: Query) -> Total:
        budget = CallBudget(deadline=self._call.deadline)
        try:
            async with asyncio.timeout(self._call.deadline - time.monotonic()):
                total = await self._call.sources[name].total(plain, self._plan.window.since, self._until, budget)
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None
        # A cached total is shown with the time when it was counted.
        return msgspec.structs.replace(total, as_of=self._call.now if budget.as_of is None else budget.as_of)

    async def _read(self, name: str, exact: bool, by: GroupBy | None, as_of: int, size: int) -> Groups:
        """Count by reading, newest first, within the budget of calls and time; `exact`: of time."""
        scan = self._call.settings.scan
        plan = msgspec.structs.replace(self._plan, active=(name,), limit=size)
        limit = self._call.begun + self._call.settings.deadline * _LEFT if exact else self._call.half_time
        groups: Counter[str] = Counter()
        count = calls = bad = 0
        scanned_to: int | None = None
        refused = unproven = False
        held: list[CursorState] = []

        def keep(state: CursorState) -> str:
            held.append(state)
            return ""

        while True:
            try:
                most_calls = None if exact else scan - calls
                page = await PageBuilder(plan, self._call, shown=False, most_calls=most_calls).page(keep)
            except SourcesFailed as failure:
                if scanned_to is None or not isinstance(failure.errors[0], SourceTimeout):
                    raise
                return Groups(count, "gte", groups, as_of, scanned_to)
            count += len(page.records)
            if by is not None:
                groups.update(self._keys(page.records, by))
            (status,) = (status for status in page.sources if status.name == name)
            calls, bad = calls + status.calls, bad + status.bad_records.total()
            refused, unproven = refused or status.status == "forbidden", unproven or status.unproven or status.assumes
            if not page.has_more:
                relation: Relation = "estimate" if bad else "gte" if refused else "estimate" if unproven else "eq"
                return Groups(count, relation, groups, as_of)
            scanned_to = page.position[0]
            # A page that half of its calls would not fill is not begun.
            if time.monotonic() >= limit or (not exact and status.calls > 2 * (scan - calls)):
                return Groups(count, "gte", groups, as_of, scanned_to)
            plan = msgspec.structs.replace(plan, position=tuple(held[-1].position), states=held[-1].sources)

    def _keys(self, records: Sequence[Record], by: GroupBy) -> Iterable[str]:
        """Return the group of each record, as visible to this caller."""
        if by == "type":
            return (record.type for record in records)
        if by == "category":
            return (record.key[2] for record in records)
        if by == "day":
            return (format_micros(record.key[0])[:10] for record in records)
        if by == "source":
            return ()
        events = Redactor(private=self._private, pseudonyms=self._pseudonyms).events(records)
        if by == "provider_type":
            return (event.provider_type for event in events)
        return (event.actor.email or event.actor.name or event.actor.kind for event in events)
