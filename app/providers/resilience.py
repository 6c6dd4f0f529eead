"""What all calls to one source share: its circuit, the pause it asked for, its limits, its budget for retries.

With other replicas it shares the circuit, the pause and the rate (`app.providers.replicas`); concurrency and the budget
for retries are each process's own. Before each call it hears how the source stands; where it cannot, what it knows
itself holds.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import SourceTimeout, SourceUnavailable
from app.domain.times import SECOND
from app.providers.base import CommonSettings, SourceHealth, Spent
from app.providers.budget import RetryBudget
from app.providers.circuit import Circuit, Permit
from app.providers.observer import CircuitState, Outcome
from app.providers.replicas import Replicas
from app.providers.turnstile import Turns

ATTEMPTS = 3
SAFETY = 0.05  #: seconds of the deadline left for answering
LONGEST_PAUSE = 3600.0  #: seconds; a provider that names more is asked once an hour whether it still means it
_ENOUGH_TIME = 2.0  #: seconds; a provider that had less before the deadline is not to blame for having no answer
_ENOUGH_TO_RETRY = 0.5  #: seconds of the deadline without which a retry is not worth it
_JITTER = 0.1  #: of a pause: those who waited for it do not all come back in the same instant
_PROBE_UNDER_WAY = 1.0  #: seconds after which to come back where somebody else's probe is under way
_LEASE = 5.0  #: seconds beyond its request's deadline for which a probe keeps other replicas from making one


@dataclass(slots=True)
class Attempt:
    """One call as it is made; whoever makes it says how it went. `ok` for the circuit: None where nobody knows."""

    outcome: Outcome = "canceled"
    ok: bool | None = None
    begun: float = field(default_factory=time.monotonic)


class Resilience:
    """`common.timer` and `common.sleep` are the clock of circuits and pauses; deadlines are always on
    `time.monotonic`."""

    def __init__(self, source: str, common: CommonSettings) -> None:
        self._source, self._observer = source, common.observer
        self._timer, self._sleep = common.timer, common.sleep
        self._clock = common.clock or (lambda: time.time_ns() // 1000)
        self._replicas = Replicas(source, common)
        self._turns = Turns(
            common.max_concurrency, common.max_rate, None if self._replicas.alone else self._replicas.take
        )
        self._budget = RetryBudget()
        self._circuit = Circuit()
        self._seen: CircuitState = "closed"
        self._since = self._clock()
        self._paused_until = 0.0
        self._probe: tuple[int, asyncio.Event] | None = None  #: the request that makes it, and when it is settled
        self._telling: set[asyncio.Task[None]] = set()
        self._observer.on_circuit(source, "closed")

    # ---- one call ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def attempt(self, spent: Spent) -> AsyncIterator[Attempt]:
        """Waits for the call's turn; inside, it may be made. Raises SourceUnavailable where it may not."""
        permit: Permit | None = None
        while permit is None:
            await self._wait_at_the_door(spent)
            async with self._turns.turn(spent.request):
                # While it waited, the provider may have failed or asked for a pause.
                await self._hear()
                if self._pause() > 0 or (permit := self._circuit.enter(self._timer())) is None:
                    continue
                self._note_state()
                if permit.probe:
                    async with self._probing(permit, spent) as attempt:
                        yield attempt
                else:
                    async with self._judged(permit, spent) as attempt:
                        yield attempt

    @asynccontextmanager
    async def _probing(self, permit: Permit, spent: Spent) -> AsyncIterator[Attempt]:
        """The one call that finds out whether the provider is back. Raises SourceUnavailable where another replica
        makes it."""
        probe = self._probe = (spent.request, asyncio.Event())
        owner = secrets.token_hex(8)
        try:
            if not await self._claim(permit, owner, min(self.left(spent), LONGEST_PAUSE) + _LEASE):
                raise self._being_probed()
            async with self._judged(permit, spent, owner) as attempt:
                yield attempt
        finally:
            if self._probe is probe:
                self._probe = None
            probe[1].set()

    async def _claim(self, permit: Permit, owner: str, seconds: float) -> bool:
        """Whether no other replica makes the probe; otherwise `permit` is given back."""
        if self._replicas.alone:
            return True
        claimed = False
        try:
            claimed = await self._replicas.claim_probe(self._circuit.version, owner, seconds)
        finally:
            if not claimed:
                self._circuit.settle(permit, self._timer(), None)
                # The caller may have gone just when it was claimed.
                await self._finish(self._replicas.release_probe(owner))
        return claimed

    @asynccontextmanager
    async def _judged(self, permit: Permit, spent: Spent, probe: str = "") -> AsyncIterator[Attempt]:
        """The circuit hears how the call went, and the other replicas what that made of it."""
        attempt = Attempt()
        try:
            yield attempt
        except asyncio.CancelledError:
            self._judge_cut_off(attempt, spent)
            raise
        finally:
            version = self._circuit.version
            self._circuit.settle(permit, self._timer(), attempt.ok)
            self._note_state()
            self._observer.on_call(self._source, attempt.outcome, time.monotonic() - attempt.begun)
            if not self._replicas.alone and (probe or self._circuit.version != version):
                # Also where the caller is gone: the others wait for it.
                await self._finish(self._tell(probe, self._circuit.version != version))

    # ---- the other replicas --------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Takes over what other replicas found out, and tells them what they missed."""
        standing = await self._replicas.standing()
        if standing is None:
            return
        now = self._timer()
        self._paused_until = max(self._paused_until, now + min(standing.pause, LONGEST_PAUSE))
        own, theirs = self._circuit.bulletin(now), standing.circuit
        unknown = not own.closed if theirs is None else own.version > theirs.version
        if unknown:
            theirs = await self._replicas.publish(own)
        if theirs is not None:
            self._circuit.adopt(theirs, now)
            self._note_state()

    async def _tell(self, probe: str, changed: bool) -> None:
        """Tells the other replicas of a change, and gives up the probe."""
        if changed:
            await self._replicas.publish(self._circuit.bulletin(self._timer()), probe)
        else:
            await self._replicas.release_probe(probe)

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work`, which goes on to its end if the caller is cut off meanwhile."""
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        await asyncio.shield(task)

    # ---- the door ------------------------------------------------------------------------------------------------

    async def _wait_at_the_door(self, spent: Spent) -> None:
        """Returns when there is hope of a call."""
        while True:
            if self._circuit.state != "closed" or self._pause() > 0:
                await self._hear()
            if (wait := self._circuit.wait(self._timer())) > 0:
                self._observer.on_refused(self._source, "circuit_open")
                raise SourceUnavailable(
                    f"the provider failed {self._circuit.failures} times in a row and is left alone for a while",
                    retry_after=wait,
                )
            if self._probe is not None:
                # The other calls of the request that probes wait for its outcome: to fail them would end the request,
                # and with it the probe. Everybody else is told at once.
                request, done = self._probe
                if request != spent.request:
                    raise self._being_probed()
                await done.wait()
            elif (pause := self._pause()) > 0:
                if pause >= self.left(spent) / 2:
                    self._observer.on_refused(self._source, "pause")
                    raise SourceUnavailable("the provider asked to be left alone for a while", retry_after=pause)
                await self._sleep(pause * random.uniform(1.0, 1.0 + _JITTER))
            else:
                return

    def _being_probed(self) -> SourceUnavailable:
        self._observer.on_refused(self._source, "circuit_open")
        return SourceUnavailable(
            "the provider failed, and is just being asked whether it is back", retry_after=_PROBE_UNDER_WAY
        )

    def _judge_cut_off(self, attempt: Attempt, spent: Spent) -> None:
        # Cut off by the deadline (not by a caller who went away), a provider that had time enough has failed.
        if self.left(spent) <= 0:
            attempt.outcome = "timeout"
            attempt.ok = False if time.monotonic() - attempt.begun >= _ENOUGH_TIME else None

    # ---- between the calls ---------------------------------------------------------------------------------------

    def left(self, spent: Spent) -> float:
        """Seconds that the request still has for the provider."""
        return spent.deadline - time.monotonic() - SAFETY

    def begin(self, spent: Spent) -> None:
        """A call is about to be made that is no retry. Raises SourceTimeout."""
        if self.left(spent) <= 0:
            self._observer.on_refused(self._source, "deadline")
            raise SourceTimeout("the request's deadline passed before the provider was asked")
        self._budget.note_call(self._timer())

    async def pause(self, seconds: float) -> None:
        """The provider asked for it: every call of this source waits, or is refused, at all replicas."""
        seconds = min(seconds, LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, self._timer() + seconds)
        await self._replicas.pause(seconds)

    def may_retry(self, attempts: int, reason: Outcome, spent: Spent) -> bool | float:
        """Whether a call that failed `attempts` times, lately with `reason`, is worth another attempt: False, True
        (after the usual back-off), or seconds to wait."""
        left, pause = self.left(spent), self._pause()
        if attempts >= ATTEMPTS or left <= _ENOUGH_TO_RETRY or pause >= left / 2 or self._circuit.state != "closed":
            return False
        if not self._budget.take(self._timer()):
            return False
        self._observer.on_retry(self._source, reason)
        # A pause is waited out at the door, where everybody waits for it.
        return 0.0 if pause > 0 else True

    def health(self) -> SourceHealth:
        """How the source fares now."""
        now, pause = self._clock(), self._pause()
        wait = self._circuit.wait(self._timer())
        return SourceHealth(
            circuit=self._circuit.state,
            since=self._since,
            consecutive_failures=self._circuit.failures,
            retry_at=now + int(wait * SECOND) if self._circuit.state == "open" else None,
            paused_until=now + int(pause * SECOND) if pause > 0 else None,
            in_flight=self._turns.in_flight,
            waiting=self._turns.waiting,
        )

    def _pause(self) -> float:
        return max(0.0, self._paused_until - self._timer())

    def _note_state(self) -> None:
        if self._circuit.state != self._seen:
            self._seen, self._since = self._circuit.state, self._clock()
            self._observer.on_circuit(self._source, self._seen)
