"""A server on loopback that writes what a test likes, with or without TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answers = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(
    answers: Answers, tls: ssl.SSLContext | None = None, *, greeting: bytes = b""
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its URL, and the heads of the requests that came. With `greeting`, it writes that and closes."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while not greeting:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                await answers(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listening:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


def answering(raw: bytes, *, then_close: bool = False) -> Answers:
    async def answers(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_close:
            writer.close()

    return answers
