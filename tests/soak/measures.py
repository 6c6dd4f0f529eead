"""What the gateway's process holds: memory, file descriptors, tasks. Read from outside (`/proc`)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Held:
    """What a gateway reports (see `tests.soak.gateway`), and its open descriptors by kind. `used` and `resident` in
    bytes: what malloc has handed out, and what the process takes, with all that is free in between."""

    tasks: dict[str, int]
    connections: dict[str, int]
    blocks: int
    used: int
    resident: int
    descriptors: Counter[str]

    @classmethod
    def by(cls, pid: int, file: Path) -> Held:
        file.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline, "the gateway's event loop does not turn"
            time.sleep(0.02)
        descriptors: Counter[str] = Counter()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                kind = os.readlink(link).split(":")[0]
                descriptors["file" if kind.startswith("/") else kind] += 1
        return cls(**json.loads(file.read_text()), descriptors=descriptors)

    def unexplained(self) -> Counter[str]:
        """Descriptors that are not connections to providers, which a pool may keep."""
        return self.descriptors - Counter(socket=sum(self.connections.values()))
