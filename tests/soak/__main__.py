"""Load and faults for `SOAK_SECONDS` (600): `make soak`.

Exits with 1 for a wrong response, growing memory, tasks or descriptors left open, or an unexpected log line.
"""

import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sandbox.instruments import utc_now
from tests.process import Running, serving
from tests.soak.callers import SETTLE, Callers
from tests.soak.world import Trouble, Truth
from tests.waiting import until
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world

SECONDS, SEED = float(os.environ.get("SOAK_SECONDS", "600")), int(os.environ.get("SOAK_SEED", "1"))
EVENTS, DAYS = 20_000, 20  #: of each vendor, to begin with
RESTS, WARM_UP = 8, 3  #: pauses of all callers, and the first of them, in which caches still fill
LONGEST_REST = 90  #: seconds
MIB = 1 << 20
#: Bytes a minute by which the memory in use may grow from rest to rest: 256 bytes per request.
MAX_GROWTH = MIB // 4
#: Bytes of the process at rest; `deploy/` allows 512 MiB.
MAX_RESIDENT = 320 * MIB
#: Objects that may stay per response, and in bounded caches. One leaked object per response is detected in ten
#: minutes.
MAX_BLOCKS, CACHED = 0.5, 2_000
SETTINGS = {
    "GATEWAY_AUTH": "off", "GATEWAY_SETTLE": str(SETTLE), "GATEWAY_DEADLINE": "15", "GATEWAY_STREAM_POLL": "0.5",
    "GATEWAY_STREAM_HEARTBEAT": "1", "GATEWAY_TOTALS_TTL": "5", "GATEWAY_SHUTDOWN_GRACE": "0.5",
    "GATEWAY_CURSOR_SECRET": "of the soak and of nothing else at all",
}  # fmt: skip
#: Events of the log, some of them of failing sources.
LOGGED = {
    "request", "access", "source_paused", "source_pause_ended", "source_circuit_opened", "source_circuit_closed",
    "source_call_failed",
}  # fmt: skip


@dataclass(frozen=True)
class State:
    """The state of the gateway (`tests/soak/gateway.py`), its resident memory in bytes, and its open descriptors by
    kind, without connections to providers."""

    tasks: dict[str, int]
    busy: int
    idle: int
    blocks: int
    used: int
    resident: int
    descriptors: Counter[str]


