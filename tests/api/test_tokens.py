"""JWT bearer tokens: whom they let in, and every way to forge one."""

import hashlib
import hmac
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.domain.errors import ConfigurationError
from tests.api.conftest import make_app, opened
from tests.api.issuer import AUDIENCE, EC, ED, ISSUER, OTHER, RSA, claims, forged, key_file, part, signed
from tests.api.memory import MemorySource
from tests.logged import lines


@pytest.fixture
def guarded(sources: list[MemorySource], tmp_path: Path) -> FastAPI:
    return make_app(
        sources,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_jwks=str(key_file(tmp_path)),
        jwt_sources_claim="gateway_sources",
    )


async def call(app: FastAPI, token: str, path: str = "/events") -> httpx.Response:
    async with opened(app, None) as client:
        return await client.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "Ed25519")])
async def test_a_good_token_opens_what_its_scopes_say(guarded: FastAPI, key: Any, alg: str) -> None:
    token = signed(key, alg, scope="openid events:read", gateway_sources=["north"])
    answer = await call(guarded, token)
    assert answer.status_code == 200
    assert {event["source"] for event in answer.json()["data"]} == {"north"}
    assert answer.json()["data"][0]["recipient"]["phone"] == "***"
    refused = await call(guarded, token, "/sources")
    assert refused.status_code == 403
    assert "sources:read" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("events:read", True),
        (["events:read", 7], True),
        ("events:readx", False),
        ("EVENTS:READ", False),
        (None, False),
        ({"events:read": True}, False),
        ([], False),
    ],
)
async def test_scopes_come_as_a_text_or_a_list(guarded: FastAPI, scope: Any, allowed: bool) -> None:
    answer = await call(guarded, signed(scope=scope, gateway_sources="north south"))
    assert answer.status_code == (200 if allowed else 403)


async def test_a_token_without_the_sources_claim_grants_none(guarded: FastAPI) -> None:
    assert (await call(guarded, signed())).status_code == 403


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exp": int(time.time()) - 100}, "has expired"),
        ({"exp": None}, "wrong exp"),
        ({"exp": "soon"}, "wrong exp"),
        ({"nbf": int(time.time()) + 1000}, "not valid yet"),
        ({"iss": "https://evil.example"}, "wrong iss"),
        ({"iss": None}, "wrong iss"),
        ({"aud": "another"}, "wrong aud"),
        ({"aud": ["a", "b"]}, "wrong aud"),
        ({"aud": None}, "wrong aud"),
        ({"sub": None}, "wrong sub"),
        ({"sub": 7}, "wrong sub"),
        ({"sub": ""}, "wrong sub"),
    ],
)
async def test_claims_that_do_not_fit(guarded: FastAPI, changed: dict[str, Any], says: str) -> None:
    answer = await call(guarded, signed(**changed))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert says in answer.json()["detail"]
    assert "evil" not in answer.text


def hs256(secret: bytes) -> str:
    token = forged({"alg": "HS256", "kid": "rsa"})
    signature = hmac.digest(secret, token.rstrip(".").encode(), hashlib.sha256)
    return token + part(signature)


@pytest.mark.parametrize(
    "token",
    [
        forged({"alg": "none"}),
        forged({"alg": "None"}),
        forged({"alg": "nOnE", "kid": "rsa"}),
        forged({"kid": "rsa"}),
        forged({"alg": ["RS256"], "kid": "rsa"}),
        forged({"alg": {"a": 1}, "kid": "rsa"}),
        forged({"alg": "RS256", "kid": ["rsa"]}, "AAAA"),
        forged({"alg": "RS256", "kid": "rsa"}),
        forged({"alg": "RS256", "kid": "rsa"}, "AAAA"),
        forged({"alg": "RS256", "kid": "unknown"}, "AAAA"),
        forged({"alg": "RS256", "kid": "../../etc/passwd"}, "AAAA"),
        forged({"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, "AAAA"),
        forged({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}, "AAAA"),
        forged({"alg": "ES256", "kid": "rsa"}, "AAAA"),
        hs256(RSA.as_pem(private=False)),
        hs256(json.dumps(RSA.as_dict(private=False)).encode()),
        hs256(b""),
        signed(OTHER),
        signed(RSA, header={"kid": "ec"}),
        signed(OTHER, header={"kid": "rsa", "jwk": OTHER.as_dict(private=False)}),
        signed(OTHER, header={"kid": "rsa", "jku": "https://evil.example/jwks"}),
        signed(EC, "ES256", header={"kid": "rsa"}),
        "a.b.c",
        "e30.e30.e30",
        f"{part([])}.{part({})}.x",
        f"{part(b'[' * 20000)}.e30.x",
        f"{part({'alg': 'RS256', 'kid': 'rsa'})}.{part(b'not json')}.AAAA",
        "x" * 9000 + "." + "y" * 9000 + ".z",
    ],
)
async def test_no_forged_token_opens_anything(guarded: FastAPI, token: str) -> None:
    answer = await call(guarded, token)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("This token")


async def test_a_changed_token_is_none(guarded: FastAPI) -> None:
    header, body, signature = signed(gateway_sources=["north"]).split(".")
    more = part(claims(scope="events:read pii:read raw:read", gateway_sources=["north"]))
    flipped = signature[:-10] + ("A" if signature[-10] != "A" else "B") + signature[-9:]
    for token in (f"{header}.{more}.{signature}", f"{header}.{body}.{flipped}", f"{header}.{body}."):
        assert (await call(guarded, token)).status_code == 401


async def test_api_keys_still_work_beside_tokens(guarded: FastAPI) -> None:
    assert (await call(guarded, "key-of-all-scopes")).status_code == 200
    assert (await call(guarded, "unknown")).status_code == 401


async def test_the_audit_trail_names_the_subject(guarded: FastAPI, log: io.StringIO) -> None:
    await call(guarded, signed(sub="client-7", gateway_sources=["north"]))
    await call(guarded, signed(sub="evil\r\n\x1b[31m\u2028", gateway_sources=["north"]))
    names = [line["caller"] for line in lines(log, "access")]
    assert names[0] == "jwt:client-7"
    assert names[1].startswith("jwt:~")
    assert "evil" not in log.getvalue()


async def test_tokens_alone_are_enough(sources: list[MemorySource], tmp_path: Path) -> None:
    from app.config import Settings
    from app.main import create_app
    from tests.providers.acme import PROVIDER

    settings = Settings(
        jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(key_file(tmp_path)), default_window="P36500D"
    )
    app = create_app(settings, sources, providers={"acme": PROVIDER})
    assert (await call(app, signed())).status_code == 200
    assert (await call(app, "no-token")).status_code == 401


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"jwt_issuer": ISSUER}, "go together"),
        ({"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": "/not/there"}, "GATEWAY_JWT_JWKS: /not/there"),
        ({"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": "http://issuer.example/k"}, "https"),
        ({"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": "ftp://issuer.example/k"}, "https"),
    ],
)
async def test_wrong_settings_stop_the_start(sources: list[MemorySource], settings: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_app(sources, **settings)
