"""Totals: what the providers count themselves, kept for seconds, together with the other replicas; and, where asked,
events counted one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
from cachetools import TLRUCache

from app.domain.errors import SourceTimeout
from app.domain.query import Query, Window
from app.domain.times import now_micros
from app.providers.base import CallBudget, Relation, Source, Total
from app.providers.http.single_flight import SingleFlight
from app.providers.shared.redis import CachedValue, SharedState

_MOST = 8 * 1024 * 1024  #: bytes of totals kept, about; the oldest go first
_SIZE = 1024  #: of one, beside its filters

#: Source, filters, window as it was asked for: a bound that was left out moves with the clock, and stays left out here.
_Key = tuple[str, Query, int | None, int | None]


class _Known(msgspec.Struct, frozen=True):
    """A total, the seconds for which it is good, and the bytes that it takes with its key."""

    total: Total
    left: float
    size: int


class TotalsCache:
    """Totals of single sources. Concurrent callers share one upstream call, in all replicas; errors are not kept.

    `ttl` in seconds, 0 for none; `clock` gives µs since the epoch; `timer` is a monotonic clock in seconds."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        ttl: float,
        deadline: float,
        shared: SharedState | None = None,
        clock: Callable[[], int] = now_micros,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._deadline, self._ttl, self._clock = sources, deadline, ttl, clock
        self._shared = shared if ttl > 0 else None
        self._kept: TLRUCache[_Key, _Known] = TLRUCache(
            _MOST, lambda _, known, now: now + known.left, timer, lambda known: known.size
        )
        self._flights: SingleFlight[tuple[Total, bool]] = SingleFlight()

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: _Key, window: Window, until: int, *, fresh: bool) -> tuple[Total, bool]:
        """The total, and whether it was known before. `fresh` goes past what is kept. Raises SourceError."""
        if not fresh and (known := self._kept.get(key)) is not None:
            return known.total, True
        # Who wants a fresh one must not be given what is just being looked up.
        return await self._flights.join((key, fresh), lambda: self._find(key, window.since, until, fresh))

    async def _find(self, key: _Key, since: int, until: int, fresh: bool) -> tuple[Total, bool]:
        try:
            async with asyncio.timeout(self._deadline):
                if self._shared is None:
                    return await self._count(key, since, until, fresh), False
                return await self._together(self._shared, key, since, until, fresh)
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None

    async def _together(
        self, shared: SharedState, key: _Key, since: int, until: int, fresh: bool
    ) -> tuple[Total, bool]:
        """As any replica counted it lately, or counted here for all of them."""
        # A gateway with another default window may be among them: the same question has another answer there.
        name = shared.key(
            "total",
            key[0],
            msgspec.msgpack.encode([key[1].model_dump(), *key[2:], until - since if key[2] is None else 0]),
        )
        if fresh:
            return await self._count_for_all(shared, name, key, since, until, fresh), False
        async with shared.compute_once(name, self._deadline / 2) as held:
            total = None if held is None else _read(held)
            if held is None or total is None:
                return await self._count_for_all(shared, name, key, since, until, fresh), False
        self._keep(key, total, min(held.left, self._ttl))
        return total, True

    async def _count_for_all(
        self, shared: SharedState, name: str, key: _Key, since: int, until: int, fresh: bool
    ) -> Total:
        total = await self._count(key, since, until, fresh)
        await shared.put(name, _KEPT.encode((total.value, total.unit, total.relation, total.as_of)), self._ttl)
        return total

    async def _count(self, key: _Key, since: int, until: int, fresh: bool) -> Total:
        spent = CallBudget(deadline=time.monotonic() + self._deadline)
        now = self._clock()
        total = await self._sources[key[0]].total(key[1], since, until, spent)
        if total.as_of is None:
            # It is kept with its time: who is given it later must not be told that it is of then.
            total = msgspec.structs.replace(total, as_of=now)
        self._keep(key, total, self._ttl)
        return total

    def _keep(self, key: _Key, total: Total, left: float) -> None:
        self._kept[key] = _Known(total, left, _SIZE + 2 * len(key[1].model_dump_json(exclude_defaults=True)))


_KEPT = msgspec.msgpack.Encoder()
_READ = msgspec.msgpack.Decoder(
    tuple[
        Annotated[int, msgspec.Meta(ge=0, le=2**53)],
        Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,32}\Z")],
        Relation,
        int | None,
    ]
)


def _read(held: CachedValue) -> Total | None:
    """None for what another version wrote."""
    try:
        value, unit, relation, as_of = _READ.decode(held.value)
    except msgspec.MsgspecError:
        return None
    return Total(value, unit, relation, as_of)
