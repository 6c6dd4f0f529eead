"""A client of `GET /events/stream` that parses server-sent events by their standard."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.conftest import ALL, bearer


@dataclass
class Message:
    id: str | None
    event: str
    data: Any


@dataclass
class Connection:
    """`last_id` is the `Last-Event-ID` of the next connection."""

    response: httpx.Response
    last_id: str | None = None
    comments: list[str] = field(default_factory=list)
    _text: bytes = b""

    def __post_init__(self) -> None:
        self.parts = self.response.iter_raw()

    def blocks(self) -> Iterator[list[str]]:
        """Yield blocks of lines until the end of the stream."""
        while True:
            while (end := self._text.find(b"\n\n")) >= 0:
                block, self._text = self._text[:end].decode().split("\n"), self._text[end + 2 :]
                yield block
            part = next(self.parts, None)
            if part is None:
                return
            self._text += part

    def messages(self) -> Iterator[Message]:
        for block in self.blocks():
            fields: dict[str, str] = {}
            for line in block:
                name, _, value = line.partition(": ")
                if name == "":
                    self.comments.append(value)
                fields[name] = value
            if "id" in fields:
                self.last_id = fields["id"]
            if "data" in fields:
                yield Message(fields.get("id"), fields.get("event", "message"), json.loads(fields["data"]))


@contextmanager
def listening(
    port: int, key: str = ALL, last_id: str | None = None, receive_buffer: int = 0, **query: str
) -> Iterator[Connection]:
    headers = {**bearer(key), "Accept-Encoding": "identity"}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
    url = f"http://127.0.0.1:{port}/events/stream"
    with (
        httpx.Client(transport=httpx.HTTPTransport(socket_options=options), headers=headers, timeout=60) as client,
        client.stream("GET", url, params=query) as response,
    ):
        yield Connection(response)


def read_events(connection: Connection, count: int) -> list[Message]:
    """Return the next `count` events, without problems."""
    events: list[Message] = []
    for message in connection.messages():
        if message.event == "message":
            events.append(message)
        if len(events) == count:
            return events
    raise AssertionError(f"the stream ended after {len(events)} of {count} events")


def numbers(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.data["source"], message.data["provider_id"]) for message in messages]


def wait_for_heartbeat(connection: Connection) -> None:
    while next(connection.blocks())[0] != ": heartbeat":
        pass
