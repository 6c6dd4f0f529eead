"""Providers that misbehave over real sockets, and a whole gateway in front of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.config import Settings
from app.domain.times import format_micros, parse_rfc3339
from app.main import create_app
from app.providers.base import CommonSettings, Provider
from app.providers.registry import find_providers
from sandbox.serving import serve
from tests.contract.account import Tap, Timer
from tests.worlds import SECRET, Clock, SubnotoOptions, TaktikalOptions, World, micros, world

SINCE = "2026-05-01T00:00:00Z"
UNTIL = "2026-06-01T12:00:00Z"


class Gateway:
    """A client of a gateway, and the clock of its circuits."""

    def __init__(self, client: httpx.AsyncClient, timer: Timer) -> None:
        self.client, self.timer = client, timer

    async def get(self, path: str = "/events", **parameters: Any) -> httpx.Response:
        if path == "/events" and "cursor" not in parameters:
            parameters = {"since": SINCE, "until": UNTIL, **parameters}
        return await self.client.get(path, params=parameters)

    async def problem(self, path: str = "/events", **parameters: Any) -> tuple[int, str, float | None]:
        """Status, code and `retry_after` of a call that fails; the problem is checked whole."""
        answer = await self.get(path, **parameters)
        body = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["status"] == answer.status_code
        assert "www-authenticate" not in answer.headers
        [source] = body["sources"]
        assert source["code"] == body["code"]
        if answer.status_code == 503 and source["retry_after"] is not None:
            assert source["retry_after"] <= int(answer.headers["retry-after"]) < source["retry_after"] + 1.001
        return answer.status_code, body["code"], source["retry_after"]

    async def health(self, name: str) -> dict[str, Any]:
        answer = await self.client.get("/sources")
        assert answer.status_code == 200, answer.text
        [found] = [source["health"] for source in answer.json()["data"] if source["name"] == name]
        health: dict[str, Any] = found
        return health

    async def check_healthy(self, name: str) -> None:
        """The failures of its calls have not counted against this source."""
        health = await self.health(name)
        assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
        assert health["paused_until"] is None

    async def walk(self, limit: int = 100, patience: int = 50, **parameters: Any) -> list[dict[str, Any]]:
        """All events. A page that fails is asked for again, after the time that the answer names."""
        events: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            asked = {"limit": limit, **(parameters if cursor is None else {"cursor": cursor})}
            answer = await self.get(**asked)
            if answer.status_code != 200:
                assert answer.status_code in (502, 503, 504), answer.text
                patience -= 1
                assert patience, "it never came back"
                self.timer.offset += float(answer.headers.get("retry-after", 1))
                continue
            page = answer.json()
            events += page["data"]
            cursor = page["page"]["next_cursor"]
            if cursor is None:
                return events


@asynccontextmanager
async def gateway(
    env: Mapping[str, str],
    *,
    clock: Clock | None = None,
    deadline: float = 30.0,
    other: Sequence[Provider] = (),
    **common: Any,
) -> AsyncIterator[Gateway]:
    """The whole application over the sources that `env` configures, with all that surrounds a request. `other`:
    further providers."""
    timer = Timer()
    moved = clock or Clock()
    settings = CommonSettings(clock=lambda: micros(moved()), timer=timer, sleep=timer.sleep, **common)
    providers = find_providers() | {provider.name: provider for provider in other}
    found = [provider.from_environment(env, settings) for provider in providers.values()]
    app = create_app(
        Settings(auth="off", cursor_secret=SECRET, deadline=deadline),
        [source for source in found if source is not None],
        providers=providers,
    )
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client,
    ):
        yield Gateway(client, timer)


class Rewritten(Tap):
    """An emulator whose 200 answers are changed on their way out."""

    def __init__(self, app: ASGIApp, change: Callable[[Any], Any]) -> None:
        super().__init__(app)
        self._change, self.bodies = change, []

    def _changed(self, body: bytes) -> bytes:
        changed = self._change(json.loads(body))
        return changed if isinstance(changed, bytes) else json.dumps(changed).encode()


Fails = Callable[[str, Mapping[str, Any]], bool]  #: by the path of a call, and its parameters or members
#: Ways in which one call may fail while others succeed.
FAULTS: list[int | str] = [400, 403, 404, 405, 429, 500, 501, 503, "html", "closes", "hangs"]


class FailsCalls:
    """A vendor's API that fails the calls that `fails` selects by `fault`: one of `FAULTS`, another status, or None for
    no fault. `calls`: those that it selects."""

    def __init__(self, app: ASGIApp, fails: Fails, fault: int | str | None) -> None:
        self._app, self._fails, self.fault, self.calls = app, fails, fault, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)

        async def again() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        sent = json.loads(body) if body else dict(parse_qsl(scope["query_string"].decode()))
        if not self._fails(scope["path"], sent):
            return await self._app(scope, again, send)
        self.calls += 1
        if self.fault is None:
            return await self._app(scope, again, send)
        if self.fault == "closes":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            raise ConnectionError  # the connection is closed without a body
        if self.fault == "hangs":
            await asyncio.sleep(20)
        if not isinstance(self.fault, int):
            return await HTMLResponse("<html>Please sign in.</html>")(scope, again, send)
        error = {"error": {"code": "NO"}, "responseStatus": {"errorCode": "No"}}
        headers = {"retry-after": "300"} if self.fault == 429 else None
        return await JSONResponse(error, self.fault, headers)(scope, again, send)


@asynccontextmanager
async def reading(one: World, app: ASGIApp, env: Mapping[str, str] = {}, **options: Any) -> AsyncIterator[Gateway]:
    """A gateway that reads `app` in place of the world's emulator; `env`: further settings."""
    with serve(app) as url:
        own = {"TAKTIKAL_BASE_URL": f"{url}/api"} if one.taktikal else {"SUBNOTO_BASE_URL": url}
        async with gateway({**one.env, **own, **env}, **options) as found:
            yield found


