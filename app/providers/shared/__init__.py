"""Shared state of replicas in Redis or Valkey (6.2 or newer): totals, pauses and rates.

Names are keyed digests and contents are encrypted with the gateway's secret: replicas with the same secret share them,
and access to the store reveals no personal data and forges no values.

Redis may be slow, down, empty or full of foreign values at any time; the process then continues alone. A failed
operation suspends all operations for a second, so that requests do not pay for an outage.
"""

from __future__ import annotations

import base64
import hmac
import math
import os
import time
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.util import WindowStats
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError

from app.domain.errors import ConfigurationError
from app.paging.cursor import NONCE, Cipher
from app.providers.observer import Observer

T = TypeVar("T")

#: Prefix of every key, with the version of the values; different versions share nothing.
PREFIX = "audit-gateway:2"

_TIMEOUT = 0.1  #: seconds to connect, and for a response; the URL's `socket_timeout` takes precedence
_CONNECTIONS = 16  #: of one process, because an operation takes a fraction of a millisecond
_POOL_WAIT = 0.5  #: seconds to wait for one of them
_PAUSE = 1.0  #: seconds without operations after a failed one

_log = structlog.get_logger("gateway")


class CachedValue(msgspec.Struct, frozen=True):
    """A value, and its remaining seconds in the cache."""

    value: bytes
    left: float


class _Down(Exception):
    """The shared state is unreachable."""


