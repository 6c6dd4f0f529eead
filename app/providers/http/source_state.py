"""Circuit and pause of one source; the pause comes from `Retry-After`.

A circuit belongs to this process; a pause holds for all replicas. The log records their beginnings and ends.
"""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from app.domain.errors import SourceUnavailable
from app.domain.times import SECOND, format_micros, now_micros
from app.providers.base import CallBudget, CommonSettings, SourceHealth
from app.providers.http.response import LONGEST_PAUSE
from app.providers.observer import CircuitState

SAFETY = 0.05  #: seconds of the deadline left for rendering the answer
_FAILURES = 5  #: in a row, that open the circuit
_FIRST, _LONGEST = 30.0, 300.0  #: seconds for which it is open
_JITTER = 0.1  #: of a pause, so that waiting calls do not all return at once
_TRIAL_UNDER_WAY = 1.0  #: seconds to retry after, while another request makes the trial call

_log = structlog.get_logger("gateway")


def time_left(budget: CallBudget) -> float:
    """Return the seconds left of a request for the provider."""
    return budget.deadline - time.monotonic() - SAFETY


class SourceState:
    """State of the source `name`, whose provider listens at `host`. `common.timer` is the clock of circuit and pause;
    `common.observer` is notified of every change of the circuit.

    After five failures in a row the circuit opens for 30 s; then one trial call decides. A trial call that fails
    doubles the time, up to 300 s; one that succeeds closes the circuit and resets the time."""

    def __init__(self, name: str, host: str, common: CommonSettings) -> None:
        self._name, self._host, self._shared = name, host, common.shared
        self._timer, self._sleep, self._observer = common.timer, common.sleep, common.observer
        self._clock = common.clock or now_micros
        self.circuit: CircuitState = "closed"
        self.failures = 0  #: consecutive
        self._since = self._clock()
        self._cause = ""  #: of the last failure
        self._duration, self._open_until, self._paused_until = _FIRST, 0.0, 0.0
        self._pause_logged = False
        self._trial: tuple[int, asyncio.Event] | None = None  #: its request, and the event of its result
        # The result of a call that began before the circuit changed its state does not apply to the new state.
        self._era = 0
        self._pause_key = "" if common.shared is None else common.shared.key("pause", name)
        self._observer.on_circuit(name, "closed")

    def pause_left(self) -> float:
        """Return the remaining seconds of the pause."""
        return max(0.0, self._paused_until - self._timer())

    async def wait_until_open(self, budget: CallBudget) -> None:
        """Wait until a call is allowed. Raises SourceUnavailable if that takes too long."""
        if self._shared is not None:
            self._pause(await self._shared.time_left(self._pause_key), "another replica")
        while True:
            if self.circuit == "open" and (wait := self._open_until - self._timer()) > 0:
                self._observer.on_refused(self._name, "circuit_open")
                cause = f"calls are suspended after {self.failures} failures in a row: {self._cause}"
                raise SourceUnavailable(cause, retry_after=wait)
            if self._trial is not None:
                # Calls of the request with the trial call wait for its result, because failing them would end the
                # request and the trial. All other requests are refused immediately.
                request, done = self._trial
                if request != id(budget):
                    self._observer.on_refused(self._name, "circuit_open")
                    cause = f"a trial call is under way after failures: {self._cause}"
                    raise SourceUnavailable(cause, retry_after=_TRIAL_UNDER_WAY)
                await done.wait()
            elif (pause := self._paused_until - self._timer()) > 0:
                if pause >= time_left(budget) / 2:
                    self._observer.on_refused(self._name, "pause")
                    raise SourceUnavailable("the provider asked for a pause in calls", retry_after=pause)
                await self._sleep(pause * random.uniform(1.0, 1.0 + _JITTER))
            else:
                return

    def enter(self, request: int) -> int | None:
        """Return permission for one call of a request, to pass to `settle` once; None if the source accepts no
        calls."""
        now = self._timer()
        if now < self._paused_until:
            return None
        if self._pause_logged:
            self._pause_logged = False
            _log.warning("source_pause_ended", source=self._name, host=self._host)
        if self.circuit != "closed":
            if self._trial is not None or now < self._open_until:
                return None
            self._trial = request, asyncio.Event()
            self._change("half_open")
        return self._era

    def settle(self, permit: int, ok: bool | None, cause: str) -> None:
        """Record the result of a call; `cause` is a sentence for a failure. `ok` None: unknown, for example if the
        caller disconnected."""
        if ok is False:
            self._cause = cause
        if permit != self._era:
            return
        trial, self._trial = self._trial, None
        if ok:
            self.failures = 0
            if trial is not None:
                self._duration = _FIRST
                self._change("closed")
        elif ok is False:
            self.failures += 1
            if trial is not None:
                self._duration = min(_LONGEST, 2 * self._duration)
            if trial is not None or self.failures >= _FAILURES:
                self._open_until = self._timer() + self._duration
                self._change("open")
        if trial is not None:
            trial[1].set()

    async def pause(self, seconds: float, cause: str) -> None:
        """Suspend all calls of the source, in all replicas."""
        self._pause(min(seconds, LONGEST_PAUSE), cause)
        if self._shared is not None:
            await self._shared.hold(self._pause_key, min(seconds, LONGEST_PAUSE))

    def _pause(self, seconds: float, cause: str) -> None:
        if seconds > self.pause_left():
            self._paused_until = self._timer() + seconds
            if not self._pause_logged:
                self._pause_logged, rounded = True, round(seconds, 1)
                _log.warning("source_paused", source=self._name, host=self._host, seconds=rounded, cause=cause)

    def health(self, *, in_flight: int, waiting: int) -> SourceHealth:
        """Return the source's state, with these numbers of running and waiting calls."""
        now, pause, wait = self._clock(), self.pause_left(), max(0.0, self._open_until - self._timer())
        return SourceHealth(
            circuit=self.circuit,
            since=format_micros(self._since),
            consecutive_failures=self.failures,
            retry_at=format_micros(now + int(wait * SECOND)) if self.circuit == "open" else None,
            paused_until=format_micros(now + int(pause * SECOND)) if pause > 0 else None,
            in_flight=in_flight,
            waiting=waiting,
        )

    def _change(self, state: CircuitState) -> None:
        before, self.circuit = self.circuit, state
        if state == before:  # another trial call
            return
        if state == "open" and before == "closed":
            _log.warning("source_circuit_opened", source=self._name, host=self._host, cause=self._cause)
        elif state == "closed":
            _log.warning("source_circuit_closed", source=self._name, host=self._host)
        self._era += 1
        self._since = self._clock()
        self._observer.on_circuit(self._name, state)
