"""Shared state in Redis or Valkey (6.2 or newer).

Redis is allowed to be slow, down, empty or full of somebody else's values at any time. An operation that fails leaves
it alone until it has answered again: a task of its own looks every second, so that requests pay for one failure, not
for an outage. Whatever it answers that is no answer to the operation (LOADING, READONLY, NOSCRIPT that stays, OOM) is
such a failure as well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.util import WindowStats
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from app.domain.errors import ConfigurationError
from app.providers.http.circuit_breaker import Bulletin
from app.providers.shared.interface import PREFIX, CachedValue, SharedObserver, SharedSourceState, SharedStateDown
from app.providers.shared.scripts import CLAIM, CLAIM_PROBE, PAUSE, PUBLISH, RELEASE, TAKE

T = TypeVar("T")

_TIMEOUT = 0.1  #: seconds to connect, and for an answer; the URL's `socket_timeout` goes before it
_CONNECTIONS = 16  #: of one process: an operation takes a fraction of a millisecond
_TURN = 0.5  #: seconds to wait for one of them
_LOOK = 1.0  #: seconds between two looks whether it is back
_QUIET = 60.0  #: seconds between two warnings
_KEPT = 86_400.0  #: seconds for which a circuit is remembered that nobody changes
_LONGEST = 1e7  #: seconds; more than anything that is kept here is kept for

_log = structlog.get_logger("gateway")


class RedisState:
    """Implements `app.providers.shared.interface.SharedState`. `url` as redis-py reads it, with `valkey` for `redis`
    as well.

    Raises ConfigurationError, naming GATEWAY_REDIS_URL, for one that it does not understand."""

    def __init__(self, url: str, observer: SharedObserver) -> None:
        scheme, _, rest = url.partition("://")
        url = f"{scheme.replace('valkey', 'redis')}://{rest}"
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_TURN,
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
        self._scripts = {text: self._redis.register_script(text) for text in _SCRIPTS}
        self._observer = observer
        self._up = True
        self._looking: asyncio.Task[None] | None = None
        self._warned = -math.inf

    # ---- values and owners ---------------------------------------------------------------------------------------

    async def get(self, key: str) -> CachedValue | None:
        async def ask() -> Any:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                return await pipe.execute()

        value, left = await self._run(ask, key)
        return CachedValue(value, left / 1000) if isinstance(value, bytes) and left > 0 else None

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        await self._run(lambda: self._redis.set(key, value, px=_millis(seconds)), key)

    async def moment(self) -> float:
        return _seconds(await self._run(self._redis.time))

    async def claim(self, key: str, owner: str, seconds: float) -> bool:
        return bool(await self._script(CLAIM, [key], [owner, _millis(seconds)]))

    async def release(self, key: str, owner: str) -> None:
        await self._script(RELEASE, [key], [owner])

    # ---- rates ---------------------------------------------------------------------------------------------------

    async def take(self, key: str, rate: float) -> float:
        interval = round(1e6 / rate)
        burst = round(1e6 * max(1.0, rate) / rate)
        return float(await self._script(TAKE, [key], [interval, burst])) / 1e6

    async def count(self, item: RateLimitItem, name: str) -> tuple[bool, WindowStats]:
        async def ask() -> tuple[bool, WindowStats]:
            allowed = await self._limiter.hit(item, name)
            return allowed, await self._limiter.get_window_stats(item, name)

        return await self._run(ask)

    # ---- a source ------------------------------------------------------------------------------------------------

    async def standing(self, source: str) -> SharedSourceState:
        pause, circuit = f"{source}:pause", f"{source}:circuit"

        async def ask() -> Any:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.pttl(pause)
                pipe.hmget(circuit, _FIELDS)
                pipe.time()
                return await pipe.execute()

        left, fields, moment = await self._run(ask, circuit)
        return SharedSourceState(max(0, left) / 1000, _bulletin(fields, _seconds(moment)))

    async def pause(self, source: str, seconds: float) -> None:
        await self._script(PAUSE, [f"{source}:pause"], [_millis(seconds)])

    async def publish(self, source: str, bulletin: Bulletin, owner: str) -> Bulletin:
        given = [
            bulletin.version, int(bulletin.closed), _millis(bulletin.wait, 0), _millis(bulletin.duration),
            bulletin.failures, owner, _millis(bulletin.wait + _KEPT),
        ]  # fmt: skip
        *fields, moment = await self._script(PUBLISH, [f"{source}:circuit", f"{source}:probe"], given)
        return _bulletin(fields, int(moment) / 1000) or bulletin

    async def claim_probe(self, source: str, version: int, owner: str, seconds: float) -> bool:
        keys = [f"{source}:circuit", f"{source}:probe"]
        return bool(await self._script(CLAIM_PROBE, keys, [version, owner, _millis(seconds)]))

    async def release_probe(self, source: str, owner: str) -> None:
        await self._script(RELEASE, [f"{source}:probe"], [owner])

    # ---- being up and down ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        with suppress(SharedStateDown):
            await self._run(self._look_once)
            self._observer.on_shared_state(True)

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        with suppress(RedisError, OSError):
            await self._pool.disconnect()

    async def _script(self, text: str, keys: list[str], given: list[Any]) -> Any:
        return await self._run(lambda: self._scripts[text](keys=keys, args=given), *keys)

    async def _run(self, operation: Callable[[], Awaitable[T]], *keys: str) -> T:
        if not self._up:
            raise SharedStateDown
        try:
            return await operation()
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                # Somebody else's value under our name: it is of no use to anybody.
                with suppress(RedisError, OSError):
                    await self._redis.delete(*keys)
            else:
                self._fell("answer", error)
        except (RedisTimeout, TimeoutError) as error:
            self._fell("timeout", error)
        except (RedisConnectionError, OSError) as error:
            self._fell("connection", error)
        except (RedisError, ValueError, TypeError, IndexError) as error:
            self._fell("answer", error)
        raise SharedStateDown

    def _fell(self, reason: str, error: Exception) -> None:
        self._observer.on_shared_error(reason)
        if not self._up:
            return
        self._up = False
        self._observer.on_shared_state(False)
        if time.monotonic() - self._warned >= _QUIET:
            self._warned = time.monotonic()
            # Never the error's own text: it may quote the URL.
            _log.warning("shared_state_down", reason=reason, error=type(error).__name__)
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Until it answers again."""
        while not self._up:
            await asyncio.sleep(_LOOK)
            try:
                # Connections that were open when it went down would fail once each.
                await self._pool.disconnect(inuse_connections=False)
                await self._look_once()
            except Exception:
                self._observer.on_shared_error("still_down")
                continue
            self._up = True
            self._observer.on_shared_state(True)
            _log.info("shared_state_up")

    async def _look_once(self) -> None:
        # A write: a replica that only reads, or one that is still loading or full, is of no use.
        await self._redis.set(f"{PREFIX}:look", b"", px=1000)


_SCRIPTS = (CLAIM, CLAIM_PROBE, PAUSE, PUBLISH, RELEASE, TAKE)
_FIELDS = ["version", "closed", "until", "duration", "failures"]


def _millis(seconds: float, least: int = 1) -> int:
    return max(least, round(min(seconds, _LONGEST) * 1000))


def _seconds(moment: tuple[int, int]) -> float:
    """Of Redis' TIME."""
    return moment[0] + moment[1] / 1e6


def _bulletin(fields: list[bytes | None], now: float) -> Bulletin | None:
    """What PUBLISH wrote; None for nothing, and for anything else."""
    try:
        version, closed, until, duration, failures = (int(field or b"") for field in fields)
    except ValueError:
        return None
    if not (0 < version < 2**53 and closed in (0, 1) and failures >= 0):
        return None
    wait = 0.0 if closed else max(0.0, until / 1000 - now)
    return Bulletin(version, bool(closed), wait, duration / 1000, failures)