def state_of(pid: int, state: dict[str, Any]) -> State:
    descriptors = Counter(socket=-state["busy"] - state["idle"])
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            kind = os.readlink(link).split(":")[0]
            descriptors["file" if kind.startswith("/") else kind] += 1
    (resident,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return State(**state, resident=int(resident) * 1024, descriptors=descriptors)


@dataclass
class Soak:
    """`before` is the state after the first page. The gateway writes its state into `file`."""

    gateway: Running
    file: Path
    callers: Callers
    before: State = field(init=False)
    after: State = field(init=False)
    rests: list[tuple[float, State]] = field(default_factory=list)

    async def read_state(self) -> State:
        pid = self.gateway.process.pid
        self.file.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        await until(self.file.exists)
        return state_of(pid, json.loads(self.file.read_text()))

    async def at_rest(self, *, is_last: bool = False) -> State:
        """Wait until there are no more tasks than before, in the last rest also no more descriptors, or for
        LONGEST_REST; return the state."""
        for _ in range(LONGEST_REST):
            state = await self.read_state()
            is_closed = not is_last or not state.descriptors - self.before.descriptors
            if is_closed and sum(state.tasks.values()) <= sum(self.before.tasks.values()):
                break
            await asyncio.sleep(1)
        return state

    async def run(self, trouble: Trouble) -> None:
        self.before = await self.read_state()
        running = [asyncio.create_task(self.callers.loop(caller)) for caller in self.callers.all()]
        begun = time.monotonic()
        trouble.start()
        for number in range(1, RESTS + 1):
            trouble.is_on = True
            while time.monotonic() < begun + number * SECONDS / RESTS:
                await asyncio.sleep(min(15, SECONDS / RESTS))
                await asyncio.to_thread(self.callers.truth.refresh)
                self.callers.prove(refresh=False)
            self.callers.stopping = number == RESTS
            trouble.is_on = False
            self.callers.going.clear()
            self.rests.append((time.monotonic() - begun, await self.at_rest()))
            self.callers.going.set()
            print(f"  {time.monotonic() - begun:4.0f} s  {dict(self.callers.done)}", flush=True)
        trouble.stop()
        await asyncio.wait(running, timeout=60)
        self.callers.wrong += [f"does not stop: {task}" for task in running if not task.done()]
        await asyncio.sleep(SETTLE + 2)
        self.callers.prove()
        self.callers.wrong += [f"not compared: {each[0]}" for each in self.callers.unproven]
        self.after = await self.at_rest(is_last=True)

    @property
    def growth(self) -> float:
        """Growth of the bytes in use per minute, by least squares over the rests after the warm-up."""
        at, used = zip(*((at, state.used) for at, state in self.rests[WARM_UP:]), strict=True)
        return 60 * statistics.linear_regression(at, used).slope

    @property
    def blocks(self) -> int:
        return self.rests[-1][1].blocks - self.rests[WARM_UP][1].blocks

    def wrong(self) -> Iterator[str]:
        yield from self.callers.wrong
        if self.growth > MAX_GROWTH:
            yield "memory grew"
        if max(state.resident for _, state in self.rests) > MAX_RESIDENT:
            yield "the process takes too much memory"
        count = self.callers.responses.total() + self.callers.done["callers who hung up"]
        if self.blocks > CACHED + MAX_BLOCKS * count:
            yield f"{self.blocks:,} more blocks of memory for {count:,} responses"
        for left in (
            Counter(self.after.tasks) - Counter(self.before.tasks),
            self.after.descriptors - self.before.descriptors,
            +Counter(busy_connections=self.after.busy),
        ):
            if left:
                yield f"left behind: {dict(left)}"
        yield from (f"log: {line}" for line in self.gateway.log if line["event"] not in LOGGED)
        if self.gateway.code != 0:
            yield f"exit code {self.gateway.code}"

    def report(self, trouble: Trouble) -> int:
        """Print the figures and return the exit code."""
        rows = {
            "seconds": f"{self.rests[-1][0]:.0f}",
            "responses": dict(self.callers.responses),
            "proven": dict(self.callers.done),
            "faults": dict(trouble.met),
            "at rest, MiB": [state.resident // MIB for _, state in self.rests],
            "in use, MiB": [state.used // MIB for _, state in self.rests],
            "growth": f"{self.growth / 1024:+.0f} KiB a minute, at most {MAX_GROWTH >> 10}; {self.blocks:+,} blocks",
            "before": self.before,
            "after": self.after,
        }
        for name, value in rows.items():
            print(f"{name:14}{value}")
        errors = list(self.wrong())
        print(f"{'wrong':14}{len(errors) or 'nothing'}", *(f"  {each[:600]}" for each in errors[:20]), sep="\n")
        return 1 if errors else 0


async def soak(world: World, trouble: Trouble, gateway: Running, file: Path) -> Soak:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=limits) as client:
        assert (await client.get("/events", params={"limit": 1})).status_code == 200
        seen = Soak(gateway, file, Callers(client, Truth(world), SEED))
        await seen.run(trouble)
        return seen


def run() -> int:
    options = {"events": EVENTS, "days": DAYS}
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        served_world(TaktikalOptions(**options), SubnotoOptions(**options), utc_now) as world,  # type: ignore[arg-type]
    ):
        file = Path(folder, "held.json")
        command = [sys.executable, "-P", str(Path(__file__).with_name("gateway.py")), str(file)]
        with serving(cwd=Path(folder), env=world.env | SETTINGS, command=command) as gateway:
            trouble = Trouble(world, SEED)
            seen = asyncio.run(soak(world, trouble, gateway, file))
            gateway.stop()
            return seen.report(trouble)


if __name__ == "__main__":
    sys.exit(run())