@asynccontextmanager
async def failing(
    one: World, fails: Fails, fault: int | str, env: Mapping[str, str] = {}, **options: Any
) -> AsyncIterator[tuple[FailsCalls, Gateway]]:
    """The world's emulator, of which the calls that `fails` selects fail, and a gateway that reads it."""
    app = FailsCalls(emulator(one).app, fails, fault)
    async with reading(one, app, env, **options) as found:
        yield app, found


VENDORS = ["taktikal", "subnoto"]


def one_of(vendor: str, **options: Any) -> Any:
    settings = {"events": 300, "tie_burst": 3, **options}
    if vendor == "taktikal":
        return world(taktikal=TaktikalOptions(**settings))
    return world(subnoto=SubnotoOptions(**settings))


def emulator(one: World) -> Any:
    return one.taktikal or one.subnoto


def order(one: World, fault: int | str, times: int, **given: Any) -> None:
    faults = emulator(one).faults
    faults.cut(times=times) if fault == "cut" else faults.answer(fault, times=times, **given)


def truth(one: World) -> list[tuple[str, str]]:
    """Time and provider's type of each event of the window, newest first."""
    since, until = parse_rfc3339(SINCE), parse_rfc3339(UNTIL)
    return [(format_micros(row[0]), row[4]) for row in one.truth() if since <= row[0] < until][::-1]


def rows(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["occurred_at"], event["provider_type"]) for event in events]


async def check_walk(one: World, found: Gateway) -> None:
    """The walk is exactly right: nothing missing, nothing twice, in order."""
    events = await found.walk()
    assert len({event["id"] for event in events}) == len(events)
    assert rows(events) == truth(one)


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
GZIPPED = PLAIN.replace(b"connection", b"content-encoding: gzip\r\nconnection")


def pointing_at(url: str) -> dict[str, str]:
    return {"TAKTIKAL_BASE_URL": f"{url}/api", "TAKTIKAL_COMPANY_KEY": "c", "TAKTIKAL_API_KEY": "k"}


ONE = {"envelope_id": "sp1"}
