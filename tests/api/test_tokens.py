"""JWT bearer tokens: grants, forgeries, and the issuer's keys."""

import asyncio
import hashlib
import hmac
import io
import json
import time
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import OctKey, RSAKey

from app.api import tokens
from app.api.tokens import Tokens
from app.domain.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from app.privacy.pseudonyms import Pseudonyms
from tests.api.conftest import make_app, opened
from tests.api.issuer import AUDIENCE, EC, ED, ISSUER, JWT, OTHER, RSA, claims, forged, key_file, key_set, part, signed
from tests.api.memory import MemorySource
from tests.logged import lines
from tests.waiting import until


@pytest.fixture
def guarded(sources: list[MemorySource], tmp_path: Path) -> FastAPI:
    return make_app(sources, jwt_sources_claim="gateway_sources", jwt_jwks=str(key_file(tmp_path)), **JWT)


async def call(app: FastAPI, token: str, path: str = "/events") -> httpx.Response:
    async with opened(app, None) as client:
        return await client.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "Ed25519")])
async def test_a_valid_token_grants_its_scopes(guarded: FastAPI, key: Any, alg: str) -> None:
    token = signed(key, alg, scope="openid events:read", gateway_sources=["north"])
    response = await call(guarded, token)
    assert response.status_code == 200
    assert {event["source"] for event in response.json()["data"]} == {"north"}
    assert response.json()["data"][0]["recipient"]["phone"] == "***"
    refused = await call(guarded, token, "/sources")
    assert refused.status_code == 403
    assert "sources:read" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("events:read", True), (["events:read", 7], True), ("events:readx", False), ("EVENTS:READ", False),
        (None, False), ({"events:read": True}, False), ([], False),
    ],
)  # fmt: skip
async def test_scopes_may_be_a_text_or_a_list(guarded: FastAPI, scope: Any, allowed: bool) -> None:
    response = await call(guarded, signed(scope=scope, gateway_sources="north south"))
    assert response.status_code == (200 if allowed else 403)


async def test_a_token_without_the_sources_claim_grants_none(guarded: FastAPI) -> None:
    assert (await call(guarded, signed())).status_code == 403


@pytest.mark.parametrize(
    ("claims_changed", "message"),
    [
        ({"exp": int(time.time()) - 100}, "has expired"), ({"exp": None}, "wrong exp"), ({"exp": "soon"}, "wrong exp"),
        ({"nbf": int(time.time()) + 1000}, "not valid yet"), ({"iss": "https://evil.example"}, "wrong iss"),
        ({"iss": None}, "wrong iss"), ({"aud": "another"}, "wrong aud"), ({"aud": ["a", "b"]}, "wrong aud"),
        ({"aud": None}, "wrong aud"), ({"sub": None}, "wrong sub"), ({"sub": 7}, "wrong sub"),
        ({"sub": ""}, "wrong sub"),
    ],
)  # fmt: skip
async def test_invalid_claims_are_refused(guarded: FastAPI, claims_changed: dict[str, Any], message: str) -> None:
    response = await call(guarded, signed(**claims_changed))
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert message in response.json()["detail"]
    assert "evil" not in response.text


def hs256(secret: bytes) -> str:
    token = forged({"alg": "HS256", "kid": "rsa"})
    signature = hmac.digest(secret, token.rstrip(".").encode(), hashlib.sha256)
    return token + part(signature)