class SharedState:
    """The state shared by gateways with the same first cursor `secret` and the same `accounts`, a text of all settings
    of sources. No method raises when Redis fails.

    `url` as redis-py reads it, also with `valkey` for `redis`. Raises ConfigurationError, naming GATEWAY_REDIS_URL, for
    an invalid URL."""

    def __init__(self, url: str, secret: str, observer: Observer, accounts: str = "") -> None:
        scheme, _, rest = url.partition("://")
        try:
            pool = BlockingConnectionPool.from_url(
                f"{scheme.replace('valkey', 'redis')}://{rest}", max_connections=_CONNECTIONS, timeout=_POOL_WAIT,
                socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0), protocol=2,
            )  # fmt: skip
        except (ValueError, TypeError):
            raise ConfigurationError(
                "GATEWAY_REDIS_URL: is no URL that a client understands, such as redis://localhost:6379/0."
            ) from None
        self._pool, self._redis = pool, Redis(connection_pool=pool)
        storage = RedisStorage("redis://", implementation="redispy", key_prefix=PREFIX, connection_pool=pool)  # type: ignore[arg-type]  # limits types its options as plain values and takes a pool
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._cipher = Cipher(secret, b"audit-gateway shared state 1")
        self._deployment = self._digest("deployment", accounts)
        self._observer = observer
        self._up, self._next_try = True, 0.0

    def _digest(self, *parts: bytes | str) -> str:
        """Return 26 letters and digits for `parts`; guesses of `parts` cannot be tested without the secret."""
        mac = hmac.new(self._cipher.mac_key, digestmod="sha256")
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            mac.update(len(data).to_bytes(8) + data)
        return base64.b32encode(mac.digest()[:16]).decode().rstrip("=").lower()

    def key(self, kind: str, *parts: bytes | str) -> str:
        """Return the name of a value. `kind` is a fixed word; the rest cannot be derived from the name."""
        return f"{PREFIX}:{self._deployment}:{kind}:{self._digest(kind, *parts)}"

    # ---- values --------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> CachedValue | None:
        """Return the value stored by `put`; None if it is missing, foreign or unreachable."""

        async def read() -> Any:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                return await pipe.execute()

        with suppress(_Down):
            sealed, left = await self._run(read)
            if isinstance(sealed, bytes) and left > 0:
                value = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], key.encode())
                return None if value is None else CachedValue(value, left / 1000)
        return None

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Cache a value, encrypted, for `seconds`."""
        nonce = os.urandom(NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, value, key.encode())
        with suppress(_Down):
            await self._run(lambda: self._redis.set(key, sealed, px=max(1, round(seconds * 1000))))

    @asynccontextmanager
    async def compute_once(self, key: str, patience: float) -> AsyncIterator[CachedValue | None]:
        """Single-flight among replicas: yields the value cached under `key`; or None, and then the block computes and
        `put`s it. One replica is inside at a time, for at most `patience` seconds; others wait as long."""
        held = await self.get(key)
        if held is not None:
            yield held
            return
        lock = Lock(self._redis, f"{key}:lock", timeout=patience, sleep=0.05, blocking_timeout=patience)
        acquired = False
        with suppress(_Down):
            acquired = await self._run(lock.acquire)
        try:
            yield await self.get(key)  # another replica may have stored it
        finally:
            if acquired:
                with suppress(_Down, LockError):  # the latter if the lock has expired
                    await self._run(lock.release)

    # ---- pauses --------------------------------------------------------------------------------------------------

    async def hold(self, key: str, seconds: float) -> None:
        """Begin a pause under `key`, unless a longer one is held."""
        if await self.time_left(key) < seconds:
            await self.put(key, b"", seconds)

    async def time_left(self, key: str) -> float:
        """Return the remaining seconds of the pause under `key`."""
        held = await self.get(key)
        return 0.0 if held is None else held.left

    # ---- rates ---------------------------------------------------------------------------------------------------

    async def count(self, item: RateLimitItem, caller: str) -> tuple[bool, WindowStats] | None:
        """Count one call of a caller against a rate. Returns whether it is allowed, and the window; None if the shared
        state is unreachable."""
        name = self.key("caller", caller)

        async def hit() -> tuple[bool, WindowStats]:
            allowed = await self._limiter.hit(item, name)
            return allowed, await self._limiter.get_window_stats(item, name)

        with suppress(_Down):
            return await self._run(hit)
        return None

    def rate(self, source: str, rate: float) -> Callable[[], Awaitable[None]]:
        """Return a function that waits until one more call of a source fits into the replicas' common `rate` (calls a
        second)."""
        # limits counts whole calls in whole seconds; use ten seconds for low rates.
        seconds = 1 if rate >= 10 or rate.is_integer() else max(10, math.ceil(1 / rate))
        item = RateLimitItemPerSecond(max(1, math.floor(rate * seconds)), seconds)
        name = self.key("rate", source)

        async def take() -> None:
            with suppress(_Down):
                while not await self._run(lambda: self._limiter.hit(item, name)):  # noqa: ASYNC110  # others count, too
                    await sleep(min(1.0, 1 / rate))

        return take

    # ---- up and down ---------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Notify the observer whether Redis can be written to, also while no request needs it."""
        self._observer.on_shared_state(self._up)
        with suppress(_Down):
            await self._run(lambda: self._redis.set(f"{PREFIX}:up", b"", px=1000))

    async def aclose(self) -> None:
        with suppress(RedisError, OSError):
            await self._pool.disconnect()

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Return the result of an operation. Raises _Down if it fails, or during the pause after a failure."""
        if not self._up:
            if time.monotonic() < self._next_try:
                raise _Down
            self._next_try = time.monotonic() + _PAUSE
        try:
            if not self._up:
                # Connections from before the outage would each fail once. Of all operations a write, because a
                # read-only, loading or full server is useless.
                await self._pool.disconnect(inuse_connections=False)
                await self._redis.set(f"{PREFIX}:up", b"", px=1000)
            result = await operation()
        except LockError:
            raise
        except (RedisError, OSError, ValueError, TypeError, IndexError) as error:
            self._next_try = time.monotonic() + _PAUSE
            if self._up:
                self._up = False
                self._observer.on_shared_state(False)
                # Without the error's text, which may quote the URL.
                _log.warning("shared_state_down", error=type(error).__name__)
            raise _Down from None
        if not self._up:
            self._up = True
            self._observer.on_shared_state(True)
            _log.warning("shared_state_up")
        return result
