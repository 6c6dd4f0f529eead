"""A load generator in a process of its own: connections that are kept alive, one request at a time on each."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from urllib.parse import urlsplit

import uvloop

from benchmarks.serving import Server

_CURSOR = re.compile(rb'"next_cursor":"([^"]+)')
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def load(server: Server, targets: Sequence[str], *, connections: int, seconds: float, follow: str = "") -> float:
    """Return the responses per second. With `follow`, the next target of a connection is `follow` with the cursor of
    its response. Raises RuntimeError for any status but 200."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run, server, targets, connections, seconds, follow).result()


def run(server: Server, targets: Sequence[str], connections: int, seconds: float, follow: str) -> float:
    return uvloop.run(_Job(server, targets, connections, seconds, follow).run())


class _Job:
    def __init__(self, server: Server, targets: Sequence[str], connections: int, seconds: float, follow: str) -> None:
        self._targets: Iterator[str] = cycle(targets)
        self._address, self._connections, self._seconds, self._follow = (
            urlsplit(server.url), connections, seconds, follow.encode()
        )  # fmt: skip
        key = f"authorization: Bearer {server.key}\r\n" if server.key else ""
        self._head = f" HTTP/1.1\r\nhost: {self._address.netloc}\r\naccept: application/json\r\n{key}\r\n".encode()
        self._responses = 0

    async def run(self) -> float:
        self._begun = time.perf_counter()
        await asyncio.gather(*(self._connection() for _ in range(self._connections)))
        return self._responses / (time.perf_counter() - self._begun)

    def _continues(self) -> bool:
        """Continue on a slow server until there are as many responses as connections."""
        return time.perf_counter() < self._begun + self._seconds or self._responses < self._connections

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port, limit=1 << 24)
        target = next(self._targets).encode()
        while self._continues():
            writer.write(b"GET " + target + self._head)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200") or length is None:
                raise RuntimeError(head.decode(errors="replace"))
            body = await reader.readexactly(int(length[1]))
            self._responses += 1
            # The cursor is at the end of a page.
            cursor = _CURSOR.search(body, max(0, len(body) - 4000)) if self._follow else None
            target = self._follow + cursor[1] if cursor else next(self._targets).encode()
        writer.close()
