"""Shared state of replicas in Redis or Valkey (6.2 or newer): totals, pauses and rates.

Names are keyed digests and contents are encrypted with the gateway's secret: replicas with the same secret share them,
and access to the store reveals no personal data and forges no values.

Redis may be slow, down, empty or full of foreign values at any time; the process then continues alone. A failed
operation suspends all operations until a background task, which retries once a second, succeeds. So requests pay for
one failure, not for an outage.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
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
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from app.domain.errors import ConfigurationError
from app.paging.cipher import NONCE, Cipher
from app.providers.observer import Observer

T = TypeVar("T")

#: Prefix of every key, with the version of the values; different versions share nothing.
PREFIX = "audit-gateway:2"

_TIMEOUT = 0.1  #: seconds to connect, and for a response; the URL's `socket_timeout` takes precedence
_CONNECTIONS = 16  #: of one process, because an operation takes a fraction of a millisecond
_POOL_WAIT = 0.5  #: seconds to wait for one of them
_RECONNECT = 1.0  #: seconds between two attempts to reconnect
_QUIET = 60.0  #: seconds between two warnings
_LEASE = 3.0  #: seconds after which another replica computes the value of a dead one; renewed in thirds
_POLL = 0.05  #: seconds between two polls of a lock

_log = structlog.get_logger("gateway")


class CachedValue(msgspec.Struct, frozen=True):
    """A value, and its remaining seconds in the cache."""

    value: bytes
    left: float


class _Down(Exception):
    """The shared state is unreachable."""


class ValueCipher:
    """Cipher from a secret of any length, with keys independent of those of cursors."""

    def __init__(self, secret: str) -> None:
        self._cipher = Cipher(secret, b"audit-gateway shared state 1")

    def digest(self, *parts: bytes | str) -> str:
        """Return 26 letters and digits for `parts`; guesses of `parts` cannot be tested without the secret."""
        mac = hmac.new(self._cipher.mac_key, digestmod="sha256")
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            mac.update(len(data).to_bytes(8) + data)
        return base64.b32encode(mac.digest()[:16]).decode().rstrip("=").lower()

    def seal(self, key: str, value: bytes) -> bytes:
        """Encrypt a value, for decryption under the same `key` only."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """Return the value, or None if `seal` did not create it for this key."""
        return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], key.encode())


class SharedState:
    """The state shared by gateways with the same first cursor `secret`. No method raises when Redis fails.

    `url` as redis-py reads it, also with `valkey` for `redis`. `accounts`: by source, its settings, keys included; two
    gateways on one store share nothing of sources that have the same name and different settings. Raises
    ConfigurationError, naming GATEWAY_REDIS_URL, for an invalid URL."""

    def __init__(self, url: str, secret: str, observer: Observer, accounts: Mapping[str, Any] | None = None) -> None:
        scheme, _, rest = url.partition("://")
        try:
            pool = BlockingConnectionPool.from_url(
                f"{scheme.replace('valkey', 'redis')}://{rest}",
                max_connections=_CONNECTIONS,
                timeout=_POOL_WAIT,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        except (ValueError, TypeError):
            raise ConfigurationError(
                "GATEWAY_REDIS_URL: is no URL that a client understands, such as redis://localhost:6379/0."
            ) from None
        self._pool, self._redis = pool, Redis(connection_pool=pool)
        storage = RedisStorage("redis://", implementation="redispy", key_prefix=PREFIX, connection_pool=pool)  # type: ignore[arg-type]  # limits types its options as plain values and takes a pool
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._cipher = ValueCipher(secret)
        self._deployment = self._cipher.digest("deployment")
        self._accounts = {
            name: self._cipher.digest("account", json.dumps(account, sort_keys=True, default=str))
            for name, account in (accounts or {}).items()
        }
        self._observer = observer
        self._up = True
        self._reconnecting: asyncio.Task[None] | None = None
        self._warned = -math.inf

    def key(self, kind: str, source: str, *parts: bytes | str) -> str:
        """Return the name of a value of a source. `kind` is a fixed word; the rest cannot be derived from the name."""
        digest = self._cipher.digest(kind, source, self._accounts.get(source, ""), *parts)
        return f"{PREFIX}:{self._deployment}:{kind}:{digest}"

    # ---- values --------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> CachedValue | None:
        """Return the value stored by `put`; None if it is missing, foreign or unreachable."""

        async def read() -> Any:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                return await pipe.execute()

        try:
            sealed, left = await self._run(read, key)
            value = self._cipher.open(key, sealed) if isinstance(sealed, bytes) and left > 0 else None
        except _Down:
            return None
        return None if value is None else CachedValue(value, left / 1000)

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Cache a value, encrypted, for `seconds`."""
        with suppress(_Down):
            sealed = self._cipher.seal(key, value)
            await self._run(lambda: self._redis.set(key, sealed, px=max(1, round(seconds * 1000))), key)

    @asynccontextmanager
    async def compute_once(self, key: str, patience: float) -> AsyncIterator[CachedValue | None]:
        """Single-flight among replicas: yields the value cached under `key`; or None, and then the block computes and
        `put`s it. One replica is inside at a time, unless another would wait longer than `patience` seconds."""
        held = await self.get(key)
        if held is not None:
            yield held
            return
        lock = Lock(self._redis, f"{key}:lock", timeout=_LEASE, sleep=_POLL, blocking_timeout=patience)
        try:
            acquired = await self._run(lock.acquire, f"{key}:lock")
        except _Down:
            acquired = False
        renewal = asyncio.create_task(self._renew(lock)) if acquired else None
        try:
            yield await self.get(key)  # another replica may have stored it
        finally:
            if renewal is not None:
                renewal.cancel()
                with suppress(_Down):
                    await self._run(lambda: _while_held(lock.release), f"{key}:lock")

    async def _renew(self, lock: Lock) -> None:
        with suppress(_Down):
            while True:
                await asyncio.sleep(_LEASE / 3)
                await self._run(lambda: _while_held(lock.reacquire))

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
        name = f"{self._deployment}:caller:{self._cipher.digest('caller', caller)}"

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
                    await asyncio.sleep(min(1.0, 1 / rate))

        return take

    # ---- up and down ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Check whether Redis is reachable."""
        with suppress(_Down):
            await self._run(self._try)
            self._observer.on_shared_state(True)

    async def aclose(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._reconnecting
        with suppress(RedisError, OSError):
            await self._pool.disconnect()

    async def _run(self, operation: Callable[[], Awaitable[T]], *keys: str) -> T:
        if not self._up:
            raise _Down
        try:
            return await operation()
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                self._fall("answer", error)
            else:  # a foreign value under this name
                with suppress(RedisError, OSError):
                    await self._redis.delete(*keys)
        except (RedisTimeout, TimeoutError) as error:
            self._fall("timeout", error)
        except (RedisConnectionError, OSError) as error:
            self._fall("connection", error)
        except (RedisError, ValueError, TypeError, IndexError) as error:
            self._fall("answer", error)
        raise _Down

    def _fall(self, reason: str, error: Exception) -> None:
        self._observer.on_shared_error(reason)
        if not self._up:
            return
        self._up = False
        self._observer.on_shared_state(False)
        if time.monotonic() - self._warned >= _QUIET:
            self._warned = time.monotonic()
            # Without the error's text, which may quote the URL.
            _log.warning("shared_state_down", reason=reason, error=type(error).__name__)
        self._reconnecting = asyncio.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while not self._up:
            await asyncio.sleep(_RECONNECT)
            try:
                # Connections from before the outage would each fail once.
                await self._pool.disconnect(inuse_connections=False)
                await self._try()
            except Exception:
                self._observer.on_shared_error("still_down")
                continue
            self._up = True
            self._observer.on_shared_state(True)
            _log.info("shared_state_up")

    async def _try(self) -> None:
        # A write, because a read-only, loading or full server is useless.
        await self._redis.set(f"{PREFIX}:up", b"", px=1000)


async def _while_held(operation: Callable[[], Awaitable[Any]]) -> None:
    """Run an operation on a lock, without effect if the lease has expired."""
    with suppress(LockError):
        await operation()
