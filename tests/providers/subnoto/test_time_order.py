"""Servers without the provider's order of time: it only checks, so that no page fails or becomes slow by it."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.serving import serve
from tests.providers.faulty import check_walk, emulator, gateway, one_of

pytestmark = pytest.mark.anyio


class WithoutTimeOrder:
    """A log API that fails each call for the order of time by `fault`: a status, "hangs" or "closes"."""

    def __init__(self, app: ASGIApp, fault: int | str) -> None:
        self._app, self._fault, self.calls = app, fault, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)

        async def again() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        if not body or json.loads(body).get("sortBy") != "timestamp":
            return await self._app(scope, again, send)
        self.calls += 1
        if self._fault == "hangs":
            await asyncio.sleep(20)
        if isinstance(self._fault, int):
            return await Response(b'{"error": {"code": "NO"}}', self._fault)(scope, again, send)
        raise ConnectionError  # the connection is closed without a response


@pytest.mark.parametrize("fault", [400, 403, 404, 500, 501, 503, "closes"])
async def test_no_page_fails_without_the_order_of_time(fault: int | str) -> None:
    async with one_of("subnoto") as one:
        server = WithoutTimeOrder(emulator(one).app, fault)
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}) as found:
                await check_walk(one, found)
                for window in ({}, {"since": "2026-05-20T00:00:00Z"}, {"until": "2026-05-20T00:00:00Z"}):
                    for path in ("/events", "/events/count", "/events/export"):
                        answer = await found.get(path, **{"since": "2026-05-10T00:00:00Z", **window})
                        assert answer.status_code == 200, answer.text
                health = await found.health("subnoto")
                assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
        assert 1 <= server.calls <= 2, "the failure is remembered; both categories may have called at once"


async def test_half_of_the_time_is_left_to_a_server_that_hangs() -> None:
    async with one_of("subnoto") as one:
        server = WithoutTimeOrder(emulator(one).app, "hangs")
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}, deadline=4.0) as found:
                answer = await found.get(since="2026-05-20T00:00:00Z")
                assert answer.status_code == 200, answer.text
                await check_walk(one, found)
        assert 1 <= server.calls <= 2


async def test_refused_credentials_are_told() -> None:
    async with one_of("subnoto") as one:
        with serve(WithoutTimeOrder(emulator(one).app, 401)) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}) as found:
                assert await found.problem(since="2026-05-20T00:00:00Z") == (502, "source_unauthorized", None)
