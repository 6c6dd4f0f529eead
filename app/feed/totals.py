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

from app.domain.errors import SourceError, SourceForbidden, SourcesFailed, SourceTimeout, SourceUnavailable
from app.domain.parameters import Moment
from app.domain.query import OWN_FILTERS, GroupBy, Query
from app.domain.times import format_micros, format_seconds
from app.feed.model import FeedCall, Group, ProviderTotal, SourceTotal, Totals
from app.feed.page_builder import PageBuilder
from app.feed.visibility import native_query
from app.paging.cursor import WalkState
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
    """The counts of a walk's events. `times`: `since` and `until` as the caller wrote them."""

    def __init__(self, walk: WalkState, call: FeedCall, cache: TotalsCache, times: Times, *, no_cache: bool) -> None:
        query = walk.query.model_copy(update={"order": "desc", "follow": False})
        until = self._until = call.now if walk.until is None else walk.until
        self._walk = msgspec.structs.replace(walk, query=query, until=until, partial=False, position=(until,))
        self._call, self._cache, self._no_cache = call, cache, no_cache
        self._private, self._pseudonyms = "pii:read" in call.caller.scopes, call.settings.pseudonyms
        # With the default window (µs), which another replica may have set differently.
        self._times = times, until - walk.since if times[0] is None else 0

    async def totals(self, *, exact: bool = False, by: GroupBy | None = None) -> Totals:
        """Raises SourcesFailed."""
        found = await gather_all(self._of(name, exact, by) for name in self._walk.sources)
        sources = [source for source, _ in found]
        groups: Counter[str] = Counter()
        for source, keys in found:
            groups.update({source.name: source.value} if by == "source" else keys)
        relations = {source.relation for source in sources}
        relation: Relation = "estimate" if "estimate" in relations else "gte" if "gte" in relations else "eq"
        ordered = sorted((+groups).items(), key=lambda group: group[0] if by == "day" else (-group[1], group[0]))
        value, shown = sum(source.value for source in sources), [Group(*group) for group in ordered]
        return Totals(value, "events", relation, None if by is None else shown, (), sources)

    async def _of(self, name: str, exact: bool, by: GroupBy | None) -> tuple[SourceTotal, Mapping[str, int]]:
        plain = self._walk.query.model_copy(update={"source": (), "source_not": (), "provider": ()})
        own: Total | None = None
        own_cached = False
        # The provider's own total would reveal hidden values, and has no filters that the gateway alone judges.
        searches_hidden = native_query(plain, self._call.caller) != plain
        if not searches_hidden and all(getattr(plain, one) in (None, ()) for one in OWN_FILTERS):
            try:
                own, own_cached = await self._cache.get(
                    Total, name, plain, self._times, lambda: self._ask(name, plain), no_cache=self._no_cache
                )
            except SourceForbidden:
                return SourceTotal(name, 0, "events", "gte", None, None, format_seconds(self._call.now), False), {}
            except SourceError as error:
                error.source = name
                raise SourcesFailed([error]) from None
            if own.value == 0 and own.relation == "gte":
                own = None
        as_of = self._call.now if own is None or own.as_of is None else own.as_of
        total = None if own is None else ProviderTotal(own.value, own.unit, own.relation)
        if own is not None and own.unit == "events" and own.relation == "eq" and by in (None, "source"):
            return SourceTotal(name, own.value, "events", "eq", total, None, format_seconds(as_of), own_cached), {}
        is_small = total is None or (total.unit == "events" and total.value <= _SMALL)
        size = _SMALL if is_small else _PAGE
        others = (*self._times, self._walk.ago, exact, by, self._private, not self._pseudonyms)
        found, cached = await self._cache.get(
            Groups, name, plain, others, lambda: self._read(name, exact, by, as_of, size), no_cache=self._no_cache
        )
        end = None if found.scanned_to is None else format_seconds(found.scanned_to)
        at = format_seconds(found.as_of)
        # `as_of` is the time of the provider's total, which may be the older of the two.
        is_cached = cached or own_cached
        return SourceTotal(name, found.count, "events", found.relation, total, end, at, is_cached), found.groups

    async def _ask(self, name: str, plain: Query) -> Total:
        budget = CallBudget(deadline=self._call.deadline)
        try:
            async with asyncio.timeout(self._call.deadline - time.monotonic()):
                total = await self._call.sources[name].total(plain, self._walk.since, self._until, budget)
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None
        # A cached total is shown with the time when it was counted.
        return msgspec.structs.replace(total, as_of=self._call.now if budget.as_of is None else budget.as_of)

    async def _read(self, name: str, exact: bool, by: GroupBy | None, as_of: int, size: int) -> Groups:
        """Count by reading, newest first, within the budget of calls and time; `exact`: of time."""
        call, walk = self._call, msgspec.structs.replace(self._walk, sources={name: {}}, limit=size)
        limit = call.begun + call.settings.deadline * _LEFT if exact else call.half_time
        groups: Counter[str] = Counter()
        count = calls = bad = 0
        scanned_to: int | None = None
        refused = unproven = False
        held: list[WalkState] = []

        def keep(state: WalkState) -> str:
            held.append(state)
            return ""

        while True:
            try:
                most_calls = None if exact else call.settings.scan - calls
                page = await PageBuilder(walk, call, shown=False, most_calls=most_calls).page(keep)
            except SourcesFailed as failure:
                (error,), now = failure.errors, time.monotonic()
                # With half of the time used, a lower bound is of more use than a time to retry after.
                is_late = isinstance(error, SourceUnavailable) and now >= self._call.half_time
                if scanned_to is None or not (is_late or isinstance(error, SourceTimeout)):
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
            if time.monotonic() >= limit or (not exact and status.calls > 2 * (call.settings.scan - calls)):
                return Groups(count, "gte", groups, as_of, scanned_to)
            walk = held[-1]

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
