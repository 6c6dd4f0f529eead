"""Two pass-throughs, which return the vendor's bytes unread, and a floor. UPSTREAM is the address of the mock.

`stock` is written as the documentation of FastAPI and httpx does it. `same` uses the gateway's own connections, without
what ProviderHttp does around its calls: what the gateway adds to it is its own work. `floor` is `same` with the least
that a page of 100 events needs (benchmarks/floor.py); no cursor, authentication, log and metrics.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response

from app.providers.base import CommonSettings
from app.providers.http.transport import AiohttpTransport
from benchmarks.floor import taktikal_events

UPSTREAM = os.environ["UPSTREAM"]
AUTHORIZATION = "Basic Y29tcGFueTprZXk="  #: company:key


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=UPSTREAM, headers={"authorization": AUTHORIZATION}) as client:
        app.state.client, app.state.transport = client, AiohttpTransport(CommonSettings())
        yield


stock = FastAPI(lifespan=lifespan)
same = FastAPI(lifespan=lifespan)
floor = FastAPI(lifespan=lifespan)


@stock.get("/{path:path}")
async def forward(path: str, request: Request) -> Response:
    response = await request.app.state.client.get(f"/{path}?{request.url.query}")
    return Response(content=response.content, media_type="application/json")


@same.get("/{path:path}")
async def forward_on_the_same_stack(path: str, request: Request) -> Response:
    return Response(await _read(path, request), media_type="application/json")


@floor.get("/{path:path}")
async def encode_the_newest(path: str, request: Request) -> Response:
    return Response(taktikal_events(await _read(path, request), 100), media_type="application/json")


async def _read(path: str, request: Request) -> bytes:
    headers = {"authorization": AUTHORIZATION, "accept-encoding": "gzip"}
    url = f"{UPSTREAM}/{path}?{request.url.query}"
    return (await request.app.state.transport.send("GET", url, headers, None)).body
