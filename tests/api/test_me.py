"""`GET /me`: the caller's own grants, whatever they are."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from tests.api.conftest import opened

pytestmark = pytest.mark.anyio


async def test_every_caller_sees_its_own_grants(application: FastAPI) -> None:
    async with opened(application, None) as client:
        refused = await client.get("/me")
        limited = await client.get("/me", headers={"Authorization": "Bearer limited"})
        nothing = await client.get("/me", headers={"Authorization": "Bearer nothing"})
    assert refused.json()["code"] == "unauthenticated"
    assert limited.json()["sources"] == ["north"]
    assert nothing.json() == {
        "name": "nothing", "kind": "key", "scopes": ["metrics:read"], "sources": ["north", "south"], "rate": None,
        "expires": None,
    }  # fmt: skip
