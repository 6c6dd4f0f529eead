"""A circuit breaker: stops asking a provider that fails, and finds out with one call at a time whether it is back.

A state machine of our own, pure: times are seconds on any monotonic clock, passed in. The libraries were looked at
(purgatory, circuitbreaker, aiobreaker, hyx): all let every waiting call through at once when the time is up, none
doubles the time, and purgatory reads `time.time` itself, so a gate, a back-off and a clock around it would have been
more than the thing.

Replicas of the gateway may share one: each has a circuit of its own, gives out its `bulletin` whenever that changed,
and takes over (`adopt`) those of the others. The highest version is the newest.
"""

from __future__ import annotations

import msgspec

from app.providers.observer import CircuitState


class CallPermit(msgspec.Struct, frozen=True):
    """Leave to make one call. Each must be given back, once, by `Circuit.settle`."""

    era: int
    probe: bool


class Bulletin(msgspec.Struct, frozen=True):
    """What other replicas have to know of a circuit. `wait`: seconds until a call may be tried, 0 where one may be now;
    `duration`: how long it opened for, in seconds. Both mean nothing where it is closed."""

    version: int
    closed: bool
    wait: float
    duration: float
    failures: int


class Circuit:
    """Opens at `threshold` failures in a row, for `first` seconds; then one probe decides. A probe that fails doubles
    the time, up to `most` seconds; one that succeeds closes the circuit, and the next opening lasts `first` again."""

    def __init__(self, *, threshold: int = 5, first: float = 30.0, most: float = 300.0) -> None:
        self._threshold, self._first, self._most = threshold, first, most
        self.state: CircuitState = "closed"
        self.failures = 0  #: in a row
        self.version = 0  #: of what it is: counts how often it opened and closed, here or at another replica
        self._duration = first
        self._until = 0.0
        self._probing = False
        # Answers to calls that were made before the circuit changed its state say nothing about the state it is in.
        self._era = 0

    def enter(self, now: float) -> CallPermit | None:
        """Leave for one call; None where there is none to be had, for `wait` seconds."""
        if self.state == "closed":
            return CallPermit(self._era, False)
        if self._probing or now < self._until:
            return None
        self._change("half_open")
        self._probing = True
        return CallPermit(self._era, True)

    def wait(self, now: float) -> float:
        """Seconds until a call may be tried; 0 also while a probe is under way."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def settle(self, permit: CallPermit, now: float, ok: bool | None) -> None:
        """What came of the call. None: nothing is known, such as where the caller went away."""
        if permit.era != self._era:
            return
        if permit.probe:
            self._probing = False
            if ok is None:
                return
        if ok:
            self.failures = 0
            if permit.probe:
                self._duration = self._first
                self.version += 1
                self._change("closed")
        elif ok is False:
            self.failures += 1
            if permit.probe:
                self._duration = min(self._most, 2 * self._duration)
            if permit.probe or self.failures >= self._threshold:
                self._until = now + self._duration
                self.version += 1
                self._change("open")

    def bulletin(self, now: float) -> Bulletin:
        """What it is now, for the other replicas."""
        closed = self.state == "closed"
        wait = 0.0 if closed else max(0.0, self._until - now)
        return Bulletin(self.version, closed, wait, self._duration, self.failures)

    def adopt(self, bulletin: Bulletin, now: float) -> None:
        """Become what another replica's circuit is, unless this one is newer. Of two that say differently in the same
        version, the one that comes from outside holds: everybody is told the same one."""
        differs = bulletin.closed != (self.state == "closed")
        if bulletin.version < self.version or (bulletin.version == self.version and not differs):
            return
        self.version, self.failures = bulletin.version, bulletin.failures
        self._probing = False
        if bulletin.closed:
            self._duration, self.failures = self._first, 0
            self._change("closed")
        else:
            self._duration = min(self._most, max(self._first, bulletin.duration))
            self._until = now + min(self._most, max(0.0, bulletin.wait))
            self._change("open")

    def _change(self, state: CircuitState) -> None:
        if state != self.state:
            self.state = state
            self._era += 1
