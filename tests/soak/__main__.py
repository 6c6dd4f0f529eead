"""Runs the soak and says what came of it: `make soak`, or `SOAK_SECONDS=180 python -m tests.soak`.

Exits with 1 where an answer was wrong, memory grew, something was left behind, or the log holds what it should not.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.process import Running, serving
from tests.soak.callers import SETTLE, Callers
from tests.soak.measures import Held, processor_seconds, resident
from tests.soak.report import Soak, report
from tests.soak.world import Growth, Troubled, Truth, providers
from tests.worlds import World

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
GATEWAY = Path(__file__).with_name("gateway.py")
RESTS = 8  #: times that everybody holds still, so that what is held then is held for nobody
LONGEST_REST = 90  #: seconds

SETTINGS = {
    "GATEWAY_AUTH": "off", "GATEWAY_SETTLE": str(SETTLE), "GATEWAY_DEADLINE": "15", "GATEWAY_STREAM_POLL": "0.5",
    "GATEWAY_STREAM_HEARTBEAT": "1", "GATEWAY_TOTALS_TTL": "5", "GATEWAY_SHUTDOWN_GRACE": "0.5",
    "GATEWAY_CURSOR_SECRET": "of the soak and of nothing else at all",
}  # fmt: skip


class Watch:
    """Measures one gateway from outside; `file` is where it answers."""

    def __init__(self, gateway: Running, file: Path) -> None:
        self.gateway, self.pid, self._file = gateway, gateway.process.pid, file

    def held(self) -> Held:
        return Held.by(self.pid, self._file)

    async def at_rest(self, tasks: int) -> Held:
        """What is held once there are no more tasks than that, or it has been waited for long enough."""
        held = self.held()
        for _ in range(LONGEST_REST):
            if sum(held.tasks.values()) <= tasks:
                break
            await asyncio.sleep(1)
            held = self.held()
        return held


def calling(gateway: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=httpx.Limits(max_connections=None))


async def soak(world: World, troubled: list[Troubled], gateway: Running, file: Path) -> Soak:
    watch = Watch(gateway, file)
    async with calling(gateway) as client:
        assert (await client.get("/events", params={"limit": 1})).status_code == 200
    await asyncio.sleep(0.5)
    before = watch.held()
    tasks = sum(before.tasks.values())
    async with calling(gateway) as client:
        seen = Soak(Callers(client, Truth(world), SEED), Growth(world, SEED), troubled, before)
        running = [asyncio.create_task(seen.callers.loop(caller)) for caller in seen.callers.all()]
        begun, busy, own = time.monotonic(), processor_seconds(watch.pid), time.process_time()
        with seen.growth:
            for number in range(1, RESTS + 1):
                for each in troubled:
                    each.is_on = True
                await under_load(seen, watch, begun + number * SECONDS / RESTS)
                if number == RESTS:
                    seen.seconds = time.monotonic() - begun
                    seen.gateway_busy = (processor_seconds(watch.pid) - busy) / seen.seconds
                    seen.both_busy = seen.gateway_busy + (time.process_time() - own) / seen.seconds
                    seen.callers.stopping = True
                for each in troubled:
                    each.is_on = False
                with holding_still(seen.callers):
                    seen.rests.append((time.monotonic() - begun, await watch.at_rest(tasks)))
                print(f"  {time.monotonic() - begun:4.0f} s  {dict(seen.callers.done)}", flush=True)
        await asyncio.wait(running, timeout=60)
        seen.callers.wrong += [f"does not stop: {task}" for task in running if not task.done()]
    await asyncio.sleep(SETTLE + 2)
    seen.callers.truth.refresh()
    seen.callers.prove()
    seen.after = await watch.at_rest(tasks)
    return seen


async def under_load(seen: Soak, watch: Watch, until: float) -> None:
    """Looks at the memory, and proves what can be proven by now."""
    while time.monotonic() < until and watch.gateway.process.poll() is None:
        await asyncio.sleep(1)
        seen.most = max(seen.most, resident(watch.pid))
        if time.monotonic() > seen.proven + 15:
            await asyncio.to_thread(seen.callers.truth.refresh)
            seen.callers.prove()
            seen.proven = time.monotonic()


@contextmanager
def holding_still(callers: Callers) -> Iterator[None]:
    callers.going.clear()
    yield
    callers.going.set()


def run() -> int:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, providers(SEED) as (world, troubled):
        file = Path(folder, "held.json")
        command = [sys.executable, "-P", str(GATEWAY), str(file)]
        with serving(cwd=Path(folder), env=world.env | SETTINGS, command=command) as gateway:
            seen = asyncio.run(soak(world, troubled, gateway, file))
            gateway.stop()
            seen.code, seen.log = gateway.code, gateway.log
    return report(seen)


if __name__ == "__main__":
    sys.exit(run())
