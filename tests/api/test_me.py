"""`GET /me`: the caller's own grants, whatever they are."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.api.api_keys import ApiKey, hash_of
from app.domain.caller import SCOPES
from tests.api.conftest import KEYS, make_app, opened
from tests.api.issuer import AUDIENCE, ISSUER, key_file, signed
from tests.api.memory import MemorySource


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


BOTH, EXPIRY = ["north", "south"], 2_000_000_000  #: s since 1970
JWT = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_sources_claim": "gateway_sources"}


@pytest.mark.parametrize(
    ("key", "settings", "expected"),
    [
        ("rated", {}, {"name": "rated", "kind": "key", "scopes": ["events:read"], "sources": BOTH, "rate": "9/hour",
                       "expires": "2033-05-18T03:33:20Z"}),
        ("rated", {"rate": "600/minute"}, {"rate": "9/hour"}),
        ("reader", {"rate": "600/minute"}, {"rate": "600/minute", "expires": None}),
        ("token", JWT, {"name": "jwt:client-7", "kind": "token", "scopes": ["events:read", "pii:read"],
                        "sources": ["south"], "rate": None, "expires": "2033-05-18T03:33:20Z"}),
        ("token", {**JWT, "rate": "5/second"}, {"kind": "token", "rate": "5/second"}),
        (None, {"auth": "off"}, {"name": "anonymous", "kind": "none", "scopes": sorted(SCOPES), "sources": BOTH,
                                 "rate": None, "expires": None}),
    ],
)  # fmt: skip
async def test_kinds_rates_and_expiries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[MemorySource], key: str | None,
    settings: dict[str, Any], expected: dict[str, Any],
) -> None:  # fmt: skip
    rated = ApiKey("rated", hash_of("rated"), frozenset({"events:read"}), None, "9/hour", EXPIRY * 1_000_000)
    monkeypatch.setitem(KEYS, "rated", rated)
    if "jwt_issuer" in settings:
        settings = {**settings, "jwt_jwks": str(key_file(tmp_path))}
    if key == "token":
        key = signed(exp=EXPIRY, scope="openid events:read pii:read", gateway_sources=["south", "elsewhere"])
    async with opened(make_app(sources, **settings), key) as client:
        client.base_url = "http://localhost"
        answer = await client.get("/me")
    assert answer.status_code == 200, answer.text
    assert answer.json() | expected == answer.json()
