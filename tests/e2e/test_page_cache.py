"""GATEWAY_PAGE_CACHE: many equal dashboards cost the providers what one does, and no page becomes wrong by it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain.parameters import read_query
from app.domain.query import CountQuery, EventQuery
from app.domain.times import SECOND, format_micros
from app.feed import Feed, FeedSettings
from app.providers.base import CommonSettings
from app.providers.subnoto import PROVIDER as SUBNOTO
from app.providers.taktikal import PROVIDER as TAKTIKAL
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.test_metrics import scrape
from tests.e2e.replicas import replicas, settled
from tests.valkey import Valkey
from tests.worlds import ANYONE, SECRET, World, any_limit, ask, describe, micros, served_world, walk, world

pytestmark = pytest.mark.anyio

DAY = 86_400 * SECOND


@pytest.fixture
def accounts() -> Iterator[World]:
    with served_world(TaktikalOptions(events=1200), SubnotoOptions(events=1500)) as found:
        yield found


def window(one: World, days: float = 30) -> dict[str, str]:
    now = micros(one.clock())
    return {"since": format_micros(now - int(days * DAY)), "until": format_micros(now)}


async def kept(*clients: httpx.AsyncClient) -> dict[str, Counter[str]]:
    """By source: how many calls these replicas answered with a kept answer (`hit`), and how many not (`miss`)."""
    found: dict[str, Counter[str]] = {}
    for client in clients:
        for (name, labels), value in (await scrape(client)).items():
            if name == "gateway_page_cache_total":
                of = dict(labels)
                found.setdefault(of["source"], Counter())[of["outcome"]] += int(value)
    return found


# ---- cost --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4])
async def test_200_equal_dashboards_cost_what_one_costs(accounts: World, valkey: Valkey, count: int) -> None:
    valkey.flush()
    parameters = {**window(accounts), "limit": "100"}
    async with replicas(accounts, None, 1) as (client,):
        alone = (await client.get("/events", params=parameters)).json()
        cost = await settled(accounts)
    accounts.reset_calls()
    async with replicas(accounts, None if count == 1 else valkey.url(), count, page_cache=60) as clients:
        gather_all = await asyncio.gather(
            *(clients[number % count].get("/events", params=parameters) for number in range(100))
        )
        counts = [await kept(*clients)]
        later = []
        for number in range(100):
            later.append(await clients[number % count].get("/events", params=parameters))
            if number in (0, 99):
                counts.append(await kept(*clients))
        assert [answer.json()["data"] for answer in (*gather_all, *later)] == [alone["data"]] * 200
        assert await settled(accounts) == cost
    assert sum(of["miss"] for of in counts[0].values()) == cost
    one, hundred = (
        {source: of - counts[0][source] for source, of in later_counts.items()} for later_counts in counts[1:]
    )
    assert set(one) == {"taktikal", "subnoto"}
    for source, of in one.items():
        assert set(of) == {"hit"}
        assert hundred[source] == {"hit": 100 * of["hit"]}


async def test_who_may_see_less_is_shown_less_of_the_same_answer(accounts: World) -> None:
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache=60) as (client,):
        whole = (await client.get("/events", params=parameters)).json()["data"]
        cost = await settled(accounts)
        headers = {"Authorization": "Bearer reader"}
        masked = (await client.get("/events", params=parameters, headers=headers)).json()["data"]
        assert await settled(accounts) == cost
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
    async with replicas(accounts, None, 1, page_cache=60) as (client,):
        page = (await client.get("/events", params=parameters)).json()
        counted = await kept(client)

        async def cost(asked: dict[str, str], **headers: str) -> int:
            accounts.reset_calls()
            assert (await client.get("/events", params=asked, headers=headers)).status_code == 200
            return await settled(accounts)

        assert await cost(parameters) == 0
        hits = await kept(client)
        assert all(
            hits[source]["hit"] > of["hit"] and hits[source]["miss"] == of["miss"] for source, of in counted.items()
        )
        fresh = [await cost(parameters, **{"cache-control": "no-cache"}) for _ in range(2)]
        assert fresh[0] == fresh[1] > 0
        behind = [await cost({"cursor": page["page"]["next_cursor"]}) for _ in range(2)]
        assert behind[0] == behind[1] > 0
        assert await kept(client) == hits, "calls that may not be given a kept answer are neither hits nor misses"
        assert await cost(parameters) == 0


async def test_a_kept_page_is_told_of_like_any_other(accounts: World) -> None:
    """Its headers, its place in the metrics, and what a caller of fewer rights is shown of the same question."""
    parameters = {**window(accounts), "limit": "50"}
    async with replicas(accounts, None, 1, page_cache=60) as (client,):
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
    assert accounts.taktikal is not None
    parameters = {**window(accounts), "limit": "50", "partial": "true"}
    async with replicas(accounts, None, 1, page_cache=60) as (client,):
        accounts.taktikal.faults.answer(500, {}, times=3)
        without, whole, kept_whole = [(await client.get("/events", params=parameters)).json() for _ in range(3)]
    assert [source["status"] for source in without["sources"]] == ["ok", "failed"]
    assert [source["status"] for source in whole["sources"]] == ["ok", "ok"]
    assert kept_whole == whole != without


async def test_a_page_is_kept_no_longer_than_the_answers_it_was_made_of() -> None:
    async with world(taktikal=TaktikalOptions(events=300), subnoto=SubnotoOptions(events=300)) as one:
        feed, parameters = cached(one), read_query(EventQuery, [("limit", "20")])
        first = await feed.page(parameters, ANYONE)
        came = time.monotonic()
        assert came < first.good_until <= came + 60
        await asyncio.sleep(0.05)
        one.reset_calls()
        again = await feed.page(parameters, ANYONE)
        assert one.calls() == 0
        assert came < again.good_until <= came + 60, "made later, of the same answers"
        assert (await feed.page(parameters, ANYONE, fresh=True)).good_until == -math.inf
        assert (await ask(feed, cursor=first.next_cursor)).good_until == -math.inf


# ---- right pages -------------------------------------------------------------------------------------------------


def cached(one: World, seconds: float = 60.0) -> Feed:
    common = CommonSettings(clock=lambda: micros(one.clock()), page_cache=seconds)
    found = [provider.from_environment(one.env, common) for provider in (SUBNOTO, TAKTIKAL)]
    settings = FeedSettings((SECRET,), clock=lambda: micros(one.clock()), totals_ttl=0.0)
    feed = Feed([source for source in found if source is not None], settings)
    one.feeds.append(feed)
    return feed


UNKNOWNS: dict[str, dict[str, Any]] = {
    "taktikal": {"taktikal": TaktikalOptions(events=700, twins=0.03, tie_burst=3)},
    "taktikal-shuffled": {"taktikal": TaktikalOptions(events=700, logs="trimmed", order="shuffled")},
    "taktikal-cap-40": {"taktikal": TaktikalOptions(events=700, max_take=40, order="shuffled")},
    "taktikal-creation": {"taktikal": TaktikalOptions(events=400, range_selects="creation", order="oldest")},
    "subnoto": {"subnoto": SubnotoOptions(events=1500, twins=0.03, tie_burst=5)},
    "subnoto-skew": {"subnoto": SubnotoOptions(events=1500, skew_seconds=119.0, ties="shuffled")},
    "both": {"taktikal": TaktikalOptions(events=600), "subnoto": SubnotoOptions(events=900, skew_seconds=90.0)},
}


@pytest.mark.parametrize("options", UNKNOWNS.values(), ids=UNKNOWNS.keys())
async def test_exactly_once_while_it_grows_and_answers_are_kept(options: dict[str, Any]) -> None:
    """Kept answers of every age lie about when a walk begins, and the histories grow at every page. Whatever was there
    before the oldest of them is delivered once, in order, and nothing is delivered twice or made up."""
    async with world(**options) as one:
        begun = micros(one.clock())
        before, feed, rng = one.truth(), cached(one), random.Random(1)
        for _ in range(12):
            since = begun - rng.choice((30, 30, 12, 3)) * DAY
            # The window's end lies ahead: what grows falls into it.
            given = {"since": format_micros(since), "until": format_micros(begun + DAY)}
            order = rng.choice(("asc", "desc"))
            if rng.random() < 0.5:
                await ask(feed, **given, order=order, limit=rng.choice((7, 50, 333)))
                await feed.totals(read_query(CountQuery, [*given.items()]), ANYONE)
            one.clock.advance(minutes=rng.choice((0, 2, 30)))
            found = await walk(
                feed, limits=any_limit(rng.random() < 0.5, 20, 100, 1000), order=order, **given,
                between=lambda: one.clock.advance(minutes=1),
            )  # fmt: skip
            rows = found.rows if order == "asc" else found.rows[::-1]
            after = [row for row in one.truth() if since <= row[0] < begun + DAY]
            expected = [row for row in before if since <= row[0]]  # the window ends after all of them
            assert len(set(found.ids)) == len(found.ids)
            delivered = set(rows)
            assert rows == [row for row in after if row in delivered], "in order, and nothing that is not there"
            assert not Counter(expected) - Counter(rows), "what was there before"
        assert one.refused() == []


async def test_a_walk_that_begins_fresh_misses_nothing_that_is_there_then() -> None:
    """What another walk was answered a moment ago is too old for the pages behind its first one."""
    async with world(subnoto=SubnotoOptions(events=900)) as one:
        feed, now = cached(one), micros(one.clock())
        given = {"since": format_micros(now - 20 * DAY), "until": format_micros(now + DAY), "order": "asc"}
        await walk(feed, limits=100, **given)
        one.clock.advance(hours=5)
        there = [row for row in one.truth() if now - 20 * DAY <= row[0]]
        asked = [*given.items(), ("limit", "100")]
        pages = [await feed.page(read_query(EventQuery, asked), ANYONE, fresh=True)]
        while pages[-1].next_cursor is not None:
            pages.append(await ask(feed, cursor=pages[-1].next_cursor, limit=100))
        rows = [describe(record) for page in pages for record in page.records]
        assert rows == there
        assert there[-1][0] > now, "it had grown"


async def test_a_count_that_is_older_than_the_list_beside_it_proves_nothing() -> None:
    """A server that hands out forty at a time; a count of fewer is kept, and by now there are more."""
    async with world(taktikal=TaktikalOptions(events=900, max_take=40, order="shuffled")) as one:
        feed, now = cached(one), micros(one.clock())
        await ask(feed, limit=1)  # finds out what ranges select

        def envelopes(since: int) -> int:
            return len({row[3] for row in one.truth() if since <= row[0]})

        seconds = sorted({row[0] // SECOND * SECOND for row in one.truth()}, reverse=True)
        since = next(second for second in seconds if envelopes(second) >= 36)
        given = {"since": format_micros(since), "until": format_micros(now + 10 * DAY)}
        assert envelopes(since) < 40
        counted = await feed.totals(read_query(CountQuery, [*given.items()]), ANYONE)
        assert counted.value == envelopes(since)
        while envelopes(since) < 45:
            one.clock.advance(hours=1)
        found = await walk(feed, limits=1000, order="asc", **given)
        assert found.rows == [row for row in one.truth() if since <= row[0]]


async def test_a_page_of_kept_answers_does_not_say_that_it_is_of_now() -> None:
    async with world(subnoto=SubnotoOptions(events=300)) as one:
        feed = cached(one)
        first = await ask(feed, source="subnoto")
        one.clock.advance(seconds=40)
        again = await ask(feed, source="subnoto", order="desc")
        assert [page.sources[0].complete_through for page in (first, again)] == [first.sources[0].complete_through] * 2
        fresh = await feed.page(read_query(EventQuery, [("source", "subnoto")]), ANYONE, fresh=True)
        assert fresh.sources[0].complete_through == (first.sources[0].complete_through or 0) + 40 * SECOND


async def test_a_follower_misses_nothing() -> None:
    async with world(taktikal=TaktikalOptions(events=300), subnoto=SubnotoOptions(events=300)) as one:
        feed = cached(one)
        begun = micros(one.clock()) - DAY
        first = {"since": format_micros(begun), "order": "asc", "follow": True}
        await ask(feed, **first, limit=1000)
        one.clock.advance(minutes=10)
        page = await ask(feed, **first, limit=1000)
        ids = [record.event().id for record in page.records]
        for _ in range(8):
            one.clock.advance(minutes=10)
            page = await ask(feed, cursor=page.next_cursor, limit=1000)
            ids += [record.event().id for record in page.records]
        settled_at = micros(one.clock()) - 30 * SECOND
        assert len(ids) == len(set(ids)) == sum(begun <= row[0] < settled_at for row in one.truth())
