"""httpx's transport over aiohttp, against servers that write what they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
import uvloop

from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.transport import EXCEPTIONS, AiohttpTransport

pytestmark = pytest.mark.anyio

Answers = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(answers: Answers) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its URL, and the heads of the requests that came."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                await answers(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    found = AiohttpTransport(most=4, keepalive=30)
    yield found
    await found.aclose()


async def get(transport: AiohttpTransport, url: str, read: float = 5) -> httpx.Response:
    timeout = httpx.Timeout(read, connect=2).as_dict()
    response = await transport.handle_async_request(httpx.Request("GET", url, extensions={"timeout": timeout}))
    try:
        response.read_raw = b"".join([part async for part in response.aiter_raw()])  # type: ignore[attr-defined]
    finally:
        await response.aclose()
    return response


def answering(raw: bytes, *, then_close: bool = False) -> Answers:
    async def answers(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_close:
            writer.close()

    return answers


def test_every_exception_of_aiohttp_has_a_meaning() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    known = {kind for kind in below(aiohttp.ClientError) if kind.__module__.startswith("aiohttp.")}
    assert len(known) > 20
    meant = {kind: next(theirs for ours, theirs in EXCEPTIONS if issubclass(kind, ours)) for kind in known}
    # The last row is for the mother of all, and for what cannot come: no redirect is followed, no upload streamed.
    others = {kind.__name__ for kind, theirs in meant.items() if theirs is httpx.NetworkError}
    assert others == {"ClientError", "RedirectClientError", "UploadAbortedError"}
    # No row stands behind one that takes all of its exceptions.
    for number, (ours, _) in enumerate(EXCEPTIONS):
        assert not any(issubclass(ours, before) for before, _ in EXCEPTIONS[:number])


async def test_a_refused_connection(transport: AiohttpTransport) -> None:
    async with server(answering(OK)) as (url, _):
        pass
    with pytest.raises(httpx.ConnectError):
        await get(transport, url)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", httpx.RemoteProtocolError),
        (b"not HTTP at all\r\n\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_an_answer_that_breaks_off(transport: AiohttpTransport, raw: bytes, error: type[Exception]) -> None:
    async with server(answering(raw, then_close=True)) as (url, heads):
        with pytest.raises(error):
            await get(transport, url)
        assert len(heads) == 1


async def test_an_answer_that_does_not_come(transport: AiohttpTransport) -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as (url, _):
        with pytest.raises(httpx.ReadTimeout):
            await get(transport, url, read=0.1)


async def test_a_kept_connection_that_is_closed_is_no_failure(transport: AiohttpTransport) -> None:
    """A server may close one that rests just as the next request is sent: that goes by a new one. A new one that is
    closed has failed: asking again is for others, who count."""
    used = set()

    async def answers(head: bytes, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer in used or b"/never" in head:
            writer.close()
        else:
            used.add(peer)
            writer.write(OK)
            await writer.drain()

    async with server(answers) as (url, heads):
        for _ in range(3):
            gather_all = [get(transport, f"{url}/kept") for _ in range(4)]
            assert [response.status_code for response in await asyncio.gather(*gather_all)] == [200] * 4
        assert len(heads) == 4 + 8 + 8
        heads.clear()
        with pytest.raises(httpx.RemoteProtocolError):
            await get(transport, f"{url}/never")
        assert len(heads) <= 1 + 4, "the kept ones, and a new one"


async def test_connections_are_kept_and_cookies_are_not(transport: AiohttpTransport) -> None:
    raw = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n")
    peers = set()

    async def answers(head: bytes, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await answering(raw)(head, writer)

    async with server(answers) as (url, heads):
        for _ in range(3):
            response = await get(transport, url)
            assert response.headers.get_list("set-cookie") == ["a=b", "c=d"]
        assert len(peers) == 1
        assert not any(b"cookie" in head.lower() for head in heads)


async def test_redirects_and_encodings_are_left_to_the_caller(transport: AiohttpTransport) -> None:
    raw = (
        b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    )
    async with server(answering(raw)) as (url, heads):
        response = await get(transport, url)
        assert (response.status_code, response.read_raw) == (302, b"\x1f\x8b\x08\x00")  # type: ignore[attr-defined]
        assert len(heads) == 1


async def test_the_address_is_sent_as_httpx_wrote_it(transport: AiohttpTransport) -> None:
    async with server(answering(OK)) as (url, heads):
        asked = httpx.URL(f"{url}/a%2Fb/ö", params={"q": "a+b c&d=é%", "at": "2026-05-01T00:00:00+02:00"})
        await get(transport, str(asked))
        assert heads[0].split()[1] == asked.raw_path


async def test_the_environments_proxy_is_used(transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(answering(OK)) as (url, heads):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        assert (await get(transport, "http://provider.example/log")).status_code == 200
        assert heads[0].startswith(b"GET http://provider.example/log HTTP/1.1\r\n")
        monkeypatch.setenv("no_proxy", "127.0.0.1,other.example")
        async with server(answering(OK)) as (direct, straight):
            await get(transport, f"{direct}/log")
            assert [head.split()[1] for head in straight] == [b"/log"]


def test_a_kept_connection_is_not_ended_by_the_call_before() -> None:
    """aiohttp forgets to stop the timer of an answer that came faster than it was read. Found by a benchmark, on
    uvloop: asyncio hands over less at a time."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000)

    async def calls() -> None:
        async with server(answering(raw)) as (url, _):
            http = ProviderHttp(url, CommonSettings(read_timeout=0.6), name="main")
            for _ in range(4):
                spent = CallBudget()
                assert len((await http.call("GET", "log", spent)).body) == 3_000_000
                assert spent.calls == 1
                await asyncio.sleep(0.7)
            await http.aclose()

    uvloop.run(calls())
