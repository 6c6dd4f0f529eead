"""Calls that only hint, filter or prove. No page fails by a hint, or by a proof that the provider refuses: what they
would show is unknown. A proof that cannot be made now fails the page, which would end at an unproven place."""

import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox.taktikal import EmulatorOptions
from tests.providers.faulty import (
    FAULTS,
    SINCE,
    UNTIL,
    Fails,
    FailsCalls,
    Gateway,
    check_walk,
    emulator,
    failing,
    gateway,
    one_of,
    reading,
    rows,
    truth,
)
from tests.worlds import World, world

Sent = Mapping[str, Any]
WINDOW = {"since": SINCE, "until": UNTIL}


#: Faults that may pass, and what a page is that needs the call; 429 names a time to retry after.
PASSING = {
    429: (503, "source_unavailable"), 503: (503, "source_unavailable"), "closes": (503, "source_unavailable"),
    "hangs": (504, "source_timeout"),
}  # fmt: skip


async def is_refused(
    one: World, server: FailsCalls, found: Gateway, make: Callable[[World], Fails] | None = None, **query: Any
) -> bool:
    """Whether a proof that fails counts as refused: at once, or after half a minute in which pages fail. Never for a
    time to retry after. `make`: the calls that fail, anew for each page."""
    if server.fault in PASSING:
        for _ in range(4):
            *problem, wait = await found.problem(**{"limit": 1000, **query})
            assert tuple(problem) == PASSING[server.fault]
            assert (wait is not None) == (server.fault == 429)
            one.clock.advance(seconds=8)
            server.fails = server.fails if make is None else make(one)
    server.calls = 0
    return server.fault != 429


async def check_answers(one: World, found: Gateway, *relations: str, complete: bool = True) -> None:
    """Check that walk, export and count are correct, the count with one of `relations`, the export `complete` or
    unproven."""
    await check_walk(one, found)
    count = (await found.get("/events/count", **WINDOW)).json()
    assert count["value"] == len(truth(one))
    assert count["relation"] in relations
    *events, last = map(json.loads, (await found.get("/events/export", **WINDOW)).text.splitlines())
    ended = (last["complete"], last.get("reason"))
    assert (rows(events), ended) == (truth(one), (True, None) if complete else (False, "unproven"))


# ---- Taktikal --------------------------------------------------------------------------------------------------------

CREATION = {"range_selects": "creation"}
FEW: list[int | str] = [400, 429, "html"]


def is_total(path: str) -> bool:
    return path.endswith("/total")


def after(sent: Sent) -> int:
    return int(sent.get("Skip", 0))


#: Kinds whose calls are proofs.
PROOFS = {"total of nothing", "all", "early", "late", "skip", "skip by creation", "far skip", "skip of all"}
#: The emulator's options, the calls that fail, the faults, and whether the response is unproven without the calls. One
#: class makes all optional calls, so that a few faults suffice for most kinds.
KINDS: dict[str, tuple[dict[str, Any], Fails, list[int | str], bool]] = {
    "total": ({}, lambda path, _: is_total(path), FAULTS, False),
    "total by creation": (CREATION, lambda path, _: is_total(path), ["closes", "hangs"], False),
    "total of nothing": (
        {"events": 20, "total_offset": 1}, lambda path, sent: is_total(path) and sent["EndDate"] < "1754", [*FEW, 404],
        True,
    ),
    "total from year 1 on": (CREATION, lambda path, sent: is_total(path) and sent["StartDate"] < "0002", [429], False),
    "total where year 1 is refused": (
        CREATION, lambda path, sent: is_total(path) and sent["StartDate"] < "0002", [400], False,
    ),
    "all": (CREATION, lambda _, sent: sent["StartDate"] < "1754" and sent["EndDate"] > "9", FEW, True),
    "early": (CREATION, lambda _, sent: sent["EndDate"] < "2001", FEW, True),
    "late": (CREATION, lambda _, sent: sent["StartDate"] > "2026-06-02", FEW, True),
    "calibration": ({}, lambda path, sent: not is_total(path) and sent["Take"] == "50", [*FEW, "hangs"], False),
    "calibration by key": ({}, lambda _, sent: "ProcessKey" in sent, [*FEW, "hangs"], False),
    "skip": ({}, lambda _, sent: after(sent) > 0, FAULTS, True),
    "skip by creation": (CREATION, lambda _, sent: after(sent) > 0, FEW, True),
    "far skip": ({"max_take": 10}, lambda _, sent: after(sent) >= 1 << 24, FEW, False),
    "skip of all": ({"events": 20}, lambda _, sent: after(sent) > 0 and sent["StartDate"] < "1754", FEW, False),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, row in KINDS.items() for fault in row[2]])
