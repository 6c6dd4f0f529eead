"""Circuit and pause state of one source; the pause comes from `Retry-After`.

A circuit belongs to this process; a pause holds for all replicas. The log records their beginnings and ends.
"""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import structlog

from app.domain.errors import SourceUnavailable
from app.domain.times import SECOND, format_micros, now_micros
from app.providers.base import CallBudget, CommonSettings, SourceHealth
from app.providers.http.response import LONGEST_PAUSE
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


SAFETY = 0.05  #: seconds of the deadline left for rendering the answer
_JITTER = 0.1  #: of a pause, so that waiting calls do not all return at once
_TRIAL_UNDER_WAY = 1.0  #: seconds to retry after, while another request makes the trial call

_log = structlog.get_logger("gateway")


def time_left(budget: CallBudget) -> float:
    """Return the seconds left of a request for the provider."""
    return budget.deadline - time.monotonic() - SAFETY


class SourceState:
    """State of the source `name`, whose provider listens at `host`. `common.timer` is the clock of circuit and pause;
    `common.observer` is notified of every change of the circuit."""

    def __init__(self, name: str, host: str, common: CommonSettings) -> None:
        self._name, self._host, self._shared = name, host, common.shared
        self._timer, self._sleep, self._observer = common.timer, common.sleep, common.observer
        self._clock = common.clock or now_micros
        self._circuit = Circuit()
        self._last_state: CircuitState = "closed"
        self._since = self._clock()
        self._cause = ""  #: of the last failure
        self._paused_until = 0.0
        self._pause_logged = False
        self._trial: tuple[int, asyncio.Event] | None = None  #: its request, and the event of its result
        self._pause_key = "" if common.shared is None else common.shared.key("pause", name)
        self._observer.on_circuit(name, "closed")

    @property
    def is_closed(self) -> bool:
        return self._circuit.state == "closed"

    def pause_left(self) -> float:
        """Return the remaining seconds of the pause."""
        return max(0.0, self._paused_until - self._timer())

    async def wait_until_open(self, budget: CallBudget) -> None:
        """Wait until a call is allowed. Raises SourceUnavailable if that takes too long."""
        while True:
            if (wait := self._circuit.wait(self._timer())) > 0:
                self._observer.on_refused(self._name, "circuit_open")
                raise SourceUnavailable(
                    f"calls are suspended after {self._circuit.failures} failures in a row: {self._cause}",
                    retry_after=wait,
                )
            if self._trial is not None:
                # Calls of the request with the trial call wait for its result, because failing them would end the
                # request and the trial. All other requests are refused immediately.
                request, done = self._trial
                if request != id(budget):
                    self._observer.on_refused(self._name, "circuit_open")
                    raise SourceUnavailable(
                        f"a trial call is under way after failures: {self._cause}", retry_after=_TRIAL_UNDER_WAY
                    )
                await done.wait()
            elif (pause := self.pause_left()) > 0:
                if pause >= time_left(budget) / 2:
                    self._observer.on_refused(self._name, "pause")
                    raise SourceUnavailable("the provider asked for a pause in calls", retry_after=pause)
                await self._sleep(pause * random.uniform(1.0, 1.0 + _JITTER))
            else:
                return

    async def enter(self, budget: CallBudget) -> CallPermit | None:
        """Return permission for one call, to pass to `settle`; None if the source accepts no calls."""
        if self._shared is not None:
            self._pause(await self._shared.time_left(self._pause_key), "another replica")
        if self.pause_left() > 0:
            return None
        if self._pause_logged:
            self._pause_logged = False
            _log.warning("source_pause_ended", source=self._name, host=self._host)
        permit = self._circuit.enter(self._timer())
        if permit is not None and permit.trial:
            self._trial = (id(budget), asyncio.Event())
        self._note_state()
        return permit

    def settle(self, permit: CallPermit, ok: bool | None, cause: str) -> None:
        """Record the result of a call (see `Circuit.settle`); `cause` is a sentence for a failure."""
        if ok is False:
            self._cause = cause
        self._circuit.settle(permit, self._timer(), ok)
        self._note_state()
        if permit.trial and self._trial is not None:
            self._trial[1].set()
            self._trial = None

    async def pause(self, seconds: float, cause: str) -> None:
        """Suspend all calls of the source, in all replicas."""
        self._pause(min(seconds, LONGEST_PAUSE), cause)
        if self._shared is not None:
            await self._shared.hold(self._pause_key, min(seconds, LONGEST_PAUSE))

    def _pause(self, seconds: float, cause: str) -> None:
        if seconds > self.pause_left():
            self._paused_until = self._timer() + seconds
            if not self._pause_logged:
                self._pause_logged = True
                _log.warning(
                    "source_paused", source=self._name, host=self._host, seconds=round(seconds, 1), cause=cause
                )

    def health(self, *, in_flight: int, waiting: int) -> SourceHealth:
        """Return the source's state, with these numbers of running and waiting calls."""
        now, pause, wait = self._clock(), self.pause_left(), self._circuit.wait(self._timer())
        return SourceHealth(
            circuit=self._circuit.state,
            since=format_micros(self._since),
            consecutive_failures=self._circuit.failures,
            retry_at=format_micros(now + int(wait * SECOND)) if self._circuit.state == "open" else None,
            paused_until=format_micros(now + int(pause * SECOND)) if pause > 0 else None,
            in_flight=in_flight,
            waiting=waiting,
        )

    def _note_state(self) -> None:
        state = self._circuit.state
        if state == self._last_state:
            return
        if state == "open" and self._last_state == "closed":
            _log.warning("source_circuit_opened", source=self._name, host=self._host, cause=self._cause)
        elif state == "closed":
            _log.warning("source_circuit_closed", source=self._name, host=self._host)
        self._last_state, self._since = state, self._clock()
        self._observer.on_circuit(self._name, state)
