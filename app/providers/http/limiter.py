"""Whose turn it is: fair between requests, bounded in number and in rate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter


class CallLimiter:
    """Lets through one at a time, taking requests in turn: one that wants 32 pages gets one, then everybody else who
    waits gets one, then it gets the next."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # in the order in which they are served

    async def enter(self, request: int) -> None:
        """Waits for the turn of one of the calls of `request`; `leave` must follow."""
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was our turn already: to the next one with it
            raise

    def leave(self) -> None:
        """Lets the next one in. A request that was just served goes to the end of the line."""
        while self._waiting:
            request = next(iter(self._waiting))
            turns = self._waiting.pop(request)
            turn = turns.popleft()
            if turns:
                self._waiting[request] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False


class Turns:
    """At most `concurrency` calls at a time, and at most `rate` a second (None: any number), handed out fairly.

    `take` asks whoever else keeps the rate: the other replicas. It gives 0 where the call may go, or the seconds after
    which to ask again. Only the one at the turnstile waits for the semaphore and the limiters, so that their own
    first-come order never decides."""

    def __init__(
        self, concurrency: int, rate: float | None, take: Callable[[], Awaitable[float]] | None = None
    ) -> None:
        self._turnstile = CallLimiter()
        self._slots = asyncio.Semaphore(concurrency)
        # A bucket of one second's calls; of one call where that is less.
        self._limiter = None if rate is None else AsyncLimiter(max(1.0, rate), max(1.0, rate) / rate)
        self._take = take
        self.in_flight = 0
        self.waiting = 0

    async def _take_turn_with_others(self) -> None:
        wait = 0.0 if self._take is None else await self._take()
        while self._take is not None and wait > 0:
            await asyncio.sleep(wait)
            wait = await self._take()

    @asynccontextmanager
    async def turn(self, request: int) -> AsyncIterator[None]:
        """One call of `request`, any number that tells requests apart."""
        self.waiting += 1
        try:
            await self._turnstile.enter(request)
            try:
                await self._slots.acquire()
                try:
                    if self._limiter is not None:
                        # Also beside other replicas: what this process used is known then when it is left alone.
                        await self._limiter.acquire()
                        await self._take_turn_with_others()
                except BaseException:
                    self._slots.release()
                    raise
            finally:
                self._turnstile.leave()
        finally:
            self.waiting -= 1
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._slots.release()
