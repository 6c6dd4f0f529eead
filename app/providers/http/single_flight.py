"""What several ask for at the same time is made once: in this process (`SingleFlight`), and in all replicas
(`turn_to_make`)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec

from app.providers.shared.interface import CachedValue, Shared, SharedStateDown

T = TypeVar("T")

_LEASE = 3.0  #: seconds after which the others go on where the replica that makes a value is gone
_RENEWED = 1.0  #: seconds between two signs of life of it
_SOON, _LATER = 0.02, 0.2  #: seconds between two looks of those who wait, at first and in the end


class _Flight(msgspec.Struct, Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class SingleFlight(Generic[T]):
    """Work under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    async def join(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `make` gives, which is called only where nobody else is waiting for the same. It goes on as long as
        anybody waits for it, whoever came first. Raises what it raises."""
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
            # Whoever asked may be gone when it fails; an exception that nobody hears would be logged, with its text.
            task.exception()


@asynccontextmanager
async def turn_to_make(shared: Shared, key: str, patience: float) -> AsyncIterator[CachedValue | None]:
    """The value that is kept under `key`, made by whichever replica; or None, and then it is to be made, and put there,
    inside the block. Only one replica is inside at a time, unless one would have waited for longer than `patience`
    seconds, or there is no shared state to ask. Where the one inside fails or is gone, the next one is let in."""
    owner, lock = secrets.token_hex(8), f"{key}:making"
    held: CachedValue | None = None
    keeping: asyncio.Task[None] | None = None
    try:
        held = await _value_or_lock(shared, key, lock, owner, patience)
        if held is None:
            keeping = asyncio.create_task(_keep(shared, lock, owner))
    except SharedStateDown:
        pass
    try:
        yield held
    finally:
        if keeping is not None:
            keeping.cancel()
            await _release(shared, lock, owner)


async def _value_or_lock(shared: Shared, key: str, lock: str, owner: str, patience: float) -> CachedValue | None:
    """None: the lock is ours, or patience has come to its end."""
    deadline, pause = time.monotonic() + patience, _SOON
    while True:
        if (held := await shared.get(key)) is not None:
            return held
        if await shared.state.claim(lock, owner, _LEASE):
            # It may have been put there just before the lock was given up.
            if (held := await shared.get(key)) is not None:
                await _release(shared, lock, owner)
            return held
        if time.monotonic() >= deadline:
            return None
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LATER)


async def _keep(shared: Shared, lock: str, owner: str) -> None:
    """Shows that the one who makes the value is alive. Where patience had come to its end, the lock is another's, and
    stays so."""
    while True:
        await asyncio.sleep(_RENEWED)
        try:
            await shared.state.claim(lock, owner, _LEASE)
        except SharedStateDown:
            continue


async def _release(shared: Shared, lock: str, owner: str) -> None:
    try:
        await shared.state.release(lock, owner)
    except SharedStateDown:
        return
