"""Every refusal has its status and code, and names the parameter."""

import httpx
import pytest

from tests.api.conftest import bearer

RAW = "raw:read"


@pytest.mark.parametrize(
    ("path", "code", "parameter"),
    [
        ("/events?limits=1", "unknown_parameter", "limits"),
        ("/events?=1", "unknown_parameter", "query"),
        ("/events?limit=0", "invalid_parameter", "limit"),
        ("/events?limit=", "invalid_parameter", "limit"),
        ("/events?since=yesterday", "invalid_parameter", "since"),
        ("/events?since=2026-05-01T00:00:00", "invalid_parameter", "since"),
        ("/events?since=2026-06-01&until=2026-05-01", "invalid_window", "since"),
        ("/events?until=0001-01-01", "invalid_window", "until"),
        ("/events?workspace_id=w", "filter_not_applicable", "workspace_id"),
        ("/events?q=%ff", "invalid_parameter", "query"),
        ("/events?follow=true", "invalid_parameter", "follow"),
        ("/events/count?limit=5", "unknown_parameter", "limit"),
        ("/events/count?cursor=x", "unknown_parameter", "cursor"),
        ("/events/count?exact=yes", "invalid_parameter", "exact"),
        ("/events/count?exact=true&exact=true", "invalid_parameter", "exact"),
        ("/events/count?since=x", "invalid_parameter", "since"),
        ("/events/nothing?x=1", "unknown_parameter", "x"),
        ("/events/nothing?include=total", "invalid_parameter", "include"),
        ("/events/export?limit=0", "invalid_parameter", "limit"),
        ("/events/export?partial=true", "unknown_parameter", "partial"),
        ("/events/export?follow=true", "unknown_parameter", "follow"),
        ("/events/export?fromat=csv", "unknown_parameter", "fromat"),
        ("/events/export?format=xml", "invalid_parameter", "format"),
        ("/events/export?format=csv&format=csv", "invalid_parameter", "format"),
        ("/events/export?include=total", "invalid_parameter", "include"),
        ("/events/export?since=yesterday", "invalid_parameter", "since"),
        ("/events/stream?until=2026-06-01", "unknown_parameter", "until"),
        ("/events/stream?order=asc", "unknown_parameter", "order"),
        ("/events/stream?limit=5", "unknown_parameter", "limit"),
        ("/events/stream?tpye=x", "unknown_parameter", "tpye"),
        ("/events/stream?include=total", "invalid_parameter", "include"),
        ("/events/stream?since=2999-01-01", "invalid_window", "since"),
        ("/sources?x=1", "unknown_parameter", "x"),
        ("/event-types?limit=5", "unknown_parameter", "limit"),
        ("/metrics?name[]=x", "unknown_parameter", "name[]"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, path: str, code: str, parameter: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["errors"][0]["parameter"] == parameter
    if parameter == "fromat":
        assert "did you mean format?" in response.json()["detail"]


@pytest.mark.parametrize("wrong", ["", "wrong"])
@pytest.mark.parametrize(
    ("path", "scope"),
    [("/events", "events:read"), ("/events/x", "events:read"), ("/event-types", "events:read"),
     ("/events/export", "events:read"), ("/events/stream", "events:read"), ("/sources", "sources:read"),
     ("/metrics", "metrics:read"), ("/events?include=raw", RAW), ("/events/x?include=raw", RAW),
     ("/events/export?include=raw", RAW), ("/events/stream?include=raw", RAW)],
)  # fmt: skip
async def test_a_key_is_needed_and_its_scope(client: httpx.AsyncClient, path: str, scope: str, wrong: str) -> None:
    missing = await client.get(path, headers={"Authorization": "", "X-API-Key": wrong})
    assert (missing.status_code, missing.json()["code"]) == (401, "unauthenticated")
    assert missing.headers["www-authenticate"] == 'Bearer realm="audit-gateway"'
    insufficient = {RAW: "reader", "metrics:read": "reader"}.get(scope, "nothing")
    refused = await client.get(path, headers={"Authorization": f"Bearer {insufficient}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert scope in refused.json()["detail"]
    if scope == RAW:
        (error,) = refused.json()["errors"]
        assert error["parameter"] == "include"
        assert "use a key with the scope raw:read" in error["message"]


async def test_a_key_in_the_url_is_ignored(client: httpx.AsyncClient) -> None:
    for path in ("/events", "/events/stream"):
        response = await client.get(f"{path}?key=key-of-all-scopes", headers={"Authorization": ""})
        assert response.status_code == 401


async def test_a_cursor_of_raw_records_needs_the_scope_too(client: httpx.AsyncClient) -> None:
    page = (await client.get("/events?limit=1&include=raw")).json()
    assert page["data"][0]["raw"]["number"] is not None
    assert "url" not in str(page["data"][0]["raw"])
    for path in ("/events", "/events/export"):
        url = f"{path}?cursor={page['page']['next_cursor']}"
        refused = (await client.get(url, headers=bearer("reader"))).json()
        assert (refused["status"], refused["errors"][0]["parameter"]) == (403, "cursor")


@pytest.mark.parametrize("path", ["/events/nothing", "/events/", "/docs/other.js", "/problems/nothing"])
async def test_unknown_paths_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_unusable_cursors_are_refused(client: httpx.AsyncClient) -> None:
    """Modified, contradicted by filters, a follower's instead of a page's, and a page's instead of a follower's."""
    queries = ("limit=1", "limit=1&order=asc", "order=asc&follow=true")
    page, ascending, follower = [(await client.get(f"/events?{q}")).json()["page"]["next_cursor"] for q in queries]
    modified = ("A" if page[0] != "A" else "B") + page[1:]
    no_follower = "is a page's, not a follower's; begin with since=…, or send the id of a stream's message"
    for path, parameters, header, code, message in (
        ("", {"cursor": modified}, "", "invalid_cursor", None),
        ("", {"cursor": page, "order": "asc"}, "", "cursor_mismatch", None),
        ("/export", {"cursor": follower}, "", "cursor_mismatch", None),
        ("/export", {"cursor": "x"}, "", "invalid_cursor", None),
        ("/stream", {"cursor": "nonsense"}, "", "invalid_cursor", None),
        ("/stream", {}, "nonsense", "invalid_cursor", None),
        ("/stream", {"cursor": page}, "", "cursor_mismatch", no_follower),
        ("/stream", {}, page, "cursor_mismatch", no_follower),
        ("/stream", {"cursor": ascending}, "", "cursor_mismatch", no_follower),
        ("/stream", {}, ascending, "cursor_mismatch", no_follower),
    ):
        headers = {"Last-Event-ID": header} if header else {}
        response = await client.get(f"/events{path}", params=parameters, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, code), (path, parameters)
        if "order" not in parameters:
            (error,) = response.json()["errors"]
            assert error["parameter"] == ("Last-Event-ID" if header else "cursor")
            assert message is None or error["message"] == message


async def test_a_count_hints_at_its_own_parameters(client: httpx.AsyncClient) -> None:
    typo = (await client.get("/events/count?exactly=true")).json()
    unknown = (await client.get("/events/count?sort=asc")).json()
    assert typo["errors"][0]["message"].endswith("did you mean exact?")
    assert unknown["errors"][0]["message"].endswith("actor.not, exact, by")
    assert " order," not in unknown["errors"][0]["message"], "a count has no parameter `order`"
