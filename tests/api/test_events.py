"""`GET /events` and `GET /events/{event_id}` over sources in memory, through the real feed."""

from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI

from app.api.schemas import EventPage
from tests.api.conftest import LONG_FILTERS, bearer, opened
from tests.api.memory import MemorySource
from tests.api.shapes import assert_shape


def next_url(response: httpx.Response) -> httpx.URL:
    """Return the URL of the `Link` header, resolved against the URL of the request (RFC 8288)."""
    return response.url.join(response.links["next"]["url"])


async def walk(client: httpx.AsyncClient, **parameters: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    response = await client.get("/events", params=parameters)
    while True:
        assert response.status_code == 200, response.text
        body = response.json()
        events += body["data"]
        if not body["page"]["has_more"]:
            assert "link" not in response.headers
            return events
        response = await client.get(next_url(response))


async def test_a_page_has_the_contracts_shape(application: FastAPI) -> None:
    async with opened(application) as client:
        response = await client.get("/events", params={"limit": 2})
    page = response.json()["page"]
    assert_shape(response.json() | {"data": []}, EventPage)  # these events have a lone surrogate
    assert (response.headers["content-type"], response.headers["cache-control"]) == ("application/json", "no-store")
    assert response.headers["x-request-id"]
    assert (page["limit"], page["order"], page["has_more"], response.json()["total"]) == (2, "desc", True, None)


async def test_following_the_links_returns_each_event_once(client: httpx.AsyncClient) -> None:
    events = await walk(client, limit=7)
    reverse = await walk(client, limit=11, order="asc")
    assert len(events) == 50
    assert len({event["id"] for event in events}) == 50
    assert reverse == events[::-1]


async def test_a_link_repeats_the_parameters_outside_the_cursor(client: httpx.AsyncClient) -> None:
    response = await client.get("/events?limit=3&include=raw&partial=true&type=envelope.*")
    query = next_url(response).params
    assert {name: query[name] for name in ("limit", "include", "partial")} == {
        "limit": "3", "include": "raw", "partial": "true",
    }  # fmt: skip
    assert query["cursor"] == response.json()["page"]["next_cursor"]
    assert "type" not in query
    second = await client.get(next_url(response))
    assert second.json()["data"][0]["raw"] is not None


@pytest.mark.parametrize("base", ["https://audit.example", "https://example.com/tools/audit"])
async def test_a_link_is_relative_and_valid_behind_a_proxy(client: httpx.AsyncClient, base: str) -> None:
    """A proxy may end TLS or add a path prefix without a header for it. With an absolute `http` link, the caller would
    send its key in clear text."""
    response = await client.get("/events?limit=1", headers={"Host": "10.0.0.7:8000"})
    link = response.links["next"]["url"]
    assert link.startswith("?limit=1&cursor=")
    assert urljoin(f"{base}/events?limit=1", link) == f"{base}/events{link}"
    assert len((await client.get(f"/events{link}")).json()["data"]) == 1


async def test_a_link_too_long_for_a_header_is_omitted(client: httpx.AsyncClient) -> None:
    response = await client.get("/events", params=[("follow", "true"), ("order", "asc"), *LONG_FILTERS])
    assert "link" not in response.headers
    cursor = response.json()["page"]["next_cursor"]
    assert (await client.get("/events", params={"cursor": cursor})).status_code == 200


async def test_totals_of_a_page_and_of_a_count(client: httpx.AsyncClient, sources: list[MemorySource]) -> None:
    none = await client.get("/events?limit=1")
    page = await client.get("/events?include=total&limit=1")
    alone = await client.get("/events/count")
    fresh = await client.get("/events/count", headers={"Cache-Control": "no-cache"})
    assert none.json()["total"] is None
    total = page.json()["total"]
    assert (total["value"], total["unit"], total["relation"]) == (50, "events", "eq")
    assert [list(source) for source in total["sources"]] == [
        ["name", "value", "unit", "relation", "provider_total", "scanned_to", "as_of", "cached"]
    ] * 2
    assert [source["cached"] for source in alone.json()["sources"]] == [True, True]
    assert [source["cached"] for source in fresh.json()["sources"]] == [False, False]
    assert fresh.headers["cache-control"] == "no-store"
    assert [source.total_calls for source in sources] == [2, 2]
    before, after = [[source["as_of"] for source in response.json()["sources"]] for response in (alone, fresh)]
    assert before == [source["as_of"] for source in total["sources"]]
    assert all(map(str.__lt__, before, after)), "`as_of` of a cached total is the time of its count"


async def test_one_event_is_found_by_its_id(client: httpx.AsyncClient) -> None:
    event = (await client.get("/events?limit=1")).json()["data"][0]
    by_id = await client.get(f"/events/{event['id']}")
    with_raw = await client.get(f"/events/{event['id']}?include=raw")
    masked = await client.get(f"/events/{event['id']}", headers=bearer("reader"))
    assert by_id.json() == event
    assert by_id.headers["cache-control"] == "no-store"
    assert with_raw.json()["raw"]["number"] is not None
    assert masked.json()["description"] == "Sent to ***"


async def test_a_key_for_some_sources_sees_only_those(application: FastAPI) -> None:
    async with opened(application, "limited") as client:
        events = await walk(client)
        page = (await client.get("/events?limit=5")).json()
        listed = (await client.get("/sources")).json()["data"]
    assert {event["source"] for event in events} == {"north"}
    assert [source["name"] for source in page["sources"]] == [source["name"] for source in listed] == ["north"]


@pytest.mark.parametrize("failing", [0, 1])
async def test_a_failed_close_of_one_source_still_closes_the_others(
    application: FastAPI, sources: list[MemorySource], failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise OSError("no")

    monkeypatch.setattr(sources[failing], "aclose", fail)
    with pytest.raises(OSError, match="no"):
        async with opened(application):
            assert not any(source.closed for source in sources)
    assert sources[1 - failing].closed


async def test_a_cursor_fixes_a_relative_window(client: httpx.AsyncClient) -> None:
    first = (await client.get("/events?since=P36500D&until=1s&limit=3")).json()
    cursor = first["page"]["next_cursor"]
    repeated = await client.get(f"/events?since=P36500D&until=1s&cursor={cursor}")
    assert repeated.json()["window"] == first["window"]
    other = await client.get(f"/events?since=P36499D&cursor={cursor}")
    assert other.json()["code"] == "cursor_mismatch"
    for text in ("P", "PT", "P1M", "0d", "7", "P-1D", "99999999w", "7 d"):
        refused = (await client.get("/events", params={"since": text})).json()
        assert refused["errors"][0]["parameter"] == "since", text


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("type=envelope.veiwed", "envelope.viewed"), ("type.not=envelope.veiwed", "envelope.viewed"),
     ("category=envelop", "envelope"), ("source.not=nort", "north")],
)  # fmt: skip
async def test_an_unknown_filter_value_gets_a_warning(client: httpx.AsyncClient, given: str, nearest: str) -> None:
    page = (await client.get(f"/events?{given}")).json()
    good = (await client.get("/events?type=envelope.viewed")).json()
    (warning,) = page["warnings"]
    name, _, value = given.partition("=")
    assert (warning["parameter"], warning["value"], warning["nearest"]) == (name, value, nearest)
    assert f"did you mean {nearest}?" in warning["message"]
    assert good["warnings"] == []


async def test_a_window_in_the_future_gets_a_warning(client: httpx.AsyncClient) -> None:
    page, count = [
        (await client.get(f"/events{path}?since=2999-01-01&until=2999-02-01")).json() for path in ("", "/count")
    ]
    assert (await client.get("/events?since=1s&until=2999-02-01")).json()["warnings"] == []
    assert page["warnings"] == count["warnings"]
    assert [(one["parameter"], one["message"]) for one in page["warnings"]] == [
        ("since", "2999-01-01T00:00:00Z is in the future")
    ]
