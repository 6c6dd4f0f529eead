"""Waiting for what comes with time, however busy the machine is."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LONG = 60  #: seconds; longer than anything takes that comes at all


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Returns once it holds."""
    async with asyncio.timeout(LONG):
        while True:
            found = holds()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.01)


def wait_until(holds: Callable[[], object]) -> None:
    """The same in a test that is no coroutine."""
    deadline = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
