"""Bounds the calls to one source in number and in rate, fairly between requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter


class CallLimiter:
    """At most `concurrency` calls at a time and `rate` calls a second (None: no bound).

    Round-robin queue between requests, so that a request with 32 calls cannot starve the others. Only the call at the
    head of the queue waits for the semaphore and the rate, so that their own first-come order never decides.

    `take_shared` awaits the rate that all replicas keep together."""

    def __init__(
        self, concurrency: int, rate: float | None, take_shared: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        # A bucket of one second's calls; of one call where that is less.
        self._rate = None if rate is None else AsyncLimiter(max(1.0, rate), max(1.0, rate) / rate)
        self._take_shared = take_shared
        self._busy = False
        self._queue: dict[int, deque[asyncio.Future[None]]] = {}  #: by request, in the order in which they are served
        self.in_flight = 0
        self.waiting = 0

    async def enter(self, request: int) -> None:
        """Wait for the turn of one call of `request`, any number that identifies requests; `leave` must follow."""
        self.waiting += 1
        try:
            await self._reach_head(request)
            try:
                await self._slots.acquire()
                try:
                    if self._rate is not None:
                        # Beside other replicas, too: the process keeps to its own rate when the shared state fails.
                        await self._rate.acquire()
                        if self._take_shared is not None:
                            await self._take_shared()
                except BaseException:
                    self._slots.release()
                    raise
            finally:
                self._leave_head()
        finally:
            self.waiting -= 1
        self.in_flight += 1

    def leave(self) -> None:
        """End the call."""
        self.in_flight -= 1
        self._slots.release()

    async def _reach_head(self, request: int) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.setdefault(request, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave_head()  # the turn had come already: pass it on
            raise

    def _leave_head(self) -> None:
        """Let the next call in. The request that it belongs to goes to the end of the queue."""
        while self._queue:
            request = next(iter(self._queue))
            turns = self._queue.pop(request)
            turn = turns.popleft()
            if turns:
                self._queue[request] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
