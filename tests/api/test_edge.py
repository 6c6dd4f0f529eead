"""Requests that are refused because others are under way, also streams and exports, which are counted apart and shared
out between keys; and what happens to a caller's work when the caller has gone."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.conftest import ALL, make_app, opened
from tests.api.memory import MemorySource, history
from tests.api.server import rest, served, talk
from tests.logged import lines
from tests.waiting import until, wait_until

AUTH = f"X-API-Key: {ALL}\r\nHost: gateway\r\n".encode()


class Busy(MemorySource):
    """Its reads last until `enough` is set or they are cancelled."""

    def __init__(self) -> None:
        super().__init__("north", history("north", 3))
        self.calls = self.stopped = 0
        self.enough, self.before_read = False, self.work

    async def work(self) -> None:
        try:
            while not self.enough:
                self.calls += 1
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.stopped += 1
            raise


def test_a_caller_who_hangs_up_stops_the_upstream_calls(log: io.StringIO) -> None:
    """Unless another request is pipelined behind, which uvicorn then reports the end of: docs/security.md."""
    source = Busy()
    with served(make_app([source])) as port:
        connection = talk(port, b"GET /events HTTP/1.1\r\n" + AUTH + b"\r\n")
        wait_until(lambda: source.calls > 10)
        connection.close()
        wait_until(lambda: source.stopped == 1)
        calls = source.calls
        time.sleep(0.1)
        assert source.calls == calls
        wait_until(lambda: '"event":"request"' in log.getvalue())
    (line,) = lines(log)
    assert (line["status"], line["code"]) == (0, "hung_up")


def test_a_caller_who_stays_gets_the_answer_and_no_cancellation(log: io.StringIO) -> None:
    source = Busy()
    with served(make_app([source])) as port:
        connection = talk(port, b"GET /events HTTP/1.1\r\nConnection: close\r\n" + AUTH + b"\r\n")
        wait_until(lambda: source.calls > 3)
        source.enough = True
        assert rest(connection).startswith(b"HTTP/1.1 200 OK")
    assert source.stopped == 0
    assert '"hung_up"' not in log.getvalue()


def test_a_body_that_nobody_asked_for_is_no_hanging_up() -> None:
    source = Busy()
    source.enough = True
    with served(make_app([source])) as port:
        head = b"GET /events HTTP/1.1\r\nConnection: close\r\nContent-Length: 7\r\n" + AUTH + b"\r\n"
        assert rest(talk(port, head, b"x=1&y=2")).startswith(b"HTTP/1.1 200 OK")


async def test_too_many_at_a_time_are_turned_away_and_the_rest_served() -> None:
    source = Busy()
    origin = {"Origin": "https://app.example.com"}
    async with opened(make_app([source], max_in_flight=3, cors_origins=(origin["Origin"],))) as client:
        under_way = [asyncio.create_task(client.get("/events")) for _ in range(3)]
        await until(lambda: source.calls >= 6)
        asked = await client.options("/events", headers={**origin, "Access-Control-Request-Method": "GET"})
        refused = await client.get("/events", headers=origin)
        alive = await client.get("/health/live")
        source.enough = True
        served_ones = await asyncio.gather(*under_way)
        after = await client.get("/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (asked.status_code, refused.headers["access-control-allow-origin"]) == (200, origin["Origin"])
    assert int(refused.headers["retry-after"]) >= 1
    assert alive.status_code == 200
    assert [answer.status_code for answer in served_ones] == [200] * 3
    assert after.status_code == 200


async def test_work_that_the_server_cancels_stays_cancelled() -> None:
    source = Busy()
    async with opened(make_app([source])) as client:
        task = asyncio.create_task(client.get("/events"))
        await until(lambda: source.calls >= 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert source.stopped == 1


PATHS = ("/events/stream", "/events/export")


def app_with(**settings: Any) -> FastAPI:
    return make_app([MemorySource("north", history("north", 30))], stream_poll=0.05, **settings)


@asynccontextmanager
async def stuck(app: FastAPI, path: str, count: int, key: str = ALL) -> AsyncIterator[None]:
    """`count` calls whose callers take the first bytes of the body and nothing more."""
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

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "server": ("gateway", 80),
        "headers": [(b"host", b"gateway"), (b"x-api-key", key.encode())],
    }  # fmt: skip
    await app(scope, receive, send)


@pytest.mark.parametrize("path", PATHS)
async def test_calls_that_last_leave_room_for_pages(path: str) -> None:
    app = app_with(max_in_flight=32, stream_listeners=32, key_streams=32, key_exports=32)
    async with opened(app) as client, stuck(app, path, 32):
        for other in ("/events", "/events/count", "/metrics", "/ui", "/health/ready"):
            assert (await client.get(other)).status_code == 200, other
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


@pytest.mark.parametrize("path", PATHS)
async def test_one_key_cannot_take_all(path: str) -> None:
    app = app_with(key_streams=2, key_exports=3)
    share, variable = (2, "GATEWAY_KEY_STREAMS") if path.endswith("stream") else (3, "GATEWAY_KEY_EXPORTS")
    async with opened(app) as client:
        async with stuck(app, path, share):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert variable in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) >= 1
            async with stuck(app, path, share, key="reader"):
                pass
        async with stuck(app, path, share):
            pass  # what they held was given back


async def test_no_more_streams_than_listeners_of_all_keys() -> None:
    app = app_with(stream_listeners=2)
    async with opened(app) as client, stuck(app, PATHS[0], 1), stuck(app, PATHS[0], 1, key="reader"):
        refused = await client.get(PATHS[0])
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("leaves_at", ["http.response.start", "http.response.body"])
async def test_a_caller_who_leaves_before_the_first_byte_holds_nothing(path: str, leaves_at: str) -> None:
    app = app_with()
    left = 0

    async def send(message: Any) -> None:
        nonlocal left
        if message["type"] == leaves_at:
            left += 1
            raise OSError("the connection is gone")

    async with opened(app):
        for _ in range(12):
            with suppress(Exception):
                await call(app, path, send)
        assert left >= 12
        assert not app.state.stream_slots.taken | app.state.export_slots.taken
        assert not app.state.broadcaster._calls._flights


async def test_an_export_that_is_refused_holds_nothing() -> None:
    app = app_with()
    async with opened(app) as client:
        assert (await client.get("/events/export?after=unknown&since=2026-05-01")).status_code == 422
        assert (await client.get("/events/export?cursor=unknown")).status_code == 400
    assert not app.state.export_slots.taken
