"""Which failures are retried, how often, and after which wait (stamina's exponential back-off with jitter)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

import stamina
import stamina.instrumentation

from app.domain.errors import SourceError
from app.providers.http.response import Response
from app.providers.observer import Outcome

ATTEMPTS = 3

#: Temporary statuses of overload and of intermediaries (520 to 524: Cloudflare; 529: overloaded).
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})

# stamina logs every retry with repr(exception) by default; the source's failures are logged by the client.
stamina.instrumentation.set_on_retry_hooks([])


class RetryableFailure(Exception):
    """A response or failure that may be retried. `reason`: as for the observer."""

    def __init__(self, reason: Outcome, found: Response | SourceError) -> None:
        self.reason, self.found = reason, found


def attempts(worth_repeating: Callable[[Exception], bool | float]) -> AsyncIterator[stamina.Attempt]:
    """Yield up to ATTEMPTS attempts; `worth_repeating` may return the next wait in seconds."""
    return stamina.retry_context(
        worth_repeating, attempts=ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
    )


class RetryBudget:
    """Over any `window` seconds, at most `reserve` retries plus `ratio` of the calls made (Finagle's rule, with a
    smaller reserve for tens of calls a second). Prevents a triple load on a provider that is down.

    Pure: `now` is in seconds of any monotonic clock."""

    def __init__(self, *, ratio: float = 0.2, reserve: int = 20, window: float = 10.0) -> None:
        self._ratio, self._reserve, self._window = ratio, reserve, window
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def note_call(self, now: float) -> None:
        """Count a call that is not a retry."""
        self._forget(now)
        self._calls.append(now)

    def take(self, now: float) -> bool:
        """Count one more retry, if the budget allows it."""
        self._forget(now)
        if len(self._retries) + 1 > self._reserve + self._ratio * len(self._calls):
            return False
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._calls, self._retries):
            while times and times[0] <= now - self._window:
                times.popleft()
