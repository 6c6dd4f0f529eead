"""GATEWAY_PAGE_CACHE_TTL: many equal dashboards cost the provider what one does."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.api.test_metrics import scrape
from tests.operations.replicas import replicas, settled
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, window


@pytest.fixture
def accounts() -> Iterator[World]:
    with served_world(TaktikalOptions(events=1200), SubnotoOptions(events=1500)) as found:
        yield found


async def kept(client: httpx.AsyncClient) -> dict[str, Counter[str]]:
    """By source: how many pages came from the cache (`hit`), and how many did not (`miss`)."""
    found: dict[str, Counter[str]] = {}
    for (name, labels), value in (await scrape(client)).items():
        if name == "gateway_page_cache_total":
            found.setdefault(dict(labels)["source"], Counter())[dict(labels)["outcome"]] += int(value)
    return found


async def test_200_equal_dashboards_cost_what_one_costs(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "100"}
    async with replicas(accounts, None, 1) as (client,):
        alone = (await client.get("/events", params=parameters)).json()
        cost = await settled(accounts)
    accounts.reset_calls()
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        together = await asyncio.gather(*(client.get("/events", params=parameters) for _ in range(100)))
        other_order = list(reversed(parameters.items()))
        later = [await client.get("/events", params=other_order) for _ in range(100)]
        assert [answer.json()["data"] for answer in (*together, *later)] == [alone["data"]] * 200
        assert await settled(accounts) == cost
        assert await kept(client) == {name: {"hit": 199, "miss": 1} for name in ("taktikal", "subnoto")}


async def test_who_may_see_less_is_shown_less(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        whole = (await client.get("/events", params=parameters)).json()["data"]
        headers = {"Authorization": "Bearer reader"}
        masked = (await client.get("/events", params=parameters, headers=headers)).json()["data"]
        assert [event["id"] for event in masked] == [event["id"] for event in whole]
        phones = [event["recipient"]["phone"] for event in whole if event["recipient"] and event["recipient"]["phone"]]
        assert phones
        assert not any(phone in repr(masked) for phone in phones)
        # A question that the provider judges by what this caller may not see is one of its own, judged here again.
        asked = {**parameters, "q": phones[0]}
        seen = (await client.get("/events", params=asked)).json()["data"]
        assert seen
        assert (await client.get("/events", params=asked, headers=headers)).json()["data"] == []


async def test_no_cache_goes_past_and_so_do_pages_behind_a_cursor(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        page = (await client.get("/events", params=parameters)).json()
        counted = await kept(client)

        async def cost(asked: dict[str, str], **headers: str) -> int:
            accounts.reset_calls()
            assert (await client.get("/events", params=asked, headers=headers)).status_code == 200
            return await settled(accounts)

        assert await cost(parameters) == 0
        hits = await kept(client)
        assert all(hits[source] == of + Counter(hit=1) for source, of in counted.items())
        fresh = [await cost(parameters, **{"cache-control": "no-cache"}) for _ in range(2)]
        assert fresh[0] == fresh[1] > 0
        behind = [await cost({"cursor": page["page"]["next_cursor"]}) for _ in range(2)]
        assert behind[0] == behind[1] > 0
        assert await kept(client) == hits, "what goes past the cache is neither hit nor miss"
        assert await cost(parameters) == 0


async def test_a_kept_page_is_told_of_like_any_other(accounts: World) -> None:
    """Its headers, its place in the metrics, and what a caller of fewer rights is shown of the same question."""
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        made, again = [await client.get("/events", params=parameters) for _ in range(2)]
        assert again.content == made.content
        assert again.links["next"] == made.links["next"]
        assert again.headers["x-request-id"] != made.headers["x-request-id"]
        found = await scrape(client)
        delivered = {dict(labels)["source"]: n for (name, labels), n in found.items() if "events_delivered_t" in name}
        shown = Counter(event["source"] for event in made.json()["data"])
        assert delivered == {source: 2 * count for source, count in shown.items()}
        elsewhere = await client.get("/events", params=parameters, headers={"Authorization": "Bearer limited"})
        assert elsewhere.status_code == 403, "that key may read another source alone"
        unknown = await client.get("/events", params=parameters, headers={"Authorization": "Bearer nobody"})
        assert unknown.status_code == 401
        counted = [await client.get("/events", params={**parameters, "include": "total"}) for _ in range(2)]
        assert [answer.json()["total"]["sources"][0]["cached"] for answer in counted] == [False, True]


async def test_a_page_without_a_source_that_failed_is_not_kept(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50", "partial": "true"}
    async with replicas(accounts, None, 1, page_cache_ttl=60) as (client,):
        accounts.taktikal.faults.answer(403, {}, times=10_000)
        without = (await client.get("/events", params=parameters)).json()
        accounts.taktikal.faults.clear()
        whole, kept_whole = [(await client.get("/events", params=parameters)).json() for _ in range(2)]
    assert [source["status"] for source in without["sources"]] == ["ok", "failed"]
    assert [source["status"] for source in whole["sources"]] == ["ok", "ok"]
    assert kept_whole == whole != without