@pytest.mark.parametrize(
    "token",
    [
        forged({"alg": "none"}), forged({"alg": "None"}), forged({"alg": "nOnE", "kid": "rsa"}), forged({"kid": "rsa"}),
        forged({"alg": ["RS256"], "kid": "rsa"}), forged({"alg": {"a": 1}, "kid": "rsa"}),
        forged({"alg": "RS256", "kid": ["rsa"]}, "AAAA"), forged({"alg": "RS256", "kid": "rsa"}),
        forged({"alg": "RS256", "kid": "rsa"}, "AAAA"), forged({"alg": "RS256", "kid": "unknown"}, "AAAA"),
        forged({"alg": "RS256", "kid": "../../etc/passwd"}, "AAAA"),
        forged({"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, "AAAA"),
        forged({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}, "AAAA"),
        forged({"alg": "ES256", "kid": "rsa"}, "AAAA"), hs256(RSA.as_pem(private=False)),
        hs256(json.dumps(RSA.as_dict(private=False)).encode()), hs256(b""), signed(OTHER),
        signed(RSA, header={"kid": "ec"}), signed(OTHER, header={"kid": "rsa", "jwk": OTHER.as_dict(private=False)}),
        signed(OTHER, header={"kid": "rsa", "jku": "https://evil.example/jwks"}),
        signed(EC, "ES256", header={"kid": "rsa"}), "a.b.c", "e30.e30.e30", f"{part([])}.{part({})}.x",
        f"{part(b'[' * 20000)}.e30.x", f"{part({'alg': 'RS256', 'kid': 'rsa'})}.{part(b'not json')}.AAAA",
        "x" * 9000 + "." + "y" * 9000 + ".z",
    ],
)  # fmt: skip
async def test_forged_tokens_are_refused(guarded: FastAPI, token: str) -> None:
    response = await call(guarded, token)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith("This token")


async def test_modified_tokens_are_refused(guarded: FastAPI) -> None:
    header, body, signature = signed(gateway_sources=["north"]).split(".")
    extended = part(claims(scope="events:read pii:read raw:read", gateway_sources=["north"]))
    flipped = signature[:-10] + ("A" if signature[-10] != "A" else "B") + signature[-9:]
    for token in (f"{header}.{extended}.{signature}", f"{header}.{body}.{flipped}", f"{header}.{body}."):
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


async def test_tokens_work_without_any_api_key(sources: list[MemorySource], tmp_path: Path) -> None:
    app = make_app(sources, keys=(), jwt_jwks=str(key_file(tmp_path)), **JWT)
    assert (await call(app, signed())).status_code == 200
    assert (await call(app, "no-token")).status_code == 401


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jwt_issuer": ISSUER}, "go together"),
        ({**JWT, "jwt_jwks": "/not/there"}, "GATEWAY_JWT_JWKS: /not/there"),
        ({**JWT, "jwt_jwks": "http://issuer.example/k"}, "https"),
        ({**JWT, "jwt_jwks": "ftp://issuer.example/k"}, "https"),
    ],
)
async def test_invalid_token_settings_fail_the_start(sources: list[MemorySource], settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_app(sources, **settings)


class Issuer:
    """A JWKS endpoint and the `Tokens` that read it. Each call takes `takes` seconds of its clock, or hangs."""

    def __init__(self, body: Any) -> None:
        self.body: Any = body
        self.status, self.calls, self.now = 200, 0, 1000.0
        self.hangs, self.cancelled, self.takes = False, 0, 0.0
        transport = httpx.MockTransport(self.respond)
        self.tokens = Tokens(
            ISSUER, AUDIENCE, f"{ISSUER}/jwks", Pseudonyms("x" * 32), transport=transport, timer=lambda: self.now
        )

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        self.now += self.takes
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        if isinstance(self.body, Exception):
            raise self.body
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(
            self.status, stream=httpx.ByteStream(content), headers={"location": "https://evil.example"}
        )

    async def refuse_unknown_key(self, number: int) -> None:
        with pytest.raises(Unauthenticated):
            await self.tokens.caller(forged({"alg": "RS256", "kid": f"unknown-{number}"}, "AAAA"))


async def test_the_issuers_keys_are_cached_and_refreshed_after_max_age() -> None:
    issuer = Issuer(key_set(RSA))
    for _ in range(20):
        assert (await issuer.tokens.caller(signed())).name == "jwt:client-7"
    assert issuer.calls == 1
    issuer.now += tokens.MAX_AGE + 1
    issuer.body = key_set(RSA, EC)
    await issuer.tokens.caller(signed())
    await until(lambda: issuer.calls == 2)
    assert (await issuer.tokens.caller(signed(EC, "ES256"))).name == "jwt:client-7"
    assert issuer.calls == 2
    await issuer.tokens.aclose()


async def test_a_hanging_issuer_does_not_delay_callers_with_cached_keys() -> None:
    issuer = Issuer(key_set(RSA))
    await issuer.tokens.caller(signed())
    issuer.hangs = True
    issuer.now += tokens.MAX_AGE + 1
    async with asyncio.timeout(tokens.TIMEOUT / 2):
        for _ in range(20):
            await issuer.tokens.caller(signed())
            await asyncio.sleep(0)
        assert issuer.calls == 2
        await issuer.tokens.aclose()
    assert issuer.cancelled == 1, "the call ends with the gateway"


async def test_unknown_key_ids_share_one_call_to_a_hanging_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TIMEOUT", 0.1)
    issuer = Issuer(key_set(RSA))
    await issuer.tokens.caller(signed())
    issuer.hangs = True
    issuer.now += tokens.GAP + 1
    await asyncio.gather(*map(issuer.refuse_unknown_key, range(50)))
    await issuer.refuse_unknown_key(50)
    assert (issuer.calls, issuer.cancelled) == (2, 1)
    await issuer.tokens.aclose()


async def test_a_slowly_failing_issuer_is_not_called_again_at_once() -> None:
    issuer = Issuer(httpx.ReadTimeout("slow"))
    issuer.takes = tokens.GAP / 6 + 1
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await issuer.tokens.caller(signed())
    assert issuer.calls == 1


async def test_a_cancelled_caller_does_not_cancel_the_shared_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TIMEOUT", 0.1)
    issuer = Issuer(key_set(RSA))
    issuer.hangs = True
    first = asyncio.create_task(issuer.tokens.caller(signed()))
    await until(lambda: issuer.calls == 1)
    first.cancel()
    with pytest.raises(IssuerUnavailable):
        await issuer.tokens.caller(signed())
    assert issuer.calls == 1
    await issuer.tokens.aclose()


async def test_a_new_key_is_found_and_unknown_key_ids_cause_one_call_per_gap() -> None:
    issuer = Issuer(key_set(RSA))
    await issuer.tokens.caller(signed())
    issuer.body = key_set(RSA, EC)
    for number in range(50):
        await issuer.refuse_unknown_key(number)
    assert issuer.calls == 1, "too soon after the last call"
    issuer.now += tokens.GAP + 1
    assert (await issuer.tokens.caller(signed(EC, "ES256"))).name == "jwt:client-7"
    assert issuer.calls == 2
    for number in range(50):
        await issuer.refuse_unknown_key(number)
    assert issuer.calls == 2
    await issuer.tokens.aclose()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"), (302, b""), (200, b"<html>"), (200, b"\xff\xfe"), (200, b"[" * 100_000), (200, {"keys": 7}),
        (200, {"keys": []}),
        (200, {"keys": [None, 1, {"kty": ["RSA"]}, {"kty": "RSA"}, {"kty": "RSA", "n": "!", "e": "?"}]}),
        (200, {"keys": [OctKey.generate_key(256, {"kid": "rsa"}).as_dict(private=True)]}),
        (200, httpx.ConnectError("hunter2")), (200, httpx.ReadTimeout("hunter2")),
    ],
)  # fmt: skip
async def test_a_failing_issuer_is_logged_and_cached_keys_stay_valid(log: io.StringIO, status: int, body: Any) -> None:
    issuer = Issuer(body)
    issuer.status = status
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await issuer.tokens.caller(signed())
    assert issuer.calls == 1
    issuer.now += tokens.GAP / 6 + 1
    issuer.status, issuer.body = 200, key_set(RSA)
    await issuer.tokens.caller(signed())
    issuer.status, issuer.body = status, body
    issuer.now += tokens.MAX_AGE + 1
    assert (await issuer.tokens.caller(signed())).name == "jwt:client-7"
    await until(lambda: issuer.calls == 3)
    assert "jwks_unavailable" in log.getvalue()
    assert "hunter2" not in log.getvalue()
    await issuer.tokens.aclose()


