"""Concurrent calls to the providers: gathered, shared by callers (single-flight), and limited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import msgspec
from aiolimiter import AsyncLimiter

T = TypeVar("T")


async def in_slices(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Yield the items in slices of 100. Serves other requests in between."""
    for start in range(0, len(items), 100):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + 100]


async def gather_all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the calls concurrently; returns the results in the given order.

    The first failure cancels the others, and is raised itself, not in a group."""
    waiting = list(calls)
    if len(waiting) == 1:
        return [await waiting[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in waiting]
    except BaseExceptionGroup as group_error:
        error: BaseException = group_error
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return [task.result() for task in tasks]


class _Flight(msgspec.Struct, Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class SingleFlight(Generic[T]):
    """Running computations of this process, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    async def join(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of `make`, called only if no computation of `key` is running. It runs as long as any caller
        waits for it. Raises its exceptions."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(make()))
            flight.task.add_done_callback(lambda task: self._land(key, task))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                self._land(key, flight.task)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if task.done() and not task.cancelled():
            # Without callers, asyncio would log a failure with its text.
            task.exception()


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
        if not self.waiting and self._rate is None and not self._slots.locked():
            await self._slots.acquire()  # at once
            self.in_flight += 1
            return
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


class RetryBudget:
    """A bucket of retries: each call adds a fifth of one, and each second two (Finagle's rule, with a smaller reserve
    for tens of calls a second). Prevents a triple load on a provider that is down."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer, self._at = timer, timer()
        self._fifths = 100.0  #: of a retry
        self.calls = 0  #: since the last retry, counted by the client

    def take(self) -> bool:
        """Count one more retry, if the budget allows it."""
        now = self._timer()
        earned = self.calls + 10 * (now - self._at)
        self._fifths, self._at, self.calls = min(200.0, self._fifths + earned), now, 0
        if self._fifths < 5:
            return False
        self._fifths -= 5
        return True
