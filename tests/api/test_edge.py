"""What is turned away at the door, and what happens to a caller's work when the caller has gone."""

import asyncio
import io
import time

import httpx
import pytest

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
    async with opened(make_app([source], max_in_flight=3)) as client:
        under_way = [asyncio.create_task(client.get("/events")) for _ in range(3)]
        await until(lambda: source.calls >= 6)
        refused = await client.get("/events")
        alive = await client.get("/health/live")
        source.enough = True
        served_ones = await asyncio.gather(*under_way)
        after = await client.get("/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["content-type"] == "application/problem+json"
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
    assert isinstance(client, httpx.AsyncClient)
