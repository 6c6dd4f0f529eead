"""Every problem that an operation can answer with, provoked at a gateway over the sandbox: nothing is made up."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from sandbox.faults import Faults
from sandbox.launcher import Sandbox
from tests.api.issuer import AUDIENCE, ISSUER, signed
from tests.api.memory import MemorySource
from tests.clients.recording import REQUEST_ID, WINDOW, Caller, calling, gateway

FAILING = "taktikal"  #: whichever source it is that something goes wrong with
MANY = 50  #: more requests than the gateway will try again
LONG = "x" * 40_000


def record_problems(running: Sandbox) -> dict[str, dict[str, Any]]:
    """The body of each problem, by its code."""
    answers = [*_the_callers_own(running), *_of_sources(running), *_of_the_gateway(running)]
    found = {body["code"]: body for body in (answer.json() for answer in answers)}
    assert len(found) == len(answers), "each provokes another problem"
    return dict(sorted(found.items()))


def _the_callers_own(running: Sandbox) -> list[httpx.Response]:
    with calling(gateway(running)) as caller:
        get = caller.get
        page = get("/events", **WINDOW, limit=1).json()
        cursor, event_id = page["page"]["next_cursor"], page["data"][0]["id"]
        get("/sources", "busy")
        return [
            get("/events", cursor=f"{cursor[:-1]}{'A' if cursor[-1] != 'A' else 'B'}"),
            get("/events", cursor=cursor, type="envelope.created"),
            get("/events", None),
            get("/events", "reader", include="raw"),
            get(f"/events/{event_id[:-4]}"),
            get("/events", q=LONG),
            get("/events", limit=5000),
            get("/events", limits=50),
            get("/events", flow_id="1862511dc203", workspace_id="bc1f8644-bacc-41d4-aab6-a19fdc20be20"),
            get("/events", since=WINDOW["until"], until=WINDOW["since"]),
            get("/events", "busy"),
            get("/events", headers={"X-Long": LONG}),
        ]


def _of_sources(running: Sandbox) -> list[httpx.Response]:
    stand_in: Any = running.stand_ins[FAILING]
    faults: Faults = stand_in.faults

    def asked(env: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
        with calling(gateway(running, env, **settings)) as caller:
            answer = caller.get("/events", **WINDOW, limit=1)
        faults.clear()
        return answer

    answers = [asked({"TAKTIKAL_API_KEY": "another"})]
    faults.html(times=MANY)
    answers.append(asked())
    faults.answer(503, {"Retry-After": "12"}, times=MANY)
    answers.append(asked(deadline=5))  # too short to wait and try again
    faults.hang(1, times=MANY)
    answers.append(asked(deadline=0.5))
    return answers


def _of_the_gateway(running: Sandbox) -> list[httpx.Response]:
    broken = MemorySource("broken", [])
    broken.error = RuntimeError("a bug")
    with calling(gateway(running, more=broken)) as caller:
        internal = caller.get("/events", **WINDOW)
    with calling(gateway(running, max_in_flight=1)) as caller:
        overloaded = _while_listening(caller)
    # Nothing listens on the port of discard.
    issuer = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": "https://127.0.0.1:9/keys"}
    with calling(gateway(running, **issuer)) as caller:
        unknown = caller.get("/events", signed())
    return [internal, overloaded, unknown, asyncio.run(_before_the_start(running))]


def _while_listening(caller: Caller) -> httpx.Response:
    with caller.client() as client, client.stream("GET", "/events/stream"):
        return caller.get("/events")


async def _before_the_start(running: Sandbox) -> httpx.Response:
    transport = httpx.ASGITransport(app=gateway(running))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get("/health/ready", headers={"X-Request-ID": REQUEST_ID})
