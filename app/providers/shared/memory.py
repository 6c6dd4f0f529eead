"""Shared state in this process's memory: for several gateways in one process, and as the measure of what
`app.providers.shared.redis` has to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.util import WindowStats

from app.providers.http.circuit_breaker import Bulletin
from app.providers.shared.interface import CachedValue, SharedSourceState


class MemoryState:
    """Implements `app.providers.shared.interface.SharedState`. `timer` is a monotonic clock in seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._values: dict[str, tuple[bytes, float]] = {}  # and until when they are kept
        self._owners: dict[str, tuple[str, float]] = {}
        self._buckets: dict[str, float] = {}  # when each will be empty
        self._pauses: dict[str, float] = {}
        self._circuits: dict[str, tuple[Bulletin, float]] = {}  # and until when no call may be tried
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def get(self, key: str) -> CachedValue | None:
        now = self._timer()
        value, until = self._values.get(key, (b"", 0.0))
        return CachedValue(value, until - now) if until > now else None

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        now = self._timer()
        self._values = {name: held for name, held in self._values.items() if held[1] > now}
        self._values[key] = (value, now + seconds)

    async def moment(self) -> float:
        return self._timer()

    async def claim(self, key: str, owner: str, seconds: float) -> bool:
        now = self._timer()
        holder, until = self._owners.get(key, ("", 0.0))
        if until > now and holder != owner:
            return False
        self._owners[key] = (owner, now + seconds)
        return True

    async def release(self, key: str, owner: str) -> None:
        holder = self._owners.get(key)
        if holder is not None and holder[0] == owner:
            del self._owners[key]

    async def take(self, key: str, rate: float) -> float:
        now = self._timer()
        empty = max(now, self._buckets.get(key, 0.0))
        wait = empty + 1.0 / rate - max(1.0, rate) / rate - now
        if wait > 1e-9:
            return wait
        self._buckets[key] = empty + 1.0 / rate
        return 0.0

    async def count(self, item: RateLimitItem, name: str) -> tuple[bool, WindowStats]:
        allowed = await self._limiter.hit(item, name)
        return allowed, await self._limiter.get_window_stats(item, name)

    async def standing(self, source: str) -> SharedSourceState:
        now = self._timer()
        return SharedSourceState(max(0.0, self._pauses.get(source, 0.0) - now), self._circuit(source, now))

    def _circuit(self, source: str, now: float) -> Bulletin | None:
        if source not in self._circuits:
            return None
        bulletin, until = self._circuits[source]
        return msgspec.structs.replace(bulletin, wait=max(0.0, until - now))

    async def pause(self, source: str, seconds: float) -> None:
        self._pauses[source] = max(self._pauses.get(source, 0.0), self._timer() + seconds)

    async def publish(self, source: str, bulletin: Bulletin, owner: str) -> Bulletin:
        await self.release_probe(source, owner)
        now = self._timer()
        held = self._circuit(source, now)
        if held is not None and held.version >= bulletin.version:
            return held
        self._circuits[source] = (bulletin, now + bulletin.wait)
        return bulletin

    async def claim_probe(self, source: str, version: int, owner: str, seconds: float) -> bool:
        held = self._circuit(source, self._timer())
        if held is None or held.closed or held.version != version or held.wait > 0:
            return False
        return await self.claim(f"{source}:probe", owner, seconds)

    async def release_probe(self, source: str, owner: str) -> None:
        await self.release(f"{source}:probe", owner)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def flush(self) -> None:
        """Forget everything."""
        self._values, self._owners, self._buckets, self._pauses, self._circuits = {}, {}, {}, {}, {}
        await self._limiter.storage.reset()
