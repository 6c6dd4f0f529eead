"""The other endpoints, response headers, CORS, the request log, and the grants of callers."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.api_keys import ApiKey, hash_of
from app.api.problems import MEDIA_TYPE, PROBLEMS
from app.api.rendering import encode
from app.domain.caller import SCOPES
from app.domain.errors import SourceTimeout
from tests.api.conftest import ALL, KEYS, bearer, make_app, opened
from tests.api.issuer import JWT, key_file, signed
from tests.api.memory import NATIONAL_ID, PHONE, MemorySource
from tests.logged import lines


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/health/ready", "/", "/docs", "/docs/start.js", "/docs/page.css", "/ui", "/ui/style.css",
     "/ui/app.js", "/openapi.json", "/docs/swagger-ui-bundle.js"],
)  # fmt: skip
async def test_public_pages_allow_head(application: FastAPI, path: str) -> None:
    """RFC 9110, section 9.1; `Allow` lists it."""
    async with opened(application, None) as client:
        response, by_get = await client.head(path), await client.get(path)
        header = "location" if path == "/" else "content-type"
        assert response.status_code == by_get.status_code == (307 if path == "/" else 200), "without a key"
        assert response.headers[header] == by_get.headers[header]
        refused = await client.post(path)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_page_of_events_allows_head_and_a_stream_does_not(application: FastAPI) -> None:
    async with opened(application) as client:
        page, headers = await client.get("/events?limit=2"), await client.head("/events?limit=2")
        refused = await client.head("/events/stream")
    assert headers.status_code == 200
    assert headers.headers.keys() - {"content-length"} == page.headers.keys() - {"content-length"}
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    paths = application.openapi()["paths"]
    assert next(iter(paths)) == "/events", "the page comes first"
    assert not [path for path, item in paths.items() if "head" in item]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_checks_are_not_logged_unless_they_fail(
    application: FastAPI, log: io.StringIO, method: str
) -> None:
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.example") as client:
        response = await client.request(method, "/health/ready")
        assert response.status_code == 503
        assert method == "HEAD" or response.json()["code"] == "not_ready"
        assert (await client.request(method, "/health/live")).status_code == 200
    async with opened(application) as client:
        for path in ("/health/live", "/health/ready", "/events?limit=1"):
            assert (await client.request(method, path)).status_code == 200
    assert [(line["route"], line["status"]) for line in lines(log)] == [("/health/ready", 503), ("/events", 200)]


async def test_the_sandbox_key_is_valid_in_a_sandbox_only(sources: list[MemorySource]) -> None:
    async with opened(make_app(sources), "sandbox") as client:
        assert (await client.get("/events")).status_code == 401
        assert "sandbox" not in (await client.get("/docs/start.js")).text, "Swagger UI has it in a sandbox only"
        assert "script-src 'self'" in (await client.get("/docs")).headers["content-security-policy"]
    async with opened(make_app(sources, sandbox=True), "sandbox") as client:
        assert (await client.get("/events")).status_code == 200


async def test_event_types_come_from_the_mapping_tables(client: httpx.AsyncClient) -> None:
    body = (await client.get("/event-types")).json()
    assert body == {
        "data": [
            {
                "type": "envelope.completed",
                "mappings": [{"provider": "acme", "provider_type": "SEALED", "category": "envelope"}],
            },
            {
                "type": "envelope.viewed",
                "mappings": [{"provider": "acme", "provider_type": "OPENED", "category": "envelope"}],
            },
        ],
        "providers": [{"name": "acme", "title": "Acme Sign", "mapping_version": "1"}],
    }


async def test_sources_list_how_each_filter_is_applied(client: httpx.AsyncClient) -> None:
    body = (await client.get("/sources")).json()
    first = body["data"][0]
    assert (first["name"], first["provider"], first["settle"]) == ("north", "acme", 30)
    assert first["filters"]["since"] == "native"
    for name in ("type", "person", "type.not", "provider_type.not", "category.not", "actor.not"):
        assert first["filters"][name] == "gateway"
    assert first["filters"]["workspace_id"] == "not_applicable"
    assert first["details"] == {"records": 30}


async def test_cors_allows_the_configured_origins_only(sources: list[MemorySource], log: io.StringIO) -> None:
    app = make_app(sources, cors_origins=("https://app.example.com",))
    preflight = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, traceparent, tracestate, baggage",
    }
    async with opened(app) as client:
        allowed = await client.get("/events", headers={"Origin": "https://app.example.com"})
        failed = await client.get("/events?x=1", headers={"Origin": "https://app.example.com"})
        other = await client.get("/events", headers={"Origin": "https://evil.example"})
        by_get = await client.options("/events", headers={"Origin": "https://app.example.com", **preflight})
        head = await client.options(
            "/events", headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "HEAD"}
        )
        refused = await client.options("/events", headers={"Origin": "https://evil.example", **preflight})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    exposed = allowed.headers["access-control-expose-headers"].split(", ")
    assert {"Link", "Export-Cursor", "Export-Manifest"} <= set(exposed)
    assert failed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "access-control-allow-origin" not in other.headers
    assert (by_get.status_code, head.status_code) == (200, 200)
    assert all(response.headers["x-request-id"] for response in (by_get, refused))
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert (refused.json()["instance"], refused.headers["cache-control"]) == ("/events", "no-store")
    assert f'"request_id":"{refused.headers["x-request-id"]}"' in log.getvalue()
    assert (refused.status_code, refused.headers["content-type"]) == (400, MEDIA_TYPE)
    assert (refused.json()["code"], "origin" in refused.json()["detail"]) == ("bad_request", True)
    async with opened(make_app(sources)) as client:
        response = await client.get("/events", headers={"Origin": "https://app.example.com"})
    assert "access-control-allow-origin" not in response.headers


async def test_a_request_has_one_line_with_its_calls_and_no_private_value(
    client: httpx.AsyncClient, log: io.StringIO
) -> None:
    response = await client.get("/events?limit=5&actor=anna@example.com", headers={"X-Request-ID": "mine"})
    await client.get("/nowhere/anna@example.com")
    text = log.getvalue()
    first, second = lines(log)
    assert response.status_code == 200
    assert first["event"] == "request"
    assert (first["method"], first["route"], first["status"]) == ("GET", "/events", 200)
    assert (first["caller"], first["request_id"], first["events"]) == ("all", "mine", 5)
    assert first["duration_ms"] > 0
    assert set(first["sources"]) == {"north", "south"}
    assert set(first["sources"]["north"]) == {"calls", "records"}
    assert (second["route"], second["status"], second["code"]) == ("unmatched", 404, "not_found")
    for private in ("anna", PHONE, NATIONAL_ID, ALL):
        assert private not in text


async def test_the_request_line_names_a_failed_source(
    client: httpx.AsyncClient, sources: list[MemorySource], log: io.StringIO
) -> None:
    sources[1].error = SourceTimeout("no answer")
    await client.get("/events")
    (line,) = lines(log)
    assert (line["status"], line["code"]) == (504, "source_timeout")
    assert line["sources"]["south"]["error"] == "source_timeout"


async def test_a_page_is_compressed_if_accept_encoding_allows_it(client: httpx.AsyncClient) -> None:
    url = "/events?until=2026-06-01"
    compressed = await client.get(url, headers={"Accept-Encoding": "gzip"})
    plain = await client.get(url, headers={"Accept-Encoding": "identity"})
    export = await client.get("/events/export")
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert compressed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert compressed.json()["data"] == plain.json()["data"]
    assert export.headers["x-accel-buffering"] == "no"


async def test_every_type_of_problem_has_a_page(application: FastAPI) -> None:
    async with opened(application, None) as client:
        for code in PROBLEMS:
            page = await client.get(f"/problems/{code}")
            assert page.status_code == 200
            assert code in page.text


def test_unicode_line_separators_are_escaped() -> None:
    text = "a\u2028b\u2029c\x85d\u00c5 \u2027"
    body = encode({"text": text})
    assert json.loads(body) == {"text": text}
    assert len(body.decode().splitlines()) == 1


async def test_every_caller_sees_its_own_grants(application: FastAPI) -> None:
    async with opened(application, None) as client:
        refused = await client.get("/me")
        of_limited = await client.get("/me", headers=bearer("limited"))
        of_nothing = await client.get("/me", headers=bearer("nothing"))
    assert refused.json()["code"] == "unauthenticated"
    assert of_limited.json()["sources"] == ["north"]
    assert of_nothing.json() == {
        "name": "nothing", "kind": "key", "scopes": ["metrics:read"], "sources": ["north", "south"], "rate": None,
        "expires": None,
    }  # fmt: skip


BOTH, EXPIRY = ["north", "south"], 2_000_000_000  #: s since 1970
TOKENS = {"jwt_sources_claim": "gateway_sources"}


@pytest.mark.parametrize(
    ("key", "settings", "expected"),
    [
        ("rated", {}, {"name": "rated", "kind": "key", "scopes": ["events:read"], "sources": BOTH, "rate": "9/hour",
                       "expires": "2033-05-18T03:33:20Z"}),
        ("rated", {"rate": "600/minute"}, {"rate": "9/hour"}),
        ("reader", {"rate": "600/minute"}, {"rate": "600/minute", "expires": None}),
        ("token", TOKENS, {"name": "jwt:client-7", "kind": "token", "scopes": ["events:read", "pii:read"],
                        "sources": ["south"], "rate": None, "expires": "2033-05-18T03:33:20Z"}),
        ("token", {**TOKENS, "rate": "5/second"}, {"kind": "token", "rate": "5/second"}),
        (None, {"auth": "off"}, {"name": "anonymous", "kind": "none", "scopes": sorted(SCOPES), "sources": BOTH,
                                 "rate": None, "expires": None}),
    ],
)  # fmt: skip
async def test_me_has_the_kind_rate_and_expiry_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[MemorySource], key: str | None,
    settings: dict[str, Any], expected: dict[str, Any],
) -> None:  # fmt: skip
    rated = ApiKey("rated", hash_of("rated"), frozenset({"events:read"}), None, "9/hour", EXPIRY * 1_000_000)
    monkeypatch.setitem(KEYS, "rated", rated)
    if key == "token":
        settings = {**settings, **JWT, "jwt_jwks": str(key_file(tmp_path))}
        key = signed(exp=EXPIRY, scope="openid events:read pii:read", gateway_sources=["south", "elsewhere"])
    async with opened(make_app(sources, **settings), key) as client:
        client.base_url = "http://localhost"
        response = await client.get("/me")
    assert response.status_code == 200, response.text
    assert response.json() | expected == response.json()
