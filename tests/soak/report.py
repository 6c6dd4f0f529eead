"""What a soak has seen, and whether that is good."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.callers import Callers
from tests.soak.measures import MIB, Held
from tests.soak.world import Growth, Troubled

#: Of the rests, those in which caches still fill, and memory finds its size.
WARM_UP = 3

#: Bytes a minute by which what is in use may grow between rests, each of which comes after a collection. At a thousand
#: requests a minute this is 256 bytes a request.
MAX_GROWTH = MIB // 4

#: Bytes that the process may take at rest; deploy/ allows it 512 MiB in all. How much of it is free, between what is in
#: use, is the allocator's affair: it was seen to grow for the first ten minutes while nothing more was in use.
MAX_RESIDENT = 320 * MIB

#: Blocks of memory, which is objects of any kind, that may come to stay with every answer, and that bounded caches may
#: still take. They are counted exactly, so that in ten minutes one object left behind by every answer is seen.
MAX_BLOCKS, CACHED = 0.5, 2_000


@dataclass
class Soak:
    """What was seen. `before`: of a gateway that had answered one page."""

    callers: Callers
    growth: Growth
    troubled: list[Troubled]
    before: Held
    seconds: float = 0.0
    gateway_busy: float = 0.0
    both_busy: float = 0.0
    most: int = 0
    proven: float = field(default_factory=time.monotonic)
    rests: list[tuple[float, Held]] = field(default_factory=list)
    after: Held = field(init=False)
    code: int | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.after = self.before

    @property
    def growth_per_minute(self) -> float:
        """Bytes in use, by least squares through the rests after the warm-up."""
        at, used = zip(*((at, held.used) for at, held in self.rests[WARM_UP:]), strict=True)
        return 60 * statistics.linear_regression(at, used).slope

    @property
    def blocks(self) -> int:
        """How many more there are since the caches are full."""
        return self.rests[-1][1].blocks - self.rests[WARM_UP][1].blocks

    @property
    def answers(self) -> int:
        return self.callers.answers.total() + self.callers.done["callers who hung up"] + self.callers.done["streams"]


def wrong(seen: Soak) -> Iterator[str]:
    """Everything that is."""
    yield from seen.callers.wrong
    if seen.callers.unproven:
        yield f"{seen.callers.unproven} walks of the growing end could not be judged"
    if seen.growth_per_minute > MAX_GROWTH:
        yield "memory grew"
    if max(held.resident for _, held in seen.rests) > MAX_RESIDENT:
        yield "the process takes too much memory"
    if seen.blocks > CACHED + MAX_BLOCKS * seen.answers:
        yield f"{seen.blocks:,} more blocks of memory for {seen.answers:,} answers"
    for name, count in seen.after.tasks.items():
        if count > seen.before.tasks.get(name, 0):
            yield f"left behind: the task {name}, {count} times"
    if busy := seen.after.connections.get("busy"):
        yield f"left behind: {busy} connections to providers that nobody uses, and nobody can"
    for name, count in (seen.after.unexplained() - seen.before.unexplained()).items():
        yield f"left behind: {count} descriptors of the kind {name}"
    for line in seen.log:
        if line["event"] not in ("request", "access"):
            yield f"log: {line}"
    if seen.code != 0:
        yield f"exit code {seen.code}"


def report(seen: Soak) -> int:
    """Prints it; the exit code."""
    met = sum((each.met for each in seen.troubled), Counter[str]())
    rests = ", ".join(f"{held.resident / MIB:.0f}" for _, held in seen.rests)
    used = ", ".join(f"{held.used / MIB:.1f}" for _, held in seen.rests)
    rows: list[tuple[str, str]] = [
        ("seconds", f"{seen.seconds:.0f}"),
        ("cores busy", f"{seen.both_busy:.2f} of {os.cpu_count()}, the gateway {seen.gateway_busy:.2f}"),
        ("answers", ", ".join(f"{number:,} x {status}" for status, number in seen.callers.answers.most_common())),
        *((name, f"{number:,}") for name, number in sorted(seen.callers.done.items())),
        ("events appended", f"{seen.growth.appended:,} at each provider"),
        ("faults", ", ".join(f"{number:,} {kind}" for kind, number in met.most_common())),
        ("memory", f"{rests} MiB at rest; {seen.most / MIB:.0f} MiB at most under load"),
        ("of it in use", f"{used} MiB; {seen.growth_per_minute / 1024:+.0f} KiB a minute, at most {MAX_GROWTH >> 10}"),
        ("its blocks", f"{seen.blocks:+,} for {seen.answers:,} answers"),
        ("tasks", f"{sum(seen.before.tasks.values())} before, {sum(seen.after.tasks.values())} after"),
        ("descriptors", f"{dict(seen.before.descriptors)} before, {dict(seen.after.descriptors)} after"),
        ("connections", f"to providers, after: {seen.after.connections}"),
        ("exit code", str(seen.code)),
    ]
    found = list(wrong(seen))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:{width}}  {value}" for name, value in rows))
    print(f"{'wrong':{width}}  {len(found) or 'nothing'}")
    for each in found[:20]:
        print(f"  {each[:600]}")
    return 1 if found else 0
