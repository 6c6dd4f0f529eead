"""Faulty providers over real sockets, and a gateway that reads them."""

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
    """A client of a gateway, and the monotonic clock of its sources."""

    def __init__(self, client: httpx.AsyncClient, timer: Timer) -> None:
        self.client, self.timer = client, timer

    async def get(self, path: str = "/events", **parameters: Any) -> httpx.Response:
        if path == "/events" and "cursor" not in parameters:
            parameters = {"since": SINCE, "until": UNTIL, **parameters}
        return await self.client.get(path, params=parameters)

    async def problem(self, path: str = "/events", **parameters: Any) -> tuple[int, str, float | None]:
        """Return status, code and `retry_after` of a call that fails, and check its problem."""
        response = await self.get(path, **parameters)
        body = response.json()
        assert response.headers["content-type"] == "application/problem+json"
        assert body["status"] == response.status_code
        assert "www-authenticate" not in response.headers
        [source] = body["sources"]
        assert source["code"] == body["code"]
        if response.status_code == 503 and source["retry_after"] is not None:
            assert source["retry_after"] <= int(response.headers["retry-after"]) < source["retry_after"] + 1.001
        return response.status_code, body["code"], source["retry_after"]

    async def health(self, name: str) -> dict[str, Any]:
        response = await self.client.get("/sources")
        assert response.status_code == 200, response.text
        [found] = [source["health"] for source in response.json()["data"] if source["name"] == name]
        health: dict[str, Any] = found
        return health

    async def check_healthy(self, name: str) -> None:
        """Check that no failure of a call affects the circuit or pauses the source."""
        health = await self.health(name)
        assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
        assert health["paused_until"] is None

    async def walk(self, limit: int = 100, **query: str) -> list[dict[str, Any]]:
        """Return all events. A page that fails is requested again, after its Retry-After."""
        events: list[dict[str, Any]] = []
        failures = 0
        while True:
            response = await self.get(limit=limit, **query)
            if response.status_code != 200:
                assert response.status_code in (502, 503, 504), response.text
                failures += 1
                assert failures < 50, "the source does not recover"
                self.timer.offset += float(response.headers.get("retry-after", 1))
                continue
            page = response.json()
            events += page["data"]
            query = {"cursor": page["page"]["next_cursor"]}
            if not page["page"]["has_more"]:
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
    """Yield a client of the whole application over the sources that `env` configures. `other`: further providers."""
    timer = Timer()
    wall_clock = clock or Clock()
    settings = CommonSettings(clock=lambda: micros(wall_clock()), timer=timer, sleep=timer.sleep, **common)
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
    """An emulator whose responses with status 200 are replaced by `change` of them."""

    def __init__(self, app: ASGIApp, change: Callable[[Any], Any]) -> None:
        super().__init__(app)
        self._change, self.bodies = change, []

    def _changed(self, body: bytes) -> bytes:
        changed = self._change(json.loads(body))
        return changed if isinstance(changed, bytes) else json.dumps(changed).encode()


Fails = Callable[[str, Mapping[str, Any]], bool]  #: of a call's path, and its parameters or the members of its body
#: Faults of one call while others succeed.
FAULTS: list[int | str] = [400, 403, 404, 405, 429, 500, 501, 503, "html", "closes", "hangs"]


class FailsCalls:
    """ASGI middleware: the calls that `fails` selects fail by `fault`, which is one of FAULTS, another status, or None
    for no fault. `calls` counts them."""

    def __init__(self, app: ASGIApp, fails: Fails, fault: int | str | None) -> None:
        self._app, self.fails, self.fault, self.calls = app, fails, fault, 0

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
        if not self.fails(scope["path"], sent):
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
    """Yield a gateway that reads `app` instead of the world's emulator. `env`: further settings."""
    with serve(app) as url:
        own = {"TAKTIKAL_BASE_URL": f"{url}/api"} if one.taktikal else {"SUBNOTO_BASE_URL": url}
        async with gateway({**one.env, **own, **env}, **options) as found:
            yield found


@asynccontextmanager
async def failing(
    one: World, fails: Fails, fault: int | str, env: Mapping[str, str] = {}, **options: Any
) -> AsyncIterator[tuple[FailsCalls, Gateway]]:
    """Yield the world's emulator with failing calls, which `fails` selects, and a gateway that reads it."""
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


def truth(one: World) -> list[tuple[str, str]]:
    """Return time and provider type of each event of the window, newest first."""
    rows = one.truth(parse_rfc3339(SINCE), parse_rfc3339(UNTIL))
    return [(format_micros(row[0]), row[4]) for row in reversed(rows)]


def rows(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["occurred_at"], event["provider_type"]) for event in events]


async def check_walk(one: World, found: Gateway) -> None:
    """Check that a walk returns each event exactly once, in order."""
    events = await found.walk()
    assert len({event["id"] for event in events}) == len(events)
    assert rows(events) == truth(one)


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
GZIPPED = PLAIN.replace(b"connection", b"content-encoding: gzip\r\nconnection")


def pointing_at(url: str) -> dict[str, str]:
    return {"TAKTIKAL_BASE_URL": f"{url}/api", "TAKTIKAL_COMPANY_KEY": "c", "TAKTIKAL_API_KEY": "k"}


ONE = {"envelope_id": "sp1"}
