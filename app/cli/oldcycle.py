"""Answers to callers of HTTP/1.0, and how a connection is broken off."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class OldCycle(RequestResponseCycle):
    """A request of HTTP/1.0, which knows no chunks: an answer of unknown length ends with the connection, and one that
    is cut short must not look like that."""

    _endless = False

    async def run_asgi(self, app: ASGI3Application) -> None:
        async def cutting(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except BaseException:
                if self.response_started and not self.response_complete:
                    reset(self.transport)
                raise

        await super().run_asgi(cutting)

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._endless = not any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            if self._endless:
                self.chunked_encoding, self.keep_alive = False, False
        elif self._endless:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def reset(transport: asyncio.Transport) -> None:
    """Breaks the connection off: the other end gets an error."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
