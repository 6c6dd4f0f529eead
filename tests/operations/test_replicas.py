"""Many replicas make no more calls to the providers than one, and work without their shared state."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.times import DAY
from tests.api.test_metrics import labelled, parse
from tests.logged import lines, logged
from tests.operations.replicas import finished_calls, get_all, processes, replicas
from tests.valkey import IMPATIENT, Valkey, serving_valkey
from tests.waiting import until
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, window


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with serving_valkey() as server:
        yield server


@pytest.fixture
def empty(valkey: Valkey) -> Valkey:
    valkey.flush()
    return valkey


@pytest.fixture
def world() -> Iterator[World]:
    with served_world(TaktikalOptions(events=600), SubnotoOptions(events=900)) as found:
        yield found


# ---- totals ------------------------------------------------------------------------------------------------------


async def alone(world: World, **parameters: str) -> tuple[int, Any]:
    """Return the number of calls for the total of one replica, and the total."""
    async with replicas(world, None, 1) as (client,):
        world.reset_calls()
        response = await client.get("/events/count", params=parameters)
        found = await finished_calls(world)
    world.reset_calls()
    return found, [(source["name"], source["value"], source["unit"]) for source in response.json()["sources"]]


async def test_eight_replicas_count_a_hot_total_once(world: World, empty: Valkey) -> None:
    parameters = window(world)
    cost, total = await alone(world, **parameters)
    async with replicas(world, empty.url(), 8) as clients:
        responses = await asyncio.gather(
            *(client.get("/events/count", params=parameters) for client in clients for _ in range(5))
        )
        assert await finished_calls(world) == cost
        for response in responses:
            assert [(one["name"], one["value"], one["unit"]) for one in response.json()["sources"]] == total
        later = await asyncio.gather(*(client.get("/events/count", params=parameters) for client in clients))
        assert all(source["cached"] for response in later for source in response.json()["sources"])
        assert await finished_calls(world) == cost
        others = [{**parameters, "q": "anna"}, {**parameters, "category": "team"}, window(world, 29)]
        for other in others:
            assert (await clients[0].get("/events/count", params=other)).json()["sources"] != responses[0].json()[
                "sources"
            ]
        fresh = await clients[3].get("/events/count", params=parameters, headers={"Cache-Control": "no-cache"})
        assert not any(source["cached"] for source in fresh.json()["sources"])


async def test_a_failed_count_is_repeated_by_another_replica(world: World, empty: Valkey) -> None:
    world.subnoto.faults.answer(401, {}, times=1)
    async with replicas(world, empty.url(), 4) as clients:
        found = await asyncio.gather(
            *(client.get("/events/count", params={"source": "subnoto", "category": "team"}) for client in clients)
        )
    assert sorted(response.status_code for response in found) == [200, 200, 200, 502], "an error is not shared"


async def test_another_account_or_secret_shares_nothing(world: World, empty: Valkey) -> None:
    parameters = window(world)
    other_account = SubnotoOptions(events=300, seed=7, access_key="another-key")
    with served_world(None, other_account) as other:
        found = []
        for each, secret in ((world, "s" * 40), (other, "s" * 40), (world, "t" * 40)):
            each.reset_calls()
            async with replicas(each, empty.url(), 1, cursor_secret=secret) as (client,):
                response = await client.get("/events/count", params={**parameters, "source": "subnoto"})
                found.append((response.json()["sources"][0]["value"], response.json()["sources"][0]["cached"]))
                assert await finished_calls(each) > 0
        assert found[0] == found[2] != found[1]
        assert not any(cached for _, cached in found)


async def test_shared_state_contains_no_readable_value(world: World, empty: Valkey) -> None:
    async with replicas(world, empty.url(), 2, rate="100/minute") as clients:
        for client in clients:
            for filters in ({"q": "kanari@example.com"}, {"owner": "eigandi@example.com", "source": "taktikal"}):
                assert (await client.get("/events/count", params=filters)).status_code == 200
        world.subnoto.faults.answer(429, {"retry-after": "300"}, times=2)
        await clients[0].get("/events", params={"source": "subnoto"})
    found = empty.everything()
    assert len(found) >= 4, "totals, a pause, the calls of a caller"
    text = repr(found).casefold()
    for secret in ("kanari", "eigandi", "example.com", "subnoto", "taktikal", "sandbox", "a secret of"):
        assert secret not in text
    assert all(key.startswith(b"audit-gateway:2:") for key in found)


# ---- limits ------------------------------------------------------------------------------------------------------


async def test_replicas_count_the_calls_of_a_caller_together(world: World, empty: Valkey) -> None:
    async with replicas(world, empty.url(), 4, rate="10/day") as clients:
        responses = [await clients[number % 4].get("/event-types") for number in range(14)]
    assert [response.status_code for response in responses] == [200] * 10 + [429] * 4
    assert [response.headers["ratelimit"].split(";")[1] for response in responses[:10]] == [
        f"r={n}" for n in range(9, -1, -1)
    ]
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 86_400


# ---- outages of the shared state ----------------------------------------------------------------------------------


async def shared_state_up(client: httpx.AsyncClient) -> float:
    samples = parse((await client.get("/metrics")).text)
    return samples[labelled("gateway_shared_state_up", store="redis")]


async def call_until_up(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while await shared_state_up(client) != 1:
            assert (await client.get("/events/count")).status_code == 200
            await asyncio.sleep(0.1)


async def test_an_idle_replica_reports_redis_as_it_is() -> None:
    """Without a rate, a scrape needs nothing of Redis; the alert would fire until the next count."""
    with serving_valkey() as valkey, served_world(TaktikalOptions(events=10), None) as world:
        async with replicas(world, valkey.url(IMPATIENT), 1) as (client,):
            assert await shared_state_up(client) == 1
            valkey.kill()
            assert await shared_state_up(client) == 0
            valkey.start()
            async with asyncio.timeout(30):
                while await shared_state_up(client) != 1:  # noqa: ASYNC110  # only a scrape changes it
                    await asyncio.sleep(0.1)


async def test_an_outage_of_redis_changes_no_response(world: World) -> None:
    with serving_valkey() as valkey, logged() as log:
        async with replicas(world, valkey.url(IMPATIENT), 2, rate="1000/minute", totals_ttl=0.01) as clients:
            expected = (await clients[0].get("/events", params=window(world))).json()
            assert [await shared_state_up(client) for client in clients] == [1, 1]
            for break_state, restore_state in ((valkey.kill, valkey.start), (valkey.freeze, valkey.thaw)):
                break_state()
                try:
                    for client in clients:
                        page = (await client.get("/events", params={**window(world), "include": "total"})).json()
                        assert page["data"] == expected["data"]
                        assert page["total"]["sources"][0]["value"] > 0
                    assert [await shared_state_up(client) for client in clients] == [0, 0]
                finally:
                    restore_state()
                for client in clients:
                    await call_until_up(client)
    # For each replica and outage.
    assert (len(lines(log, "shared_state_down")), len(lines(log, "shared_state_up"))) == (4, 4)


async def test_emptied_or_invalid_shared_state_changes_no_response(world: World, empty: Valkey) -> None:
    parameters = {**window(world), "include": "total"}
    async with replicas(world, empty.url(), 2, rate="1000/minute", totals_ttl=0.01) as clients:
        expected = (await clients[0].get("/events", params=parameters)).json()
        for attempt in range(6):
            with empty.client as client:
                for key in list(client.scan_iter()):
                    client.delete(key)
                    # Any number under a caller's key is the count of its calls.
                    if attempt and not (b":caller:" in key and attempt == 5):
                        client.set(key, ("nonsense", "7", "\0" * 99, "[]", "9" * 30)[attempt - 1], px=5000)
            for each in clients:
                found = (await each.get("/events", params=parameters)).json()
                assert found["data"] == expected["data"]
                assert [one["value"] for one in found["total"]["sources"]] == [
                    one["value"] for one in expected["total"]["sources"]
                ]


# ---- real processes ----------------------------------------------------------------------------------------------


async def test_workers_and_hosts_make_no_more_calls_than_one(world: World, empty: Valkey, tmp_path: Path) -> None:
    """Two commands, as on two hosts: a total, pages, the rate of a source, and a pause."""
    parameters = window(world)
    cost, total = await alone(world, **parameters)
    secret = {"CURSOR_SECRET": "a secret of both hosts that is long enough for it", "SOURCE_RATE": "20"}
    with (
        processes(world, empty, tmp_path / "one", "--workers", "2", **secret) as one,
        processes(world, empty, tmp_path / "other", **secret) as other,
    ):
        urls = [one.url, other.url]
        responses = await get_all(urls, "/events/count", 16, params=parameters)
        assert await finished_calls(world) == cost
        for response in responses:
            assert [(one["name"], one["value"], one["unit"]) for one in response.json()["sources"]] == total

        pages = [(await get_all(urls[:1], "/events", 1, params=parameters))[0].json()]
        while (cursor := pages[-1]["page"]["next_cursor"]) is not None and len(pages) < 3:
            same_page = [response.json() for response in await get_all(urls, "/events", 4, params={"cursor": cursor})]
            # Cursors may differ in their hints of the density of a log: the responses' cursors are used alternately.
            cursors = [response["page"].pop("next_cursor") for response in same_page]
            assert same_page == [same_page[0]] * len(same_page), "the same page and ids from each worker"
            same_page[0]["page"]["next_cursor"] = cursors[len(pages) % len(cursors)]
            pages.append(same_page[0])
        assert len(pages) == 3

        world.reset_calls()
        begun = time.monotonic()
        await get_all(urls, "/events", 10, params={**parameters, "source": "subnoto", "limit": "300"})
        # Without a shared rate, each of three processes would begin with 20 calls.
        assert 40 < await finished_calls(world) <= 20 + 20 * (time.monotonic() - begun) + 1

        world.reset_calls()
        # Several faults, because a process may begin with optional calls, which cause no shared pause.
        world.taktikal.faults.answer(429, {"retry-after": "300"}, times=50)
        first = (await get_all(urls, "/events", 1, params={"source": "taktikal"}))[0]
        world.taktikal.faults.clear()
        calls_made = await finished_calls(world)
        refused = await get_all(urls, "/events", 8, params={"source": "taktikal"})
        assert {response.status_code for response in (first, *refused)} == {503}
        assert await finished_calls(world) == calls_made
    for running in (one, other):
        running.assert_clean_end()


async def test_workers_share_a_generated_secret(world: World, empty: Valkey, tmp_path: Path) -> None:
    parameters = window(world)
    cost, _ = await alone(world, **parameters)
    with processes(world, empty, tmp_path, "--workers", "2") as running:
        await get_all([running.url], "/events/count", 12, params=parameters)
        assert await finished_calls(world) == cost
        ids: list[str] = []
        query: dict[str, str] = {**parameters, "limit": "200"}
        while True:
            (response,) = await get_all([running.url], "/events", 1, params=query)
            ids += [event["id"] for event in response.json()["data"]]
            if response.json()["page"]["next_cursor"] is None:
                break
            query = {"cursor": response.json()["page"]["next_cursor"]}
    since = world.now - 30 * DAY
    assert len(ids) == len(set(ids)) == sum(row[0] >= since for row in world.truth())
    running.assert_clean_end()
    warnings = [line["problem"] for line in running.log if line["event"] == "configuration"]
    assert any("GATEWAY_REDIS_URL" in warning for warning in warnings)


async def test_a_count_succeeds_if_the_counting_worker_is_killed(world: World, empty: Valkey, tmp_path: Path) -> None:
    parameters = {**window(world), "source": "subnoto"}
    # The other process waits for 7/10 of the deadline.
    secret = {"CURSOR_SECRET": "a secret of both hosts that is long enough for it", "DEADLINE": "9"}
    with (
        processes(world, empty, tmp_path / "one", **secret) as one,
        processes(world, empty, tmp_path / "other", **secret) as other,
    ):
        world.subnoto.faults.hang(60, times=20)
        dying = asyncio.create_task(get_all([one.url], "/events/count", 1, params=parameters))
        await until(lambda: any(key.endswith(b":lock") for key in empty.everything()))
        one.process.kill()
        one.code = one.process.wait(timeout=30)
        world.subnoto.faults.clear()
        (response,) = await get_all([other.url], "/events/count", 1, params=parameters)
        assert response.status_code == 200
        assert isinstance((await asyncio.gather(dying, return_exceptions=True))[0], httpx.HTTPError)
