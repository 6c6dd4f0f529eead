"""Rate limits of callers: a sliding window per key, and the draft RateLimit headers.

The window slides over two counters per caller, so that a caller cannot double its rate around a full minute. Refused
calls do not count. Replicas count together; a replica without shared state counts separately.
"""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import TYPE_CHECKING

from app.domain.caller import Caller
from app.domain.errors import RateLimited
from app.providers.shared.redis import SharedState

if TYPE_CHECKING:  # imported when a rate is counted; many gateways have none
    from limits import RateLimitItem
    from limits.aio.storage import Storage
    from limits.aio.strategies import SlidingWindowCounterRateLimiter
    from limits.util import WindowStats


class Rates:
    """Count calls in `shared`, else in `storage`, by default this process's memory. `default`, such as `600/minute`, is
    the rate of callers without their own."""

    def __init__(
        self, storage: Storage | None = None, default: str | None = None, shared: SharedState | None = None
    ) -> None:
        self._shared = shared
        self._storage = storage
        self.default = default
        self._items: dict[str, RateLimitItem] = {}

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        return SlidingWindowCounterRateLimiter(self._storage or MemoryStorage())

    async def count(self, caller: Caller) -> tuple[list[tuple[bytes, bytes]], RateLimited | None]:
        """Count one call. Returns the headers `RateLimit-Policy` and `RateLimit`, for a caller with a rate
        (draft-ietf-httpapi-ratelimit-headers-10), and the error to raise for a call above it."""
        rate = caller.rate or self.default
        if rate is None:
            return [], None
        # Few rates, validated when the settings were read.
        item = self._items.get(rate)
        if item is None:
            from limits import parse

            item = self._items[rate] = parse(rate)
        allowed, state = await self._hit(item, caller)
        # Rounded up past the time itself, at which the window still contains the old calls.
        reset = max(0, math.floor(state.reset_time - time.time())) + 1
        remaining = max(0, state.remaining) if allowed else 0
        headers = [
            (b"ratelimit-policy", f'"key";q={item.amount};w={item.get_expiry()}'.encode()),
            (b"ratelimit", f'"key";r={remaining};t={reset}'.encode()),
        ]
        detail = f"{caller.name} may make {_in_words(rate)}; try again in {reset} s."
        return headers, None if allowed else RateLimited(detail, retry_after=reset)

    async def _hit(self, item: RateLimitItem, caller: Caller) -> tuple[bool, WindowStats]:
        if self._shared is not None:
            counted = await self._shared.count(item, caller.name)
            if counted is not None:
                return counted
        return await self._limiter.hit(item, caller.name), await self._limiter.get_window_stats(item, caller.name)


def _in_words(rate: str) -> str:
    amount, _, period = rate.partition("/")
    return f"{amount} {'call' if amount == '1' else 'calls'} {'an' if period == 'hour' else 'a'} {period}"