async def accepted(tokens: Tokens, token: str) -> bool:
    try:
        await tokens.caller(token)
    except Unauthenticated:
        return False
    return True


async def test_weak_keys_and_keys_for_other_uses_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
        by_weak = signed(weak)
    encryption = RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"})
    issuer = Issuer(key_set(RSA, weak, encryption))
    assert await accepted(issuer.tokens, signed())
    assert not await accepted(issuer.tokens, by_weak)
    plain = RSAKey.import_key({**encryption.as_dict(private=True), "use": "sig"})
    assert not await accepted(issuer.tokens, signed(plain))
    assert not await accepted(issuer.tokens, signed(header={})), "several keys and no key id"
    alone = Issuer(key_set(RSA))
    assert await accepted(alone.tokens, signed(header={})), "only one key is possible"
    await issuer.tokens.aclose()
    await alone.tokens.aclose()


async def test_a_jwks_file_is_reloaded_for_an_unknown_key_and_by_age(tmp_path: Path, log: io.StringIO) -> None:
    file, now = key_file(tmp_path), 1000.0
    file_tokens = Tokens(ISSUER, AUDIENCE, str(file), Pseudonyms("x" * 32), timer=lambda: now)
    other = RSAKey.generate_key(2048, {"kid": "new"})
    assert await accepted(file_tokens, signed())
    file.write_text("{half")
    assert not await accepted(file_tokens, signed(other))
    assert log.getvalue().count("jwks_unavailable") == 1
    assert await accepted(file_tokens, signed()), "cached keys stay valid"
    file.write_text(json.dumps(key_set(EC, other)))
    assert not await accepted(file_tokens, signed(other)), "too soon after the last read"
    now += tokens.GAP / 6
    assert await accepted(file_tokens, signed(other))
    assert not await accepted(file_tokens, signed())
    file.unlink()
    now += tokens.MAX_AGE + 1
    assert await accepted(file_tokens, signed(EC, "ES256"))
    await until(lambda: log.getvalue().count("jwks_unavailable") == 2)
    await file_tokens.aclose()
