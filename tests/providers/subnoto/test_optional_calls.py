"""Subnoto's calls that only filter or prove: no page fails by them, and what they would show is unknown."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sandbox.serving import serve
from tests.providers.faulty import (
    FAULTS,
    SINCE,
    UNTIL,
    FailsCalls,
    Gateway,
    check_walk,
    emulator,
    gateway,
    one_of,
    rows,
)
from tests.providers.faulty import truth as all_events
from tests.worlds import World

Fails = Callable[[str, Mapping[str, Any]], bool]
NO_SUCH_PAGE = (400, 404)  #: which show an end themselves


def behind(one: World) -> Fails:
    """Pages after the last record."""
    sizes = {name: sum(row["category"] == name for row in one.subnoto.history.truth()) for name in ("envelope", "team")}

    def fails(_: str, sent: Mapping[str, Any]) -> bool:
        return sent["sortBy"] == "id" and (sent["page"] - 1) * sent["limit"] >= sizes[sent["category"]]

    return fails


def again(_: World) -> Fails:
    """Pages that were read before."""
    seen = set[str]()

    def fails(_: str, sent: Mapping[str, Any]) -> bool:
        text, known = json.dumps(sent), len(seen)
        seen.add(text)
        return len(seen) == known

    return fails


def by_type(_: World) -> Fails:
    """Pages of some event types."""
    return lambda _, sent: "eventTypes" in sent


async def check_health(found: Gateway) -> None:
    health = await found.health("subnoto")
    assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
    assert health["paused_until"] is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_page_fails_by_the_proof_of_an_end(fault: int | str) -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, behind(one), fault)
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}, deadline=4.0) as found:
                answer = (await found.get(limit=1000)).json()
                assert rows(answer["data"]) == all_events(one)
                [source] = answer["sources"]
                assert ("whether its log ends" in (source["reason"] or "")) == (fault not in NO_SUCH_PAGE)
                calls = server.calls
                assert calls
                await check_walk(one, found)
                window = {"since": SINCE, "until": UNTIL}
                count = (await found.get("/events/count", **window)).json()
                assert count["value"] == len(all_events(one))
                export = await found.get("/events/export", **window)
                assert rows([json.loads(line) for line in export.text.splitlines()[:-1]]) == all_events(one)
                await check_health(found)
        assert server.calls == calls or fault in NO_SUCH_PAGE, "the failure is remembered"


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_page_fails_by_a_page_read_again(fault: int | str, order: str) -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, again(one), fault)
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}, deadline=4.0) as found:
                answer = await found.get(limit=1000, order=order)
                assert answer.status_code == 200, answer.text
                step = -1 if order == "asc" else 1
                assert rows(answer.json()["data"])[::step] == all_events(one)
                assert "records were removed meanwhile" in answer.json()["sources"][0]["reason"]
                await check_health(found)
        assert server.calls


@pytest.mark.parametrize("fault", [400, 403, 404, 405, 422, 500, 501, "html"])
async def test_no_page_fails_by_refused_event_types(fault: int | str) -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, by_type(one), fault)
        expected = [row for row in all_events(one) if row[1] == "DOCUMENT_SIGNED"]
        with serve(server) as url:
            env, query = {**one.env, "SUBNOTO_BASE_URL": url}, {"provider_type": "DOCUMENT_SIGNED", "limit": 1000}
            async with gateway(env, clock=one.clock) as found:
                for _ in range(2):
                    answer = await found.get(**query)
                    assert answer.status_code == 200, answer.text
                    assert rows(answer.json()["data"]) == expected
                    assert answer.json()["sources"][0]["reason"] is None
                window = {"since": SINCE, "until": UNTIL, "provider_type": "DOCUMENT_SIGNED"}
                count = (await found.get("/events/count", **window)).json()
                assert (count["value"], count["relation"]) == (len(expected), "eq")
                calls = server.calls
                assert calls == (3 if fault == 500 else 1), "the refusal is remembered"
                one.clock.advance(minutes=11)
                assert rows((await found.get(**query)).json()["data"]) == expected
                assert server.calls > calls
                await check_health(found)


@pytest.mark.parametrize("fails", [behind, again])
async def test_answers_are_those_of_another_process_after_ten_minutes(fails: Callable[[World], Fails]) -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, fails(one), 403)
        with serve(server) as url:
            env = {**one.env, "SUBNOTO_BASE_URL": url}
            async with gateway(env, clock=one.clock) as warm, gateway(env, clock=one.clock) as cold:
                assert (await warm.get(limit=1000)).json()["sources"][0]["reason"]
                server.fault = None
                one.clock.advance(minutes=11)
                answers = [(await each.get(limit=1000)).json() for each in (warm, cold)]
                assert answers[0]["data"] == answers[1]["data"]
                assert [answer["sources"][0]["reason"] for answer in answers] == [None, None]


@pytest.mark.parametrize("fails", [behind, again, by_type])
async def test_refused_credentials_are_told(fails: Callable[[World], Fails]) -> None:
    async with one_of("subnoto") as one:
        with serve(FailsCalls(emulator(one).app, fails(one), 401)) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}) as found:
                query = {"provider_type": "DOCUMENT_SIGNED"} if fails is by_type else {}
                assert await found.problem(limit=1000, **query) == (502, "source_unauthorized", None)
