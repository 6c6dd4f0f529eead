"""`AiohttpTransport` with servers that send arbitrary bytes."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import uvloop

from app.domain.errors import SourceFailed, SourceTimeout, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.network import Network
from app.providers.http.response import Response
from app.providers.http.transport import AiohttpTransport
from tests.providers.http.servers import OK, answering, server


def make(network: Network | None = None, read: float = 5.0) -> AiohttpTransport:
    bounds = CommonSettings(max_concurrency=4, connect_timeout=2, read_timeout=read, max_answer_bytes=1_000_000)
    return AiohttpTransport(msgspec.structs.replace(bounds, network=network or Network()))


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    found = make()
    yield found
    await found.aclose()


async def get(transport: AiohttpTransport, url: str) -> Response:
    return await transport.send("GET", url, {}, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"not HTTP at all\r\n\r\n",
    ],
)  # fmt: skip
async def test_a_truncated_response_is_unavailable(transport: AiohttpTransport, raw: bytes) -> None:
    async with server(answering(raw, then_close=True)) as (url, heads):
        with pytest.raises(SourceUnavailable, match="broke off"):
            await get(transport, url)
        assert len(heads) == 1


async def test_a_missing_response_is_a_timeout() -> None:
    transport = make(read=0.1)
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as (url, _):
        with pytest.raises(SourceTimeout, match="did not answer in time"):
            await get(transport, url)
    await transport.aclose()


async def test_a_request_on_a_closed_idle_connection_is_sent_again(transport: AiohttpTransport) -> None:
    """A server may close an idle connection while the next request is sent. If it closes a new connection, the call
    fails, because the client makes and counts retries."""
    used = set()

    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer in used or b"/never" in head:
            writer.close()
        else:
            used.add(peer)
            writer.write(OK)
            await writer.drain()

    async with server(respond) as (url, heads):
        for method in ("GET", "POST", "POST"):
            calls = [transport.send(method, f"{url}/kept", {}, b"{}") for _ in range(4)]
            assert [response.status for response in await asyncio.gather(*calls)] == [200] * 4
        assert len(heads) == 4 + 8 + 8
        heads.clear()
        with pytest.raises(SourceUnavailable):
            await get(transport, f"{url}/never")
        assert len(heads) <= 1 + 4, "more requests than idle connections and a new one"


async def test_a_connection_closed_after_its_response_is_replaced(transport: AiohttpTransport) -> None:
    async with server(answering(OK, then_close=True)) as (url, heads):
        for number in range(10):
            assert (await get(transport, url)).body == b"{}"
            assert len(heads) == number + 1
            await asyncio.sleep(0.01)


async def test_connections_are_reused_and_cookies_and_redirects_ignored(transport: AiohttpTransport) -> None:
    raw = b"HTTP/1.1 %d Found\r\nLocation: /other\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"
    peers, statuses = set(), (301, 302, 303, 307, 308)

    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await answering(raw % statuses[len(heads) - 1])(head, writer)

    async with server(respond) as (url, heads):
        for status in statuses:
            response = await get(transport, f"{url}/a%2Fb?q=a+b%26&at=2026-05-01T00%3A00%3A00%2B02%3A00")
            assert (response.status, response.body, response.headers["location"]) == (status, b"{}", "/other")
        assert (len(peers), len(heads)) == (1, 5)
        assert not any(b"cookie" in head.lower() for head in heads)
        assert heads[0].split()[1] == b"/a%2Fb?q=a+b%26&at=2026-05-01T00%3A00%3A00%2B02%3A00"


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        (b"Set-Cookie: " + b"c" * 60_000 + b"\r\n", True),
        (b"".join(b"X-%d: %s\r\n" % (number, b"v" * 300) for number in range(150)), True),
        (b"Set-Cookie: " + b"c" * 70_000 + b"\r\n", False),
        (b"".join(b"X-%d: %s\r\n" % (number, b"v" * 600) for number in range(150)), False),
    ],
)
async def test_response_headers_up_to_64_kb(transport: AiohttpTransport, headers: bytes, fits: bool) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 2\r\n\r\n[]"
    async with server(answering(raw)) as (url, _):
        if fits:
            assert (await get(transport, url)).body == b"[]"
        else:
            with pytest.raises(SourceFailed, match="larger than 64 kB"):
                await get(transport, url)


def test_the_timeout_of_a_call_does_not_close_its_reused_connection() -> None:
    """aiohttp does not stop the timer of a response that arrives faster than it is read. It happens with uvloop, whose
    reads are larger than asyncio's."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n[" + b" " * 2_999_998 + b"]"

    async def calls() -> None:
        async with server(answering(raw)) as (url, _):
            http = ProviderHttp(url, CommonSettings(read_timeout=0.4), name="main")
            for _ in range(3):
                budget = CallBudget()
                assert len((await http.call("GET", "log", budget)).body) == 3_000_000
                assert budget.calls == 1
                await asyncio.sleep(0.5)
            await http.aclose()

    uvloop.run(calls())
