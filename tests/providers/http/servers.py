"""A server on loopback that writes arbitrary bytes, with or without TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Respond = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def server(
    respond: Respond, tls: ssl.SSLContext | None = None, *, greeting: bytes = b""
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield its URL, and the list of the received request heads. `respond` answers each head; with `greeting`, the
    server sends that and closes."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while not greeting:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                await respond(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listening:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


def answering(raw: bytes, *, then_close: bool = False) -> Respond:
    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_close:
            writer.close()

    return respond
