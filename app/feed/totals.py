"""Totals and counts, cached for seconds in this process and, with Redis, in all replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from cachetools import TLRUCache

from app.domain.query import Query
from app.providers.http.concurrency import SingleFlight
from app.providers.shared.redis import SharedState

_MOST = 8 * 1024 * 1024  #: bytes of cached values, about; the oldest go first
_OVERHEAD = 512  #: bytes of one, beside its key and its value

V = TypeVar("V", bound=msgspec.Struct)


class _Cached(msgspec.Struct, frozen=True):
    """A value, the seconds for which it is valid, and its bytes."""

    value: msgspec.Struct
    left: float
    size: int


class TotalsCache:
    """Values that cost provider calls. Concurrent callers of one key share one computation, also across replicas;
    errors are not cached.

    `ttl` in seconds, 0 for none. `patience`: seconds to wait for another replica that computes the same. `timer` is a
    monotonic clock in seconds."""

    def __init__(
        self,
        *,
        ttl: float,
        patience: float,
        shared: SharedState | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl, self._patience = ttl, patience
        self._shared = shared if ttl > 0 else None
        self._cached: TLRUCache[tuple[str, str, bytes], _Cached] = TLRUCache(
            _MOST, lambda _, cached, now: now + cached.left, timer, lambda cached: cached.size
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
            if self._shared is None or no_cache:
                value = await make()
                await self._put(key, value)
                return value, False
            name = self._shared.key(*key)
            async with self._shared.compute_once(name, self._patience) as held:
                if held is not None and (shared := _decode(kind, held.value)) is not None:
                    self._keep(key, shared, min(held.left, self._ttl), len(held.value))
                    return shared, True
                value = await make()
                await self._put(key, value)
            return value, False

        # With `no_cache`, join no computation that began earlier.
        return await self._flights.join((key, no_cache), find)

    async def _put(self, key: tuple[str, str, bytes], value: msgspec.Struct) -> None:
        encoded = msgspec.msgpack.encode(value)
        self._keep(key, value, self._ttl, len(encoded))
        if self._shared is not None:
            await self._shared.put(self._shared.key(*key), encoded, self._ttl)

    def _keep(self, key: tuple[str, str, bytes], value: msgspec.Struct, left: float, size: int) -> None:
        self._cached[key] = _Cached(value, left, _OVERHEAD + len(key[2]) + 3 * size)


def _decode(kind: type[V], encoded: bytes) -> V | None:
    """None for a value that another version wrote."""
    try:
        return msgspec.msgpack.decode(encoded, type=kind)
    except msgspec.MsgspecError:
        return None
