"""Bounds on long and large responses: open streams and exports of one key, and large pages at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from app.domain.caller import Caller
from app.domain.errors import RateLimited

SLOT_WAIT = 30  #: seconds of Retry-After if streams or exports must end first
_LARGE = 200  #: events of a page that waits for its turn
_LARGE_AT_ONCE = 3  #: such pages at once


class Slots:
    """Streams or exports (`what`) that are open in this process, `each` per key. The middleware bounds them in all."""

    def __init__(self, what: str, each: int) -> None:
        self._what, self._each = what, each
        self.taken = Counter[str]()

    @contextmanager
    def take(self, caller: Caller) -> Iterator[None]:
        """Hold one slot. Raises RateLimited for a key that holds its share."""
        if self.taken[caller.name] >= self._each:
            detail = (
                f"This key has {self._each} {self._what} open, as many as one key may"
                f" (GATEWAY_KEY_{self._what.upper()}); end one of them."
            )
            raise RateLimited(detail, retry_after=SLOT_WAIT)
        self.taken[caller.name] += 1
        try:
            yield
        finally:
            self.taken[caller.name] -= 1
            self.taken += Counter()  # without noughts: names of tokens come and go


class LargePages:
    """Limit for pages of many events, because each uses much memory and processor time. If none has ended for
    `patience` seconds, the others continue, so that one provider that hangs does not delay the pages of another."""

    def __init__(self, patience: float = 2.0) -> None:
        self._turns, self._patience = asyncio.Semaphore(_LARGE_AT_ONCE), patience
        self._ended = 0.0

    @asynccontextmanager
    async def turn(self, limit: int | None) -> AsyncIterator[None]:
        """Hold a turn for a page of `limit` events; None: the limit of its cursor."""
        if limit is not None and limit <= _LARGE:
            yield
            return
        taken, begun = False, time.monotonic()
        while not taken and time.monotonic() - max(begun, self._ended) < self._patience:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    taken = await self._turns.acquire()
        try:
            yield
        finally:
            self._ended = time.monotonic()
            if taken:
                self._turns.release()
