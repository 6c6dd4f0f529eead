"""Compression, preflights and the pages behind problem types."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from app.api.problems import PROBLEMS
from tests.api.conftest import make_app, opened
from tests.api.memory import MemorySource

pytestmark = pytest.mark.anyio


async def test_a_page_is_packed_where_that_is_asked_for(client: httpx.AsyncClient) -> None:
    url = "/events?until=2026-06-01"
    packed = await client.get(url, headers={"Accept-Encoding": "gzip"})
    plain = await client.get(url, headers={"Accept-Encoding": "identity"})
    export = await client.get("/events/export")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.json()["data"] == plain.json()["data"]
    assert export.headers["x-accel-buffering"] == "no"


async def test_every_type_of_problem_has_a_page(application: FastAPI) -> None:
    async with opened(application, None) as client:
        for code in PROBLEMS:
            page = await client.get(f"/problems/{code}")
            assert page.status_code == 200
            assert code in page.text
        assert (await client.get("/problems/nothing")).json()["code"] == "not_found"


async def test_a_traced_call_of_another_origin_passes_the_preflight(sources: list[MemorySource]) -> None:
    app = make_app(sources, cors_origins="https://app.example")
    headers = {
        "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "traceparent, tracestate, baggage",
    }  # fmt: skip
    async with opened(app, None) as client:
        assert (await client.options("/events", headers=headers)).status_code == 200
