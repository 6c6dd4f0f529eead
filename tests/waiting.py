"""Wait for a condition, also on a busy machine."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

TIMEOUT = 60  #: seconds


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return as soon as the condition is true."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object]) -> None:
    """The same outside of a coroutine."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)
