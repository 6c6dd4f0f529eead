"""Limits of concurrent requests, streams and exports, in total and per key, and the cancellation of a request whose
caller disconnects."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.conftest import ALL, make_app, opened
from tests.api.memory import MemorySource, history, memory_source
from tests.api.server import http_scope, read_to_end, send_raw, served
from tests.logged import lines
from tests.waiting import until, wait_until

AUTH = f"X-API-Key: {ALL}\r\nHost: gateway\r\n".encode()


class Busy(MemorySource):
    """A source whose reads last until `released` is set or they are cancelled."""

    def __init__(self) -> None:
        super().__init__("north", history("north", 3))
        self.calls = self.cancelled = 0
        self.released, self.before_read = False, self.work

    async def work(self) -> None:
        try:
            while not self.released:
                self.calls += 1
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_a_disconnect_cancels_upstream_calls(log: io.StringIO) -> None:
    """Not if another request is pipelined, because uvicorn then reports the end of that one (docs/security.md)."""
    source = Busy()
    with served(make_app([source])) as port:
        connection = send_raw(port, b"GET /events HTTP/1.1\r\n" + AUTH + b"\r\n")
        wait_until(lambda: source.calls > 10)
        connection.close()
        wait_until(lambda: source.cancelled == 1)
        calls = source.calls
        time.sleep(0.1)
        assert source.calls == calls
        wait_until(lambda: '"event":"request"' in log.getvalue())
    (line,) = lines(log)
    assert (line["status"], line["code"]) == (0, "hung_up")


def test_a_connected_caller_gets_its_response(log: io.StringIO) -> None:
    source = Busy()
    with served(make_app([source])) as port:
        connection = send_raw(port, b"GET /events HTTP/1.1\r\nConnection: close\r\n" + AUTH + b"\r\n")
        wait_until(lambda: source.calls > 3)
        source.released = True
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK")
    assert source.cancelled == 0
    assert '"hung_up"' not in log.getvalue()


def test_an_unexpected_body_is_not_a_disconnect() -> None:
    source = Busy()
    source.released = True
    with served(make_app([source])) as port:
        head = b"GET /events HTTP/1.1\r\nConnection: close\r\nContent-Length: 7\r\n" + AUTH + b"\r\n"
        assert read_to_end(send_raw(port, head, b"x=1&y=2")).startswith(b"HTTP/1.1 200 OK")


async def test_requests_beyond_max_in_flight_are_refused() -> None:
    source = Busy()
    origin = {"Origin": "https://app.example.com"}
    async with opened(make_app([source], max_in_flight=3, cors_origins=(origin["Origin"],))) as client:
        running = [asyncio.create_task(client.get("/events")) for _ in range(3)]
        await until(lambda: source.calls >= 6)
        preflight = await client.options("/events", headers={**origin, "Access-Control-Request-Method": "GET"})
        refused = await client.get("/events", headers=origin)
        health = await client.get("/health/live")
        source.released = True
        served_responses = await asyncio.gather(*running)
        after = await client.get("/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (preflight.status_code, refused.headers["access-control-allow-origin"]) == (200, origin["Origin"])
    assert int(refused.headers["retry-after"]) >= 1
    assert health.status_code == 200
    assert [response.status_code for response in served_responses] == [200] * 3
    assert after.status_code == 200


async def test_a_cancellation_by_the_server_is_not_suppressed() -> None:
    source = Busy()
    async with opened(make_app([source])) as client:
        task = asyncio.create_task(client.get("/events"))
        await until(lambda: source.calls >= 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert source.cancelled == 1


PATHS = ("/events/stream", "/events/export")


def app_with(**settings: Any) -> FastAPI:
    return make_app([memory_source(30)], stream_poll=0.05, **settings)


@asynccontextmanager
async def stalled_calls(app: FastAPI, path: str, count: int, key: str = ALL) -> AsyncIterator[None]:
    """Begin `count` calls whose callers read only the first bytes of the body."""
    full = asyncio.Semaphore(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            full.release()
            await asyncio.Event().wait()
        assert message["status"] == 200

    calls = [asyncio.create_task(call(app, path, send, key)) for _ in range(count)]
    for _ in range(count):
        await full.acquire()
    try:
        yield
    finally:
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def call(app: FastAPI, path: str, send: Any, key: str = ALL) -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    await app(http_scope(path, headers=[(b"x-api-key", key.encode())]), receive, send)


@pytest.mark.parametrize("path", PATHS)
async def test_streams_and_exports_use_no_slots_of_pages(path: str) -> None:
    app = app_with(max_in_flight=32, stream_listeners=32, key_streams=32, key_exports=32)
    async with opened(app) as client, stalled_calls(app, path, 32):
        for other in ("/events", "/events/count", "/metrics", "/ui", "/health/ready"):
            assert (await client.get(other)).status_code == 200, other
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


@pytest.mark.parametrize("path", PATHS)
async def test_streams_and_exports_are_limited_per_key(path: str) -> None:
    app = app_with(key_streams=2, key_exports=3)
    share, variable = (2, "GATEWAY_KEY_STREAMS") if path.endswith("stream") else (3, "GATEWAY_KEY_EXPORTS")
    async with opened(app) as client:
        async with stalled_calls(app, path, share):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert variable in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) >= 1
            async with stalled_calls(app, path, share, key="reader"):
                pass
        async with stalled_calls(app, path, share):
            pass  # the slots have been released


async def test_streams_are_limited_over_all_keys() -> None:
    app = app_with(stream_listeners=2)
    async with opened(app) as client, stalled_calls(app, PATHS[0], 1), stalled_calls(app, PATHS[0], 1, key="reader"):
        refused = await client.get(PATHS[0])
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fails_at", ["http.response.start", "http.response.body"])
async def test_a_disconnect_before_the_first_byte_releases_the_slot(path: str, fails_at: str) -> None:
    app = app_with()
    disconnects = 0

    async def send(message: Any) -> None:
        nonlocal disconnects
        if message["type"] == fails_at:
            disconnects += 1
            raise OSError("the connection is gone")

    async with opened(app):
        for _ in range(12):
            with suppress(Exception):
                await call(app, path, send)
        assert disconnects >= 12
        assert not app.state.stream_slots.taken | app.state.export_slots.taken
        assert not app.state.broadcaster._calls._flights


async def test_a_refused_export_releases_its_slot() -> None:
    app = app_with()
    async with opened(app) as client:
        assert (await client.get("/events/export?after=unknown&since=2026-05-01")).status_code == 422
        assert (await client.get("/events/export?cursor=unknown")).status_code == 400
    assert not app.state.export_slots.taken
