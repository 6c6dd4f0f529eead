"""A budget for retries: when a provider is down, repeating every call would be three times the load, on both sides."""

from __future__ import annotations

from collections import deque


class RetryBudget:
    """Over any `window` seconds, at most `reserve` retries and `ratio` of the calls made (Finagle's rule, with a
    smaller reserve: a source is asked tens of times a second, not thousands).

    Pure: `now` is in seconds on any monotonic clock."""

    def __init__(self, *, ratio: float = 0.2, reserve: int = 20, window: float = 10.0) -> None:
        self._ratio, self._reserve, self._window = ratio, reserve, window
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def note_call(self, now: float) -> None:
        """A call was made that is no retry."""
        self._forget(now)
        self._calls.append(now)

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; it is then counted."""
        self._forget(now)
        if len(self._retries) + 1 > self._reserve + self._ratio * len(self._calls):
            return False
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._calls, self._retries):
            while times and times[0] <= now - self._window:
                times.popleft()