async def test_the_failure_of_an_optional_call_fails_no_page(
    kind: str, fault: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, fails, _, is_proof = KINDS[kind]
    if kind in ("early", "late"):
        monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 10)  # the account is large
    async with (
        one_of("taktikal", **options) as one,
        failing(one, fails, fault, deadline=4.0, clock=one.clock) as (server, found),
    ):
        if kind in PROOFS and not await is_refused(one, server, found):
            return
        answer = await found.get(limit=1000)
        assert answer.status_code == 200, answer.text
        assert rows(answer.json()["data"]) == truth(one)
        [source] = answer.json()["sources"]
        assert (source["reason"] is not None) == is_proof
        calls = server.calls
        assert calls, "no call failed"
        # An assumption that no response contradicts leaves an export complete: the age of envelopes, or the end without
        # a total.
        complete = not is_proof or kind in ("all", "total of nothing")
        await check_answers(one, found, "estimate" if is_proof else "eq", complete=complete)
        await found.check_healthy("taktikal")
        assert server.calls <= 2 * calls + 3, "failures are remembered"


@pytest.mark.parametrize("fault", ["html", 400, 404, 500])
@pytest.mark.parametrize("options", [{"max_take": 10}, {"max_take": 10, "take_beyond": "refused"}])
async def test_a_page_after_an_outage_of_proofs_is_complete(options: dict[str, Any], fault: int | str) -> None:
    """Failures of both the totals and the ends of lists are remembered: the end is then read again."""
    async with (
        one_of("taktikal", **options) as one,
        failing(one, lambda path, sent: is_total(path) or after(sent) > 0, fault) as (server, found),
    ):
        await found.get(limit=1000)
        assert server.calls
        server.fault = None
        await check_walk(one, found)


async def test_unknown_owners_are_a_reason() -> None:
    async with (
        world(EmulatorOptions(events=2000, logs="trimmed")) as one,
        failing(one, lambda _, sent: "User" in sent, 403) as (server, found),
    ):
        owner = next(entry["createdBy"] for entry in one.taktikal.history.truth() if entry["status"] == "Created")
        answer = await found.get(person=owner, since="2026-05-25T00:00:00Z")
        assert answer.status_code == 200, answer.text
        assert "which envelopes the person started" in answer.json()["sources"][0]["reason"]
        assert server.calls


# ---- Subnoto ---------------------------------------------------------------------------------------------------------

NO_SUCH_PAGE = (400, 404)  #: statuses that prove an end


def behind(one: World) -> Fails:
    """Select pages after the last record."""
    sizes = {name: sum(row["category"] == name for row in one.subnoto.history.truth()) for name in ("envelope", "team")}

    def fails(_: str, sent: Sent) -> bool:
        return sent["sortBy"] == "id" and (sent["page"] - 1) * sent["limit"] >= sizes[sent["category"]]

    return fails


def again(_: World) -> Fails:
    """Select pages that were read before."""
    seen = set[str]()

    def fails(_: str, sent: Sent) -> bool:
        text, known = json.dumps(sent), len(seen)
        seen.add(text)
        return len(seen) == known

    return fails


def by_type(_: World) -> Fails:
    """Select pages with a filter by event types."""
    return lambda _, sent: "eventTypes" in sent


def by_time(_: World) -> Fails:
    """Select pages in the order of time, which only check those in the order of arrival."""
    return lambda _, sent: sent.get("sortBy") == "timestamp"


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_failure_of_the_proof_of_an_end_fails_no_page(fault: int | str) -> None:
    async with (
        one_of("subnoto") as one,
        failing(one, behind(one), fault, deadline=4.0, clock=one.clock) as (server, found),
    ):
        if not await is_refused(one, server, found):
            return
        answer = (await found.get(limit=1000)).json()
        assert rows(answer["data"]) == truth(one)
        [source] = answer["sources"]
        assert ("whether its log ends" in (source["reason"] or "")) == (fault not in NO_SUCH_PAGE)
        calls = server.calls
        assert calls
        await check_answers(one, found, "eq", "estimate", complete=fault in NO_SUCH_PAGE)
        await found.check_healthy("subnoto")
        assert server.calls <= calls + 6 or fault in NO_SUCH_PAGE, "the refusal is remembered"


