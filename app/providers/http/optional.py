"""Calls that no answer needs: they make it cheaper, or show that it is complete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from app.domain.errors import SourceError, SourceTimeout, SourceUnauthorized, SourceUnavailable
from app.domain.times import SECOND
from app.providers.base import CallBudget

#: Seconds after which a kind of call is made again that failed, and that failed because the provider was unavailable.
_AGAIN, _SOON = 600.0, 60.0
_LONGEST = 3600.0  #: seconds

T = TypeVar("T")


class OptionalCalls:
    """Optional calls of one source, and their failures by kind. `clock` returns µs since the epoch.

    A failure is "unknown", and costs once in ten minutes, or in one if the provider was unavailable: half of the time
    left at most, and as many attempts as for other calls. It is no failure of the source: it neither opens the circuit
    nor counts for it. `Retry-After` pauses the calls of this kind only, because the vendor may limit them apart; if it
    limits all, the next call that the answer needs receives it, too. A 401 is raised, because it concerns all calls.

    The caller adds a reason, or makes a count an estimate, if the answer may be incomplete without the call."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._failures: dict[Hashable, tuple[SourceError, int]] = {}  # and until when they are remembered

    def failure(self, kind: Hashable) -> SourceError | None:
        """Return the failure for which no call of a kind is made now."""
        error, until = self._failures.get(kind, (None, 0))
        return error if self._clock() < until else None

    async def attempt(self, kind: Hashable, spent: CallBudget, make: Callable[[CallBudget], Awaitable[T]]) -> T | None:
        """Return the result of `make`, which passes its budget to all calls; None if it failed, now or lately. `kind`:
        one of few. Raises SourceUnauthorized, but no other SourceError."""
        if self.failure(kind) is not None:
            return None
        own = CallBudget(deadline=(time.monotonic() + spent.deadline) / 2, is_optional=True)
        try:
            # A little more than each call has, so that its failure can be handled.
            async with asyncio.timeout(min(own.deadline - time.monotonic(), _LONGEST)):
                return await make(own)
        except SourceUnauthorized:
            raise
        except (SourceError, TimeoutError) as error:
            failure = error if isinstance(error, SourceError) else SourceTimeout("the provider did not answer in time")
            if own.calls:  # else the gateway's own limits refused the call
                again = _SOON if isinstance(failure, SourceUnavailable) else _AGAIN
                pause = max(again, failure.retry_after or 0)
                self._failures[kind] = failure, self._clock() + int(pause * SECOND)
            return None
        finally:
            spent.add(own)
