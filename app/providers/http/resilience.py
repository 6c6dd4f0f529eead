"""Lets the calls to one source through: each in its turn, within the request's deadline, repeated within a budget, and
none while the source is left alone (`app.providers.http.availability`).

With other replicas it shares the circuit, the pause and the rate; concurrency and the budget for retries are each
process's own.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from app.domain.errors import SourceTimeout, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings, SourceHealth
from app.providers.http.availability import LONGEST_PAUSE, Availability
from app.providers.http.circuit_breaker import CallPermit
from app.providers.http.limiter import Turns
from app.providers.http.retry_budget import RetryBudget
from app.providers.observer import Outcome
from app.providers.shared.replicas import Replicas

ATTEMPTS = 3
SAFETY = 0.05  #: seconds of the deadline left for answering
_ENOUGH_TIME = 2.0  #: seconds; a provider that had less before the deadline is not to blame for having no answer
_ENOUGH_TO_RETRY = 0.5  #: seconds of the deadline without which a retry is not worth it
_JITTER = 0.1  #: of a pause: those who waited for it do not all come back in the same instant
_PROBE_UNDER_WAY = 1.0  #: seconds after which to come back where somebody else's probe is under way
_LEASE = 5.0  #: seconds beyond its request's deadline for which a probe keeps other replicas from making one


class Attempt(msgspec.Struct):
    """One call as it is made; whoever makes it says how it went. `ok` for the circuit: None where nobody knows."""

    outcome: Outcome = "canceled"
    ok: bool | None = None
    begun: float = msgspec.field(default_factory=time.monotonic)


class Resilience:
    """`common.timer` and `common.sleep` are the clock of circuits and pauses; deadlines are always on
    `time.monotonic`."""

    def __init__(self, source: str, common: CommonSettings) -> None:
        self._source, self._observer = source, common.observer
        self._timer, self._sleep = common.timer, common.sleep
        replicas = Replicas(source, common)
        self._turns = Turns(common.max_concurrency, common.max_rate, None if replicas.alone else replicas.take)
        self._budget = RetryBudget()
        self._availability = Availability(source, common, replicas)
        self._probe: tuple[int, asyncio.Event] | None = None  #: the request that makes it, and when it is settled

    # ---- one call ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def attempt(self, spent: CallBudget) -> AsyncIterator[Attempt]:
        """Waits for the call's turn; inside, it may be made. Raises SourceUnavailable where it may not."""
        permit: CallPermit | None = None
        while permit is None:
            await self._wait_at_the_door(spent)
            async with self._turns.turn(spent.request):
                # While it waited, the provider may have failed or asked for a pause.
                await self._availability.hear()
                if (permit := self._availability.enter()) is None:
                    continue
                if permit.probe:
                    async with self._probing(permit, spent) as attempt:
                        yield attempt
                else:
                    async with self._judged(permit, spent) as attempt:
                        yield attempt

    @asynccontextmanager
    async def _probing(self, permit: CallPermit, spent: CallBudget) -> AsyncIterator[Attempt]:
        """The one call that finds out whether the provider is back. Raises SourceUnavailable where another replica
        makes it."""
        probe = self._probe = (spent.request, asyncio.Event())
        owner = secrets.token_hex(8)
        try:
            lease = min(self.left(spent), LONGEST_PAUSE) + _LEASE
            if not await self._availability.claim_probe(permit, owner, lease):
                raise self._being_probed()
            async with self._judged(permit, spent, owner) as attempt:
                yield attempt
        finally:
            if self._probe is probe:
                self._probe = None
            probe[1].set()

    @asynccontextmanager
    async def _judged(self, permit: CallPermit, spent: CallBudget, probe: str = "") -> AsyncIterator[Attempt]:
        """The circuit hears how the call went, and the other replicas what that made of it."""
        attempt = Attempt()
        try:
            yield attempt
        except asyncio.CancelledError:
            self._judge_cut_off(attempt, spent)
            raise
        finally:
            changed = self._availability.settle(permit, attempt.ok)
            self._observer.on_call(self._source, attempt.outcome, time.monotonic() - attempt.begun)
            await self._availability.tell(probe, changed)

    # ---- the door ------------------------------------------------------------------------------------------------

    async def _wait_at_the_door(self, spent: CallBudget) -> None:
        """Returns when there is hope of a call."""
        while True:
            if not self._availability.is_closed or self._availability.pause_left() > 0:
                await self._availability.hear()
            if (wait := self._availability.wait()) > 0:
                self._observer.on_refused(self._source, "circuit_open")
                raise SourceUnavailable(
                    f"the provider failed {self._availability.failures} times in a row and is left alone for a while",
                    retry_after=wait,
                )
            if self._probe is not None:
                # The other calls of the request that probes wait for its outcome: to fail them would end the request,
                # and with it the probe. Everybody else is told at once.
                request, done = self._probe
                if request != spent.request:
                    raise self._being_probed()
                await done.wait()
            elif (pause := self._availability.pause_left()) > 0:
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

    def _judge_cut_off(self, attempt: Attempt, spent: CallBudget) -> None:
        # Cut off by the deadline (not by a caller who went away), a provider that had time enough has failed.
        if self.left(spent) <= 0:
            attempt.outcome = "timeout"
            attempt.ok = False if time.monotonic() - attempt.begun >= _ENOUGH_TIME else None

    # ---- between the calls ---------------------------------------------------------------------------------------

    def left(self, spent: CallBudget) -> float:
        """Seconds that the request still has for the provider."""
        return spent.deadline - time.monotonic() - SAFETY

    def begin(self, spent: CallBudget) -> None:
        """A call is about to be made that is no retry. Raises SourceTimeout."""
        if self.left(spent) <= 0:
            self._observer.on_refused(self._source, "deadline")
            raise SourceTimeout("the request's deadline passed before the provider was asked")
        self._budget.note_call(self._timer())

    async def pause(self, seconds: float) -> None:
        """The provider asked for it: every call of this source waits, or is refused, at all replicas."""
        await self._availability.pause(seconds)

    def may_retry(self, attempts: int, reason: Outcome, spent: CallBudget) -> bool | float:
        """Whether a call that failed `attempts` times, lately with `reason`, is worth another attempt: False, True
        (after the usual back-off), or seconds to wait."""
        left, pause = self.left(spent), self._availability.pause_left()
        if attempts >= ATTEMPTS or left <= _ENOUGH_TO_RETRY or pause >= left / 2 or not self._availability.is_closed:
            return False
        if not self._budget.take(self._timer()):
            return False
        self._observer.on_retry(self._source, reason)
        # A pause is waited out at the door, where everybody waits for it.
        return 0.0 if pause > 0 else True

    def health(self) -> SourceHealth:
        """How the source fares now."""
        return self._availability.health(in_flight=self._turns.in_flight, waiting=self._turns.waiting)