@pytest.mark.parametrize(("fault", "order"), [(fault, order) for fault in FAULTS for order in ("desc", "asc")])
async def test_the_failure_of_a_page_read_again_fails_no_page(fault: int | str, order: str) -> None:
    async with (
        one_of("subnoto") as one,
        failing(one, again(one), fault, deadline=4.0, clock=one.clock) as (server, found),
    ):
        if fault in PASSING and order == "desc":  # the next page needs none of its own pages twice
            assert (await found.problem(limit=1000))[:2] == PASSING[fault]
            server.fails, server.fault = again(one), None
            found.timer.offset += 300
            answer = (await found.get(limit=1000)).json()
            assert (rows(answer["data"]), answer["sources"][0]["reason"]) == (truth(one), None)
            return
        if not await is_refused(one, server, found, again, order=order):
            return
        answer = await found.get(limit=1000, order=order)
        assert answer.status_code == 200, answer.text
        step = -1 if order == "asc" else 1
        assert rows(answer.json()["data"])[::step] == truth(one)
        assert "records were removed meanwhile" in answer.json()["sources"][0]["reason"]
        await found.check_healthy("subnoto")
        assert server.calls


@pytest.mark.parametrize("fault", [400, 403, 404, 405, 422, 500, 501, "html"])
async def test_refused_event_types_fail_no_page(fault: int | str) -> None:
    async with one_of("subnoto") as one, failing(one, by_type(one), fault, clock=one.clock) as (server, found):
        expected = [row for row in truth(one) if row[1] == "DOCUMENT_SIGNED"]
        for _ in range(2):
            answer = await found.get(provider_type="DOCUMENT_SIGNED", limit=1000)
            assert answer.status_code == 200, answer.text
            assert rows(answer.json()["data"]) == expected
            assert answer.json()["sources"][0]["reason"] is None
        count = (await found.get("/events/count", **WINDOW, provider_type="DOCUMENT_SIGNED")).json()
        assert (count["value"], count["relation"]) == (len(expected), "eq")
        calls = server.calls
        assert calls == (3 if fault in (500, "html") else 1), "event types were sent again after they were refused"
        one.clock.advance(minutes=11)
        answer = await found.get(provider_type="DOCUMENT_SIGNED", limit=1000)
        assert rows(answer.json()["data"]) == expected
        assert server.calls > calls
        await found.check_healthy("subnoto")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "hangs"])
async def test_the_failure_of_pages_in_order_of_time_fails_no_page(fault: int | str) -> None:
    async with one_of("subnoto") as one, failing(one, by_time(one), fault, clock=one.clock) as (server, found):
        if not await is_refused(one, server, found, since="2026-05-20T00:00:00Z", limit=100):
            return
        await check_walk(one, found)
        for window in ({}, {"since": "2026-05-20T00:00:00Z"}, {"until": "2026-05-20T00:00:00Z"}):
            for path in ("/events", "/events/count", "/events/export"):
                answer = await found.get(path, **{"since": "2026-05-10T00:00:00Z", **window})
                assert answer.status_code == 200, answer.text
        await found.check_healthy("subnoto")
        # Not repeated after its failure, but both categories may call concurrently.
        assert 1 <= server.calls <= (6 if fault in (500, 503, "closes", "html") else 2)


# ---- both ------------------------------------------------------------------------------------------------------------


Kind = str | Callable[[World], Fails]  #: a key of KINDS, or a selection of Subnoto's calls


@asynccontextmanager
async def failing_kind(kind: Kind, fault: int, **options: Any) -> AsyncIterator[tuple[World, FailsCalls, Gateway]]:
    """Yield a world of the kind's vendor, its emulator with the kind's calls failing, and a gateway that reads it."""
    made = one_of("subnoto") if callable(kind) else one_of("taktikal", **KINDS[kind][0])
    async with made as one:
        fails = kind(one) if callable(kind) else KINDS[kind][1]
        async with failing(one, fails, fault, clock=one.clock, **options) as (server, found):
            yield one, server, found


