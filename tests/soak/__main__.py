"""Load and faults for `SOAK_SECONDS` (600): `make soak`.

Exits with 1 for a wrong answer, memory that grows, leftovers, or a log line that should not be there.
"""

from __future__ import annotations

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

import httpx

from tests.process import Running, serving
from tests.soak.callers import SETTLE, Callers
from tests.soak.world import Trouble, Truth, vendors
from tests.waiting import until
from tests.worlds import World

SECONDS, SEED = float(os.environ.get("SOAK_SECONDS", "600")), int(os.environ.get("SOAK_SEED", "1"))
RESTS, WARM_UP = 8, 3  #: pauses of all callers, and those of them in which caches still fill
LONGEST_REST = 90  #: seconds
MIB = 1 << 20
#: Bytes a minute by which the memory in use may grow from rest to rest: 256 bytes a request.
MAX_GROWTH = MIB // 4
#: Bytes of the process at rest; `deploy/` allows 512 MiB.
MAX_RESIDENT = 320 * MIB
#: Objects that may stay with each answer, and that bounded caches may still take: one object left behind by every
#: answer is noticed in ten minutes.
MAX_BLOCKS, CACHED = 0.5, 2_000
SETTINGS = {
    "GATEWAY_AUTH": "off", "GATEWAY_SETTLE": str(SETTLE), "GATEWAY_DEADLINE": "15", "GATEWAY_STREAM_POLL": "0.5",
    "GATEWAY_STREAM_HEARTBEAT": "1", "GATEWAY_TOTALS_TTL": "5", "GATEWAY_SHUTDOWN_GRACE": "0.5",
    "GATEWAY_CURSOR_SECRET": "of the soak and of nothing else at all",
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """The state of the gateway (`tests/soak/gateway.py`), its resident memory in bytes, and its open descriptors by
    kind, without connections to providers."""

    tasks: dict[str, int]
    busy: int
    idle: int
    blocks: int
    used: int
    resident: int
    descriptors: Counter[str]


@dataclass
class Watch:
    """Measures one gateway; it writes its state into `file`."""

    pid: int
    file: Path

    def resident(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def descriptors(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                kind = os.readlink(link).split(":")[0]
                found["file" if kind.startswith("/") else kind] += 1
        return found

    async def held(self) -> Held:
        self.file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        await until(self.file.exists)
        state = json.loads(self.file.read_text())
        descriptors = self.descriptors() - Counter(socket=state["busy"] + state["idle"])
        return Held(**state, resident=self.resident(), descriptors=descriptors)

    async def at_rest(self, tasks: int) -> Held:
        """The state once there are no more tasks than that, or after LONGEST_REST."""
        for _ in range(LONGEST_REST):
            held = await self.held()
            if sum(held.tasks.values()) <= tasks:
                break
            await asyncio.sleep(1)
        return held


@dataclass
class Soak:
    """`before`: of a gateway that had answered one page."""

    callers: Callers
    before: Held
    after: Held
    seconds: float = 0.0
    most: int = 0
    rests: list[tuple[float, Held]] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Bytes in use a minute, by least squares through the rests after the warm-up."""
        at, used = zip(*((at, held.used) for at, held in self.rests[WARM_UP:]), strict=True)
        return 60 * statistics.linear_regression(at, used).slope

    @property
    def blocks(self) -> int:
        return self.rests[-1][1].blocks - self.rests[WARM_UP][1].blocks

    def wrong(self, gateway: Running) -> Iterator[str]:
        yield from self.callers.wrong
        if self.growth > MAX_GROWTH:
            yield "memory grew"
        if max(held.resident for _, held in self.rests) > MAX_RESIDENT:
            yield "the process takes too much memory"
        done = self.callers.done
        answers = self.callers.answers.total() + done["callers who hung up"] + done["streams"]
        if self.blocks > CACHED + MAX_BLOCKS * answers:
            yield f"{self.blocks:,} more blocks of memory for {answers:,} answers"
        for left in (
            Counter(self.after.tasks) - Counter(self.before.tasks),
            self.after.descriptors - self.before.descriptors,
            +Counter(busy_connections=self.after.busy),
        ):
            if left:
                yield f"left behind: {dict(left)}"
        yield from (f"log: {line}" for line in gateway.log if line["event"] not in ("request", "access"))
        if gateway.code != 0:
            yield f"exit code {gateway.code}"


async def soak(world: World, trouble: Trouble, gateway: Running, watch: Watch) -> Soak:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=limits) as client:
        assert (await client.get("/events", params={"limit": 1})).status_code == 200
        before = await watch.held()
        tasks = sum(before.tasks.values())
        seen = Soak(Callers(client, Truth(world), SEED), before, before)
        running = [asyncio.create_task(seen.callers.loop(caller)) for caller in seen.callers.all()]
        begun = time.monotonic()
        trouble.start()
        for number in range(1, RESTS + 1):
            trouble.is_on = True
            await under_load(seen, watch, begun + number * SECONDS / RESTS)
            seen.callers.stopping = number == RESTS
            trouble.is_on = False
            seen.callers.going.clear()
            seen.rests.append((time.monotonic() - begun, await watch.at_rest(tasks)))
            seen.callers.going.set()
            print(f"  {time.monotonic() - begun:4.0f} s  {dict(seen.callers.done)}", flush=True)
        trouble.stop()
        seen.seconds = time.monotonic() - begun
        await asyncio.wait(running, timeout=60)
        seen.callers.wrong += [f"does not stop: {task}" for task in running if not task.done()]
    await asyncio.sleep(SETTLE + 2)
    seen.callers.prove()
    seen.callers.wrong += [f"not judged: {each[0]}" for each in seen.callers.unproven]
    seen.after = await watch.at_rest(tasks)
    return seen


async def under_load(seen: Soak, watch: Watch, end: float) -> None:
    """Watch the memory, and prove what can be proven by now."""
    number = 0
    while time.monotonic() < end:
        await asyncio.sleep(1)
        seen.most = max(seen.most, watch.resident())
        if (number := number + 1) % 15 == 0:
            await asyncio.to_thread(seen.callers.truth.refresh)
            seen.callers.prove(refresh=False)


def report(seen: Soak, trouble: Trouble, gateway: Running) -> int:
    """Print the figures; the exit code."""
    rows = {
        "seconds": f"{seen.seconds:.0f}",
        "answers": dict(seen.callers.answers),
        "proven": dict(seen.callers.done),
        "faults": dict(trouble.met),
        "at rest, MiB": [held.resident // MIB for _, held in seen.rests],
        "at most, MiB": seen.most // MIB,
        "in use, MiB": [held.used // MIB for _, held in seen.rests],
        "growth": f"{seen.growth / 1024:+.0f} KiB a minute, at most {MAX_GROWTH >> 10}; {seen.blocks:+,} blocks",
        "before": seen.before,
        "after": seen.after,
    }
    for name, value in rows.items():
        print(f"{name:14}{value}")
    found = list(seen.wrong(gateway))
    print(f"{'wrong':14}{len(found) or 'nothing'}", *(f"  {each[:600]}" for each in found[:20]), sep="\n")
    return 1 if found else 0


def run() -> int:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, vendors() as world:
        file = Path(folder, "held.json")
        command = [sys.executable, "-P", str(Path(__file__).with_name("gateway.py")), str(file)]
        with serving(cwd=Path(folder), env=world.env | SETTINGS, command=command) as gateway:
            trouble = Trouble(world, SEED)
            seen = asyncio.run(soak(world, trouble, gateway, Watch(gateway.process.pid, file)))
            gateway.stop()
            return report(seen, trouble, gateway)


if __name__ == "__main__":
    sys.exit(run())
