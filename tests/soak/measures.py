"""What the gateway's process holds: memory, file descriptors, sockets, tasks. Read from outside (`/proc`)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


def resident(pid: int) -> int:
    """Bytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int, port: int) -> Counter[str]:
    """How many are open: `callers` and `providers` are connections, to our port and to others."""
    sockets = _connections(port)
    found: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        kind = target.split(":")[0]
        if kind == "socket":
            kind = sockets.get(target[8:-1], "other socket")
        found["file" if kind.startswith("/") else kind] += 1
    return found


def _connections(port: int) -> dict[str, str]:
    """By inode."""
    kinds = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local = int(fields[1].rpartition(":")[2], 16)
        listening = fields[3] == "0A"
        kinds[fields[9]] = "listening" if listening else "callers" if local == port else "providers"
    return kinds


@dataclass(frozen=True)
class CachedValue:
    """What the gateway says that it holds (see `tests.soak.gateway`). `used` and `resident` in bytes: what malloc has
    handed out, and what the process takes, with all that is free in between."""

    tasks: dict[str, int]
    connections: dict[str, int]
    blocks: int
    used: int
    resident: int

    @classmethod
    def by(cls, pid: int, file: Path) -> CachedValue:
        file.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline, "the gateway's event loop does not turn"
            time.sleep(0.02)
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True)
class Slope:
    """Least squares through samples of (seconds, bytes)."""

    per_minute: float
    first: float
    last: float

    @classmethod
    def of(cls, samples: list[tuple[float, int]]) -> Slope:
        mean_x = sum(x for x, _ in samples) / len(samples)
        mean_y = sum(y for _, y in samples) / len(samples)
        spread = sum((x - mean_x) ** 2 for x, _ in samples)
        rise = sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
        begin, end = samples[0][0], samples[-1][0]
        return cls(60 * rise, mean_y + rise * (begin - mean_x), mean_y + rise * (end - mean_x))