@pytest.mark.parametrize("kind", ["total", "calibration", "skip", "all", behind, again, by_type, by_time])
async def test_refused_credentials_fail_the_page(kind: Kind) -> None:
    query: dict[str, Any] = {"limit": 1000}
    if kind is by_type:
        query |= {"provider_type": "DOCUMENT_SIGNED"}
    if kind is by_time:
        query = {"since": "2026-05-20T00:00:00Z"}  # a page that does not end its window
    async with failing_kind(kind, 401) as (_, _, found):
        assert await found.problem(**query) == (502, "source_unauthorized", None)


@pytest.mark.parametrize("kind", ["skip", behind])
async def test_a_proof_that_failed_for_a_page_is_made_by_the_next_request(kind: Kind) -> None:
    async with failing_kind(kind, 503) as (one, server, found):
        for path in ("/events", "/events/count", "/events/export"):
            assert (await found.problem(path, **WINDOW, **({} if "/" in path[1:] else {"limit": 1000})))[0] == 503
        server.fault = None
        page = (await found.get(limit=1000)).json()
        assert (rows(page["data"]), page["sources"][0]["reason"]) == (truth(one), None)
        await check_answers(one, found, "eq")


@pytest.mark.parametrize("kind", ["total", "calibration", "skip", behind, again])
async def test_ten_minutes_after_a_failure_pages_equal_those_of_a_cold_process(kind: Kind) -> None:
    async with (
        failing_kind(kind, 403) as (one, server, warm),
        reading(one, server, clock=one.clock) as cold,
    ):
        first = await warm.get(limit=1000)
        assert first.status_code == 200
        assert one.taktikal or first.json()["sources"][0]["reason"]
        server.fault, calls = None, server.calls
        if one.taktikal:
            await check_walk(one, warm)
            assert server.calls == calls
        one.clock.advance(minutes=11)
        pages = [(await each.get(limit=1000)).json() for each in (warm, cold)]
        assert pages[0]["data"] == pages[1]["data"]
        assert [page["sources"][0]["reason"] for page in pages] == [None, None]
        assert server.calls > calls


#: Accounts whose ends only a proof shows, because totals and lists are limited.
CAPPED: dict[str, dict[str, Any]] = {
    "subnoto": {
        "events": 500, "ties": "shuffled", "twins": 0.1, "beyond_the_end": "refused", "total_cap": 60, "max_limit": 7,
        "skew_seconds": 119,
    },
    "taktikal": {"events": 500, "total_cap": 20, "max_take": 20},
}  # fmt: skip


@pytest.mark.parametrize("direction", ["desc", "asc"])
@pytest.mark.parametrize("vendor", CAPPED)
async def test_no_answer_ends_where_its_proof_met_a_rate_limit(vendor: str, direction: str) -> None:
    """Found here: pages that ended with 70 to 977 of 1,200 events, and only a reason said so."""
    rng = random.Random(direction)
    async with one_of(vendor, **CAPPED[vendor]) as one, gateway(one.env) as found:
        for _ in range(2000):
            emulator(one).faults.hang(0, times=rng.randint(5, 9))
            emulator(one).faults.answer(429, {"Retry-After": "1"})
        events = await found.walk(limit=1000, order=direction)
        assert rows(events)[:: 1 if direction == "desc" else -1] == truth(one)
        export = await found.get("/events/export", **WINDOW, order=direction)
        *exported, last = map(json.loads, export.text.splitlines())
        assert (rows(exported), last["complete"]) == (rows(events), True)
        count = (await found.get("/events/count", **WINDOW, by="type", exact="true")).json()
        assert (count["value"], count["relation"]) == (len(events), "eq")
        newest = events[0 if direction == "desc" else -1]
        assert (await found.get(f"/events/{newest['id']}")).json()["id"] == newest["id"]


async def test_an_event_behind_an_end_that_is_not_proven_is_not_unknown() -> None:
    async with (
        one_of("subnoto", events=500, total_cap=20, max_limit=5) as one,
        failing(one, lambda _, sent: (sent["page"] - 1) * sent["limit"] >= 20, 403) as (_, found),
        gateway(one.env) as other,
    ):
        newest = (await other.get(category="team", limit=1)).json()["data"][0]
        answer = await found.get(f"/events/{newest['id']}")
        assert answer.status_code == 502
        assert "whether its log ends" in answer.json()["detail"]
