"""Taktikal's calls that are only hints or proofs: no page fails by them, and what they would show is unknown."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sandbox.serving import serve
from sandbox.taktikal import EmulatorOptions
from tests.providers.faulty import FAULTS, SINCE, UNTIL, FailsCalls, check_walk, emulator, gateway, one_of, rows, truth
from tests.worlds import world

Sent = Mapping[str, Any]
Fails = Callable[[str, Sent], bool]
CREATION = {"range_selects": "creation"}
FEW: list[int | str] = [400, 429, "html"]


def is_total(path: str) -> bool:
    return path.endswith("/total")


def after(sent: Sent) -> int:
    return int(sent.get("Skip", 0))


#: The emulator's options, the calls that fail, how, and whether the answer's completeness depends on them.
KINDS: dict[str, tuple[dict[str, Any], Fails, list[int | str], bool]] = {
    "total": ({}, lambda path, _: is_total(path), FAULTS, False),
    "total by creation": (CREATION, lambda path, _: is_total(path), ["closes", "hangs"], False),
    "total of nothing": (
        {"events": 20, "total_offset": 1},
        lambda path, sent: is_total(path) and sent["EndDate"] < "1754",
        [*FEW, 404],
        True,
    ),
    "total from year 1 on": (CREATION, lambda path, sent: is_total(path) and sent["StartDate"] < "0002", [429], True),
    "total where year 1 is refused": (
        CREATION,
        lambda path, sent: is_total(path) and sent["StartDate"] < "0002",
        [400],
        False,
    ),
    "all": (CREATION, lambda _, sent: sent["StartDate"] < "1754" and sent["EndDate"] > "9", FEW, True),
    "early": (CREATION, lambda _, sent: sent["EndDate"] < "2001", FEW, True),
    "late": (CREATION, lambda _, sent: sent["StartDate"] > "2026-06-02", FEW, True),
    "calibration": ({}, lambda path, sent: not is_total(path) and sent["Take"] == "50", FAULTS, False),
    "calibration by key": ({}, lambda _, sent: "ProcessKey" in sent, [*FEW, "hangs"], False),
    "skip": ({}, lambda _, sent: after(sent) > 0, FAULTS, True),
    "skip by creation": (CREATION, lambda _, sent: after(sent) > 0, FEW, True),
    "far skip": ({"max_take": 10}, lambda _, sent: after(sent) >= 1 << 24, FEW, False),
    "skip of all": ({"events": 20}, lambda _, sent: after(sent) > 0 and sent["StartDate"] < "1754", FEW, False),
}


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, row in KINDS.items() for fault in row[2]])
async def test_no_page_fails_by_an_optional_call(kind: str, fault: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    options, fails, _, is_proof = KINDS[kind]
    if kind in ("early", "late"):
        monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 10)  # the account is large
    async with one_of("taktikal", **options) as one:
        server = FailsCalls(emulator(one).app, fails, fault)
        with serve(server) as url:
            async with gateway({**one.env, "TAKTIKAL_BASE_URL": f"{url}/api"}, deadline=4.0) as found:
                answer = await found.get(limit=1000)
                assert answer.status_code == 200, answer.text
                assert rows(answer.json()["data"]) == truth(one)
                [source] = answer.json()["sources"]
                assert (source["reason"] is not None) == is_proof
                calls = server.calls
                assert calls, "no call failed"
                await check_walk(one, found)
                window = {"since": SINCE, "until": UNTIL}
                count = (await found.get("/events/count", **window)).json()
                assert (count["value"], count["relation"]) == (len(truth(one)), "estimate" if is_proof else "eq")
                export = await found.get("/events/export", **window)
                *events, last = map(json.loads, export.text.splitlines())
                assert (rows(events), last["complete"]) == (truth(one), True)
                health = await found.health("taktikal")
                assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
                assert health["paused_until"] is None
                assert server.calls <= calls + 3, "failures are remembered"


async def test_an_unknown_owner_is_a_reason() -> None:
    async with world(EmulatorOptions(events=2000, logs="trimmed")) as one:
        server = FailsCalls(one.taktikal.app, lambda _, sent: "User" in sent, 500)
        owner = next(entry["createdBy"] for entry in one.taktikal.history.truth() if entry["status"] == "Created")
        with serve(server) as url:
            async with gateway({**one.env, "TAKTIKAL_BASE_URL": f"{url}/api"}) as found:
                answer = await found.get(person=owner, since="2026-05-25T00:00:00Z")
                assert answer.status_code == 200, answer.text
                assert "which envelopes the person started" in answer.json()["sources"][0]["reason"]
        assert server.calls


@pytest.mark.parametrize("kind", ["total", "calibration", "skip", "all"])
async def test_refused_credentials_are_told(kind: str) -> None:
    options, fails, _, _ = KINDS[kind]
    async with one_of("taktikal", **options) as one:
        with serve(FailsCalls(emulator(one).app, fails, 401)) as url:
            async with gateway({**one.env, "TAKTIKAL_BASE_URL": f"{url}/api"}) as found:
                assert await found.problem(limit=1000) == (502, "source_unauthorized", None)


@pytest.mark.parametrize("kind", ["total", "calibration", "skip"])
async def test_answers_are_those_of_another_process_after_ten_minutes(kind: str) -> None:
    options, fails, _, _ = KINDS[kind]
    async with one_of("taktikal", **options) as one:
        server = FailsCalls(emulator(one).app, fails, 403)
        with serve(server) as url:
            env = {**one.env, "TAKTIKAL_BASE_URL": f"{url}/api"}
            async with gateway(env, clock=one.clock) as warm, gateway(env, clock=one.clock) as cold:
                assert (await warm.get()).status_code == 200
                server.fault, calls = None, server.calls
                await check_walk(one, warm)
                assert server.calls == calls
                one.clock.advance(minutes=11)
                answers = [await each.get(limit=1000) for each in (warm, cold)]
                assert answers[0].json()["data"] == answers[1].json()["data"]
                assert [answer.json()["sources"][0]["reason"] for answer in answers] == [None, None]
                assert server.calls > calls
