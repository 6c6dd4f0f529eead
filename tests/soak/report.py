"""What a soak has seen, and whether that is good."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.callers import Callers
from tests.soak.measures import MIB, Held, Slope
from tests.soak.world import Growth, Troubled

#: Of the rests, those in which caches still fill, and memory finds its size.
WARM_UP = 3

#: Bytes a minute that memory may grow between rests. Each rest comes after a collection and after the allocator has
#: given back what it can, so that a peak before it does not count; what is left is how full Python's arenas of a MiB
#: happen to be, which was seen to differ by three or four of them, either way. At a thousand requests a minute this is
#: a kilobyte a request.
MAX_GROWTH = 1 * MIB

#: Blocks of memory, which is objects of any kind, that may come to stay with every answer, and that bounded caches may
#: still take. They are counted exactly, so that in ten minutes one object left behind by every answer is seen.
MAX_BLOCKS, CACHED = 0.5, 2_000


@dataclass
class Soak:
    """What was seen. `before` and `opened`: of a gateway that had answered one page."""

    callers: Callers
    growth: Growth
    troubled: list[Troubled]
    before: Held
    opened: Counter[str]
    seconds: float = 0.0
    gateway_busy: float = 0.0
    both_busy: float = 0.0
    most: int = 0
    proven: float = field(default_factory=time.monotonic)
    rests: list[tuple[float, Held]] = field(default_factory=list)
    after: Held = field(init=False)
    closed: Counter[str] = field(init=False)
    code: int | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.after, self.closed = self.before, self.opened

    @property
    def slope(self) -> Slope:
        return Slope.of([(at, held.resident) for at, held in self.rests[WARM_UP:]])

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
    if seen.slope.per_minute > MAX_GROWTH:
        yield "memory grew"
    if seen.blocks > CACHED + MAX_BLOCKS * seen.answers:
        yield f"{seen.blocks:,} more blocks of memory for {seen.answers:,} answers"
    for name, count in seen.after.tasks.items():
        if count > seen.before.tasks.get(name, 0):
            yield f"left behind: the task {name}, {count} times"
    if busy := seen.after.connections.get("busy"):
        yield f"left behind: {busy} connections to providers that nobody uses, and nobody can"
    held = seen.after.connections.get("idle", 0) + (busy or 0)
    for name, count in seen.closed.items():
        if count > (held if name == "providers" else seen.opened[name]):
            yield f"left behind: {count} descriptors of the kind {name}"
    for line in seen.log:
        if line["event"] not in ("request", "access"):
            yield f"log: {line}"
    if seen.code != 0:
        yield f"exit code {seen.code}"


def report(seen: Soak) -> int:
    """Prints it; the exit code."""
    slope, met = seen.slope, sum((each.met for each in seen.troubled), Counter[str]())
    rests = ", ".join(f"{held.resident / MIB:.0f}" for _, held in seen.rests)
    rows: list[tuple[str, str]] = [
        ("seconds", f"{seen.seconds:.0f}"),
        ("cores busy", f"{seen.both_busy:.2f} of {os.cpu_count()}, the gateway {seen.gateway_busy:.2f}"),
        ("answers", ", ".join(f"{number:,} x {status}" for status, number in seen.callers.answers.most_common())),
        *((name, f"{number:,}") for name, number in sorted(seen.callers.done.items())),
        ("events appended", f"{seen.growth.appended:,} at each provider"),
        ("faults", ", ".join(f"{number:,} {kind}" for kind, number in met.most_common())),
        ("memory", f"{rests} MiB at rest; {seen.most / MIB:.0f} MiB at most under load"),
        ("its slope", f"{slope.per_minute / 1024:+.0f} KiB a minute after {WARM_UP} rests; at most {MAX_GROWTH >> 10}"),
        ("its blocks", f"{seen.blocks:+,} for {seen.answers:,} answers"),
        ("tasks", f"{sum(seen.before.tasks.values())} before, {sum(seen.after.tasks.values())} after"),
        ("descriptors", f"{sum(seen.opened.values())} before, {sum(seen.closed.values())} after"),
        ("connections", f"to providers, after: {seen.after.connections}; from callers: {seen.closed['callers']}"),
        ("exit code", str(seen.code)),
    ]
    found = list(wrong(seen))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:{width}}  {value}" for name, value in rows))
    print(f"{'wrong':{width}}  {len(found) or 'nothing'}")
    for each in found[:20]:
        print(f"  {each[:600]}")
    return 1 if found else 0
