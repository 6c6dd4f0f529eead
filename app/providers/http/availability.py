"""Whether one source may be asked now: its circuit, and the pause that its provider asked for.

Both are kept in step with the other replicas (`app.providers.shared.replicas`): `hear` takes over what they found
out, what is found out here is told to them. Where they cannot be heard, what this process knows itself holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from app.domain.times import SECOND, now_micros
from app.providers.base import CommonSettings, SourceHealth
from app.providers.http.circuit_breaker import CallPermit, Circuit
from app.providers.observer import CircuitState
from app.providers.shared.replicas import Replicas

LONGEST_PAUSE = 3600.0  #: seconds; a provider that names more is asked once an hour whether it still means it


class Availability:
    """Of the source `source`. `common.timer` is the clock of its circuit and pauses. Its observer hears of every change
    of the circuit."""

    def __init__(self, source: str, common: CommonSettings, replicas: Replicas) -> None:
        self._source, self._observer, self._replicas = source, common.observer, replicas
        self._timer = common.timer
        self._clock = common.clock or now_micros
        self._circuit = Circuit()
        self._seen: CircuitState = "closed"
        self._since = self._clock()
        self._paused_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self._observer.on_circuit(source, "closed")

    # ---- how it stands -------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the circuit is: calls are made as usual."""
        return self._circuit.state == "closed"

    @property
    def failures(self) -> int:
        """How many calls in a row failed."""
        return self._circuit.failures

    def wait(self) -> float:
        """Seconds until the circuit lets a call be tried; 0 also while a probe is under way."""
        return self._circuit.wait(self._timer())

    def pause_left(self) -> float:
        """Seconds for which the provider asked to be left alone; 0 where it did not."""
        return max(0.0, self._paused_until - self._timer())

    def health(self, *, in_flight: int, waiting: int) -> SourceHealth:
        """How the source fares now, with so many calls under way and waiting."""
        now, pause = self._clock(), self.pause_left()
        wait = self.wait()
        return SourceHealth(
            circuit=self._circuit.state,
            since=self._since,
            consecutive_failures=self._circuit.failures,
            retry_at=now + int(wait * SECOND) if self._circuit.state == "open" else None,
            paused_until=now + int(pause * SECOND) if pause > 0 else None,
            in_flight=in_flight,
            waiting=waiting,
        )

    # ---- one call ------------------------------------------------------------------------------------------------

    def enter(self) -> CallPermit | None:
        """Leave for one call, to be given back by `settle`; None where there is none to be had now."""
        if self.pause_left() > 0 or (permit := self._circuit.enter(self._timer())) is None:
            return None
        self._note_state()
        return permit

    async def claim_probe(self, permit: CallPermit, owner: str, seconds: float) -> bool:
        """Whether no other replica makes the probe, for which `owner` then has `seconds`; otherwise `permit` is given
        back."""
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

    def settle(self, permit: CallPermit, ok: bool | None) -> bool:
        """Takes what came of the call (see `Circuit.settle`); whether that opened or closed the circuit. `tell` must
        follow."""
        version = self._circuit.version
        self._circuit.settle(permit, self._timer(), ok)
        self._note_state()
        return self._circuit.version != version

    async def pause(self, seconds: float) -> None:
        """The provider asked to be left alone, by all replicas."""
        seconds = min(seconds, LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, self._timer() + seconds)
        await self._replicas.pause(seconds)

    # ---- the other replicas --------------------------------------------------------------------------------------

    async def hear(self) -> None:
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

    async def tell(self, probe: str, changed: bool) -> None:
        """Tells the other replicas that the circuit changed, and gives up the probe that `probe` owns ("": none)."""
        if not self._replicas.alone and (probe or changed):
            # Also where the caller is gone: the others wait for it.
            await self._finish(self._tell(probe, changed))

    async def _tell(self, probe: str, changed: bool) -> None:
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

    def _note_state(self) -> None:
        if self._circuit.state != self._seen:
            self._seen, self._since = self._circuit.state, self._clock()
            self._observer.on_circuit(self._source, self._seen)
