"""A listener to `GET /events/stream`, which parses as the standard of server-sent events says."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.conftest import ALL


@dataclass
class Message:
    id: str | None
    event: str
    data: Any


@dataclass
class Connection:
    """`last_id` is what it would send when it connects again."""

    response: httpx.Response
    last_id: str | None = None
    comments: list[str] = field(default_factory=list)
    _text: bytes = b""

    def __post_init__(self) -> None:
        self.parts = self.response.iter_raw()

    def blocks(self) -> Iterator[list[str]]:
        """Blocks of lines, until the end."""
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
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
    url = f"http://127.0.0.1:{port}/events/stream"
    with (
        httpx.Client(transport=httpx.HTTPTransport(socket_options=options), headers=headers, timeout=60) as client,
        client.stream("GET", url, params=query) as response,
    ):
        yield Connection(response)


def take(connection: Connection, count: int) -> list[Message]:
    """The next messages, so many of them; problems are left out."""
    got: list[Message] = []
    for message in connection.messages():
        if message.event == "message":
            got.append(message)
        if len(got) == count:
            return got
    raise AssertionError(f"it ended after {len(got)} of {count} events")


def numbers(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.data["source"], message.data["provider_id"]) for message in messages]


def heard(connection: Connection) -> list[str]:
    return connection.comments or [next(iter(connection.blocks()))[0]]
