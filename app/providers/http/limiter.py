"""Limit number and rate of calls to one source, fairly between requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from aiolimiter import AsyncLimiter


class CallLimiter:
    """At most `concurrency` concurrent calls and `rate` calls a second (None: no bound).

    Round-robin queue between requests, so that a request with 32 calls cannot starve the others: of each request, one
    call at a time waits for the head of the queue. Only the head waits for the semaphore and the rate.

    `take_shared` waits for the shared rate of all replicas."""

    def __init__(
        self, concurrency: int, rate: float | None, take_shared: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        # A bucket of one second's calls, at least one call.
        self._rate = None if rate is None else AsyncLimiter(max(1.0, rate), max(1.0, rate) / rate)
        self._take_shared = take_shared
        self._head = asyncio.Lock()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()  #: by request
        self.in_flight = 0
        self.waiting = 0

    async def enter(self, request: int) -> None:
        """Wait for one call of `request`, an identifying number; `leave` must follow."""
        turn = self._turns.setdefault(request, asyncio.Lock())
        self.waiting += 1
        try:
            async with turn, self._head:
                await self._slots.acquire()
                try:
                    if self._rate is not None:
                        # Also with replicas: the process keeps its own rate if the shared state fails.
                        await self._rate.acquire()
                        if self._take_shared is not None:
                            await self._take_shared()
                except BaseException:
                    self._slots.release()
                    raise
        finally:
            self.waiting -= 1
        self.in_flight += 1

    def leave(self) -> None:
        """End the call."""
        self.in_flight -= 1
        self._slots.release()
