"""Circuit breaker: stops calls to a provider that fails, and makes one trial call at a time to see if it is back.

A pure state machine with times in seconds of any monotonic clock as arguments. The libraries (purgatory,
circuitbreaker, aiobreaker, hyx) allow all waiting calls at once when the time is up, and none doubles the time.
"""

from __future__ import annotations

import msgspec

from app.providers.observer import CircuitState


class CallPermit(msgspec.Struct, frozen=True):
    """Permission for one call, to pass to `Circuit.settle` once."""

    era: int
    trial: bool


class Circuit:
    """Opens after `threshold` failures in a row, for `first` seconds; then one trial call decides. A trial call that
    fails doubles the time, up to `most` seconds; one that succeeds closes the circuit and resets the time."""

    def __init__(self, *, threshold: int = 5, first: float = 30.0, most: float = 300.0) -> None:
        self._threshold, self._first, self._most = threshold, first, most
        self.state: CircuitState = "closed"
        self.failures = 0  #: consecutive
        self._duration = first
        self._until = 0.0
        self._trying = False
        # The result of a call that began before the circuit changed its state does not apply to the new state.
        self._era = 0

    def enter(self, now: float) -> CallPermit | None:
        """Return permission for one call; None while the circuit is open or a trial call is under way."""
        if self.state == "closed":
            return CallPermit(self._era, False)
        if self._trying or now < self._until:
            return None
        self._change("half_open")
        self._trying = True
        return CallPermit(self._era, True)

    def wait(self, now: float) -> float:
        """Return the seconds until a trial call may be made; 0 also while one is under way."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def settle(self, permit: CallPermit, now: float, ok: bool | None) -> None:
        """Record the result of a call. None: unknown, for example if the caller disconnected."""
        if permit.era != self._era:
            return
        if permit.trial:
            self._trying = False
        if ok:
            self.failures = 0
            if permit.trial:
                self._duration = self._first
                self._change("closed")
        elif ok is False:
            self.failures += 1
            if permit.trial:
                self._duration = min(self._most, 2 * self._duration)
            if permit.trial or self.failures >= self._threshold:
                self._until = now + self._duration
                self._change("open")

    def _change(self, state: CircuitState) -> None:
        if state != self.state:
            self.state = state
            self._era += 1
