"""Two pass-throughs, which return the vendor's bytes unread. UPSTREAM is the address of the mock.

`stock` is written as the documentation of FastAPI and httpx does it. `same` uses the gateway's own connections, without
what ProviderHttp does around its calls: what the gateway adds to it is its own work.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response

from app.providers.base import CommonSettings
from app.providers.http.transport import AiohttpTransport

UPSTREAM = os.environ["UPSTREAM"]
AUTHORIZATION = "Basic Y29tcGFueTprZXk="  #: company:key


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=UPSTREAM, headers={"authorization": AUTHORIZATION}) as client:
        app.state.client, app.state.transport = client, AiohttpTransport(CommonSettings())
        yield


stock = FastAPI(lifespan=lifespan)
same = FastAPI(lifespan=lifespan)


@stock.get("/{path:path}")
async def forward(path: str, request: Request) -> Response:
    answer = await request.app.state.client.get(f"/{path}?{request.url.query}")
    return Response(content=answer.content, media_type="application/json")


@same.get("/{path:path}")
async def forward_on_the_same_stack(path: str, request: Request) -> Response:
    headers = {"authorization": AUTHORIZATION, "accept-encoding": "gzip"}
    url = f"{UPSTREAM}/{path}?{request.url.query}"
    return Response(
        (await request.app.state.transport.send("GET", url, headers, None)).body, media_type="application/json"
    )
