"""A load generator that is not the bottleneck: raw sockets, kept alive, one request at a time on each.

`python -m benchmarks.load` reads a job as JSON from standard input and prints what came of it. Where an answer names a
`next_cursor`, its connection follows it; else, and at the end of a walk, it takes the next of the job's targets.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle

import uvloop

from benchmarks.pairs import Rounds, paired
from benchmarks.serving import ROOT, Server

_CURSOR = b'"next_cursor":"'


@dataclass(frozen=True)
class Load:
    """What came of it: answers, and answers a second."""

    answers: int
    rate: float


def load(server: Server, targets: Sequence[str], *, connections: int, seconds: float, follow: str = "") -> Load:
    """Asks `server` for the targets in turn, from a process of its own. `follow`: the target that a cursor is added to.
    Raises RuntimeError on any status but 200."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    job = {
        "host": host,
        "port": int(port),
        "targets": list(targets),
        "connections": connections,
        "seconds": seconds,
        "follow": follow,
        "key": server.key,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(job),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr}")
    return Load(**json.loads(done.stdout))


def compare(contenders: Mapping[str, Callable[[], Load]], rounds: int) -> Rounds:
    """Answers a second of each contender."""
    return paired({name: lambda run=run: run().rate for name, run in contenders.items()}, rounds)


class _Connection(asyncio.Protocol):
    def __init__(self, job: _Job) -> None:
        self._job = job
        self._parts: list[bytes] = []
        self._missing = -1

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
        self._transport = transport
        self._ask(next(self._job.targets))

    def _ask(self, target: str) -> None:
        self._transport.write(f"GET {target} HTTP/1.1\r\n{self._job.head}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if self._missing < 0:
            whole = b"".join(self._parts)
            self._parts = [whole]
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                return
            head = whole[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self._job.fail(whole[:2000].decode(errors="replace"))
                return
            at = head.index(b"\r\ncontent-length:")
            self._missing = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0]) - len(whole)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._answered(b"".join(self._parts))

    def _answered(self, answer: bytes) -> None:
        job = self._job
        job.answered += not job.over
        self._parts, self._missing = [], -1
        if job.over:
            self._transport.close()
            return
        at = answer.rfind(_CURSOR) if job.follow else -1
        if at < 0:
            self._ask(next(job.targets))
        else:
            begin = at + len(_CURSOR)
            self._ask(job.follow + answer[begin : answer.index(b'"', begin)].decode())

    def connection_lost(self, error: Exception | None) -> None:
        if not self._job.over:
            self._job.fail(f"a connection was lost: {error!r}")


class _Job:
    """What all connections share."""

    def __init__(self, given: dict[str, object]) -> None:
        self.targets = cycle(given["targets"])  # type: ignore[call-overload]
        self.follow = str(given["follow"])
        key = f"authorization: Bearer {given['key']}\r\n" if given["key"] else ""
        self.head = f"host: {given['host']}:{given['port']}\r\naccept: application/json\r\n{key}"
        self.over = False
        self.failure: str | None = None
        self.ended = asyncio.Event()
        self.answered = 0
        self.least = int(str(given["connections"]))

    def fail(self, why: str) -> None:
        self.failure, self.over = why, True
        self.ended.set()

    def time_is_up(self) -> None:
        """Ends the job; on a slow server not before there are as many answers as connections."""
        if self.answered >= self.least:
            self.over = True
            self.ended.set()
        else:
            asyncio.get_running_loop().call_later(0.05, self.time_is_up)


async def _run(given: dict[str, object]) -> Load:
    job = _Job(given)
    loop = asyncio.get_running_loop()
    for _ in range(int(str(given["connections"]))):
        await loop.create_connection(lambda: _Connection(job), str(given["host"]), int(str(given["port"])))
    begun = time.perf_counter()
    loop.call_later(float(str(given["seconds"])), job.time_is_up)
    await job.ended.wait()
    if job.failure is not None:
        raise SystemExit(job.failure)
    taken = time.perf_counter() - begun
    return Load(job.answered, job.answered / taken)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(json.load(sys.stdin))))))
