"""A mock of both vendors that cuts its responses out of files (`histories`). `mock PORT PADDING FOLDER…`

It serves the calls of the gateway and of the comparison programs, and refuses all others, so that no program is fast
because it requests less. `GET /-/calls` returns and clears the list of calls; `GET /-/latency?SECONDS` sets the
delay of each response.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import re
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
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_NUMBERS = b"1 555 0007 "  #: padding of texts: masks examine each number
#: Members of a record with a text of any length.
_LONG_TEXT = re.compile(rb'"(?:description":"|eventData":\{(?="))')


class Items:
    """Rendered items in a file, by index. `padding` is added to each record."""

    padding = b""

    def __init__(self, folder: Path, name: str) -> None:
        self._offsets = read_array(folder / f"{name}.offsets")
        with (folder / f"{name}.items").open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._offsets[-1] else b""

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def joined(self, places: Sequence[int]) -> bytes:
        items = b",".join([self._bytes[self._offsets[place] : self._offsets[place + 1]] for place in places])
        return _LONG_TEXT.sub(self._pad, items) if self.padding else items

    def _pad(self, found: re.Match[bytes]) -> bytes:
        return found[0] + (b'"padding":"%b",' % self.padding if found[0].endswith(b"{") else self.padding)


def read_array(path: Path) -> array[int]:
    return array("q", path.read_bytes())


class Taktikal:
    """Ranges select by activity."""

    def __init__(self, folder: Path) -> None:
        self._items = Items(folder, "taktikal")
        self._times, self._owners = (read_array(folder / f"taktikal.{name}") for name in ("times", "owners"))
        keys = (folder / "taktikal.keys").read_text().split()
        self._places = {key: place for place, key in enumerate(keys)}

    def respond(self, path: str, query: str) -> bytes:
        parameters = {name.lower(): value for name, value in parse_qsl(query)}
        if unknown := parameters.keys() - _KNOWN:
            raise ValueError(f"parameters {sorted(unknown)}")
        first, last = (bisect_left(self._times, to_micros(parameters[name])) for name in ("startdate", "enddate"))
        places = sorted(set(self._owners[first:last]))
        if (key := parameters.get("processkey")) is not None:
            places = [place for place in places if place == self._places.get(key)]
        if path.endswith("/total"):
            return b'{"total":%d}' % len(places)
        skip = int(parameters.get("skip", 0))
        return b"[" + self._items.joined(places[skip : skip + int(parameters.get("take", 10_000))]) + b"]"


class Subnoto:
    """The list of logs, in order of insertion or of time."""

    def __init__(self, folder: Path) -> None:
        self._categories = {name: Items(folder, name) for name in ("envelope", "team")}
        self._by_time: dict[str, list[int]] = {}  # places, by category

    def _in_time(self, category: str) -> list[int]:
        if category not in self._by_time:
            items = self._categories[category]
            times = [json.loads(items.joined([place]))["timestamp"] for place in range(len(items))]
            self._by_time[category] = sorted(range(len(items)), key=times.__getitem__)
        return self._by_time[category]

    def respond(self, body: bytes) -> bytes:
        parameters = json.loads(body)
        category, page, limit = parameters.pop("category"), parameters.pop("page"), parameters.pop("limit")
        items, descending = self._categories[category], parameters.pop("sortOrder", "desc") == "desc"
        if parameters not in ({"sortBy": "id"}, {"sortBy": "timestamp"}) or not 1 <= limit <= 50:
            raise ValueError(f"members {sorted(parameters)}, or the limit")
        order = range(len(items)) if parameters["sortBy"] == "id" else self._in_time(category)
        places = order[:: -1 if descending else 1][(page - 1) * limit : page * limit]
        pages = max(1, -(-len(items) // limit))
        pagination = {
            "totalRecords": len(items), "currentPage": page, "totalPages": pages,
            "nextPage": page + 1 if page < pages else None, "prevPage": page - 1 if page > 1 else None,
        }  # fmt: skip
        return b'{"logs":[' + items.joined(places) + b'],"pagination":' + json.dumps(pagination).encode() + b"}"


class Mock:
    def __init__(self, folders: Sequence[Path]) -> None:
        self.latency, self.calls = 0.0, list[str]()
        self._taktikal = next((Taktikal(each) for each in folders if (each / "taktikal.items").exists()), None)
        self._subnoto = next((Subnoto(each) for each in folders if (each / "envelope.items").exists()), None)

    def respond(self, target: str, body: bytes) -> tuple[bytes, float]:
        """Return the body and the delay in seconds. Raises ValueError for any other call."""
        path, _, query = target.partition("?")
        if path == "/-/calls":
            calls, self.calls = self.calls, []
            return json.dumps(calls).encode(), 0
        if path == "/-/latency":
            self.latency = float(query)
            return b"{}", 0
        self.calls.append(body.decode() or target)
        if path.startswith("/api/signing/activity") and self._taktikal is not None:
            return self._taktikal.respond(path, query), self.latency
        if path == "/public/logs/list" and self._subnoto is not None:
            return self._subnoto.respond(body), self.latency
        raise ValueError(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection. A refused call ends it with a traceback."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            body_sent, wait = self.respond(head.split(b" ", 2)[1].decode(), body)
            if wait:
                await asyncio.sleep(wait)
            lines = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: {formatdate(usegmt=True)}\r\n"
            writer.write(f"{lines}content-length: {len(body_sent)}\r\n\r\n".encode() + body_sent)


async def main(port: str, padding: str, *folders: str) -> None:
    Items.padding = (_NUMBERS * (int(padding) // len(_NUMBERS) + 1))[: int(padding)]
    mock = Mock([Path(folder) for folder in folders])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await mock.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client closed it
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
