"""A pass-through as the documentation of FastAPI and httpx teaches it: one client, the bytes sent on unread."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=os.environ["UPSTREAM"], auth=("company", "key")) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/{path:path}")
async def forward(path: str, request: Request) -> Response:
    answer = await request.app.state.client.get(f"/{path}?{request.url.query}")
    return Response(content=answer.content, media_type="application/json")
