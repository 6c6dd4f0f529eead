"""GATEWAY_PAGE_CACHE_TTL: many equal dashboards make no more calls to the providers than one."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import bearer
from tests.api.test_metrics import scrape
from tests.operations.replicas import finished_calls, replicas
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, window


@pytest.fixture
def accounts() -> Iterator[World]:
    with served_world(TaktikalOptions(events=1200), SubnotoOptions(events=1500)) as found:
        yield found


async def cache_counts(client: httpx.AsyncClient) -> dict[str, Counter[str]]:
    """Return the hits and misses of the page cache by source."""
    found: dict[str, Counter[str]] = {}
    for (name, labels), value in (await scrape(client)).items():
        if name == "gateway_page_cache_total":
            found.setdefault(dict(labels)["source"], Counter())[dict(labels)["outcome"]] += int(value)
    return found


async def test_200_equal_dashboards_cost_what_one_costs(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "100"}
    async with replicas(accounts, None, 1) as (client,):
        alone = (await client.get("/events", params=parameters)).json()
        cost = await finished_calls(accounts)
    accounts.reset_calls()
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        concurrent = await asyncio.gather(*(client.get("/events", params=parameters) for _ in range(100)))
        other_order = list(reversed(parameters.items()))
        later = [await client.get("/events", params=other_order) for _ in range(100)]
        assert [response.json()["data"] for response in (*concurrent, *later)] == [alone["data"]] * 200
        assert await finished_calls(accounts) == cost
        assert await cache_counts(client) == {name: {"hit": 199, "miss": 1} for name in ("taktikal", "subnoto")}


async def test_cached_pages_are_separate_for_each_set_of_grants(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        full = (await client.get("/events", params=parameters)).json()["data"]
        headers = bearer("reader")
        masked = (await client.get("/events", params=parameters, headers=headers)).json()["data"]
        assert [event["id"] for event in masked] == [event["id"] for event in full]
        phones = [event["recipient"]["phone"] for event in full if event["recipient"] and event["recipient"]["phone"]]
        assert phones
        assert not any(phone in repr(masked) for phone in phones)
        # A search by a hidden value has its own cache entry, and the gateway applies it to the masked events.
        search = {**parameters, "q": phones[0]}
        matches = (await client.get("/events", params=search)).json()["data"]
        assert matches
        assert (await client.get("/events", params=search, headers=headers)).json()["data"] == []


async def test_no_cache_and_cursors_bypass_the_cache(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        page = (await client.get("/events", params=parameters)).json()
        before = await cache_counts(client)

        async def cost(query: dict[str, str], **headers: str) -> int:
            accounts.reset_calls()
            assert (await client.get("/events", params=query, headers=headers)).status_code == 200
            return await finished_calls(accounts)

        assert await cost(parameters) == 0
        counts = await cache_counts(client)
        assert all(counts[source] == count + Counter(hit=1) for source, count in before.items())
        fresh = [await cost(parameters, **{"cache-control": "no-cache"}) for _ in range(2)]
        assert fresh[0] == fresh[1] > 0
        by_cursor = [await cost({"cursor": page["page"]["next_cursor"]}) for _ in range(2)]
        assert by_cursor[0] == by_cursor[1] > 0
        assert await cache_counts(client) == counts, "a bypass is neither a hit nor a miss"
        assert await cost(parameters) == 0


async def test_a_cached_page_has_its_own_headers_metrics_and_access_checks(accounts: World) -> None:
    """Its request id and metrics, the access checks of other callers, and the state of its totals."""
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        first, second = [await client.get("/events", params=parameters) for _ in range(2)]
        assert second.content == first.content
        assert second.links["next"] == first.links["next"]
        assert second.headers["x-request-id"] != first.headers["x-request-id"]
        found = await scrape(client)
        delivered = {dict(labels)["source"]: n for (name, labels), n in found.items() if "events_delivered_t" in name}
        shown = Counter(event["source"] for event in first.json()["data"])
        assert delivered == {source: 2 * count for source, count in shown.items()}
        forbidden = await client.get("/events", params=parameters, headers=bearer("limited"))
        assert forbidden.status_code == 403, "that key may read another source only"
        unknown = await client.get("/events", params=parameters, headers=bearer("nobody"))
        assert unknown.status_code == 401
        totals = [await client.get("/events", params={**parameters, "include": "total"}) for _ in range(2)]
        assert [response.json()["total"]["sources"][0]["cached"] for response in totals] == [False, True]


async def test_a_partial_page_is_not_cached(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50", "partial": "true"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        accounts.taktikal.faults.answer(403, {}, times=10_000)
        without = (await client.get("/events", params=parameters)).json()
        accounts.taktikal.faults.clear()
        full, cached = [(await client.get("/events", params=parameters)).json() for _ in range(2)]
    assert [source["status"] for source in without["sources"]] == ["ok", "failed"]
    assert [source["status"] for source in full["sources"]] == ["ok", "ok"]
    assert cached == full != without
