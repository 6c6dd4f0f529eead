"""A mock of both providers, light enough not to be what is measured: cuts its answers out of files (`histories`).

It answers the calls that the gateway and the peers make, as the vendors document them, and refuses all others, so that
a benchmark cannot be quick by asking for something else. A process of its own:
`python -m benchmarks.mock FOLDER [--latency SECONDS]` prints its URL.

- `GET /api/signing/activity?StartDate&EndDate[&Take][&Skip][&ProcessKey]`: processes with an entry in the range, newest
  first; `/total`: how many.
- `POST /public/logs/list` with category, page and limit, `sortBy: id`.
- `GET /-/calls`: what was called since the last time this was asked. `GET /-/latency?SECONDS`: what each answer waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import mmap
import re
import signal
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl

import uvloop

from benchmarks.histories import to_micros

_KNOWN = frozenset({"startdate", "enddate", "take", "skip", "processkey"})
_DEFAULT_TAKE = 10_000
#: Where a record has a text of any length.
_LONG_TEXT = re.compile(rb'"(?:description":"|eventData":\{(?="))')


class Refused(Exception):
    """A call that this mock does not know."""


class Items:
    """Rendered items in a file, cut out by place. `padding` is put into each record."""

    padding = b""

    def __init__(self, folder: Path, name: str) -> None:
        self._offsets = read_array(folder / f"{name}.offsets")
        path = folder / f"{name}.items"
        self._bytes: mmap.mmap | bytes = b""
        if path.stat().st_size:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def joined(self, places: Sequence[int]) -> bytes:
        offsets, text = self._offsets, self._bytes
        items = b",".join([text[offsets[place] : offsets[place + 1]] for place in places])
        return _LONG_TEXT.sub(self._pad, items) if self.padding else items

    def _pad(self, found: re.Match[bytes]) -> bytes:
        return found[0] + (b'"padding":"%b",' % self.padding if found[0].endswith(b"{") else self.padding)


def read_array(path: Path) -> array[int]:
    values = array("q")
    with path.open("rb") as file:
        values.fromfile(file, path.stat().st_size // values.itemsize)
    return values


class Taktikal:
    """Both calls, over ranges that select by activity."""

    def __init__(self, folder: Path) -> None:
        self._items = Items(folder, "taktikal")
        self._times, self._owners = (read_array(folder / f"taktikal.{name}") for name in ("times", "owners"))
        keys = (folder / "taktikal.keys").read_text().split()
        self._places = {key: place for place, key in enumerate(keys)}

    def answer(self, path: str, query: str) -> bytes:
        asked = {name.lower(): value for name, value in parse_qsl(query)}
        if unknown := asked.keys() - _KNOWN:
            raise Refused(f"parameters {sorted(unknown)}")
        first, last = (bisect_left(self._times, to_micros(asked[name])) for name in ("startdate", "enddate"))
        places = sorted(set(self._owners[first:last]))
        if (key := asked.get("processkey")) is not None:
            places = [place for place in places if place == self._places.get(key)]
        if path.endswith("/total"):
            return b'{"total":%d}' % len(places)
        skip = int(asked.get("skip", 0))
        return b"[" + self._items.joined(places[skip : skip + int(asked.get("take", _DEFAULT_TAKE))]) + b"]"


class Subnoto:
    """The list of logs, in order of insertion."""

    def __init__(self, folder: Path) -> None:
        self._categories = {name: Items(folder, name) for name in ("envelope", "team")}

    def answer(self, body: bytes) -> bytes:
        asked = json.loads(body)
        category, page, limit = asked.pop("category"), asked.pop("page"), asked.pop("limit")
        if asked.pop("sortBy", "") != "id" or not 1 <= limit <= 50:
            raise Refused("the order or the limit")
        descending = asked.pop("sortOrder", "desc") == "desc"
        if asked:
            raise Refused(f"members {sorted(asked)}")
        items = self._categories[category]
        places = range(len(items))[:: -1 if descending else 1][(page - 1) * limit : page * limit]
        pages = max(1, -(-len(items) // limit))
        pagination = {
            "totalRecords": len(items),
            "currentPage": page,
            "totalPages": pages,
            "nextPage": page + 1 if page < pages else None,
            "prevPage": page - 1 if page > 1 else None,
        }
        return b'{"logs":[' + items.joined(places) + b'],"pagination":' + json.dumps(pagination).encode() + b"}"


class Mock:
    """What all connections share."""

    def __init__(self, folders: Sequence[Path], latency: float) -> None:
        self.latency = latency
        self.calls: list[str] = []
        self.taktikal = next((Taktikal(each) for each in folders if (each / "taktikal.items").exists()), None)
        self.subnoto = next((Subnoto(each) for each in folders if (each / "envelope.items").exists()), None)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes, float]:
        """Status, body, and the seconds to wait."""
        path, _, query = target.partition("?")
        if path == "/-/calls":
            calls, self.calls = self.calls, []
            return 200, json.dumps(calls).encode(), 0
        if path == "/-/latency":
            self.latency = float(query)
            return 200, b"{}", 0
        self.calls.append(target if method == "GET" else body.decode())
        try:
            if method == "GET" and path.startswith("/api/signing/activity") and self.taktikal is not None:
                return 200, self.taktikal.answer(path, query), self.latency
            if method == "POST" and path == "/public/logs/list" and self.subnoto is not None:
                return 200, self.subnoto.answer(body), self.latency
            raise Refused(f"{method} {path}")
        except (Refused, KeyError, ValueError) as error:
            print(f"refused: {error!r}", file=sys.stderr)
            return 400, b'{"error":{"code":"NOT_MOCKED"}}', 0


class Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 for clients that send one request at a time and name their body's length."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            status, answer, wait = self._mock.answer(method, target, body)
            lines = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ndate: {formatdate(usegmt=True)}\r\n"
            sent = f"{lines}content-length: {len(answer)}\r\n\r\n".encode() + answer
            if wait:
                asyncio.get_running_loop().call_later(wait, self._transport.write, sent)
            else:
                self._transport.write(sent)


async def serve(mock: Mock) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(mock), "127.0.0.1", 0, backlog=1024)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", type=Path, help="of a history")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer waits")
    parser.add_argument("--padding", type=int, default=0, help="bytes by which each record is longer")
    given = parser.parse_args()
    Items.padding = b"x" * given.padding
    uvloop.run(serve(Mock(given.folder, given.latency)))
