"""`GET /events/export` over the emulators: all of it, once, in order; cut anywhere and gone on with."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from string import ascii_letters
from typing import Any

import httpx
import pytest

from app.api import exports
from app.domain.event import Event
from tests.api.conftest import ALL, make_app, opened
from tests.api.gateways import FORMATS, app_over, events_of, id_of, ids_of, whole, window
from tests.api.memory import MemoryRecord, MemorySource, history
from tests.api.server import served
from tests.logged import lines
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, walk

KEY = {"Authorization": f"Bearer {ALL}"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    taktikal = TaktikalOptions(events=1500, twins=0.03, tie_burst=3)
    with served_world(taktikal, SubnotoOptions(events=1500, twins=0.03, tie_burst=5)) as found:
        yield found


async def truth(world: World, **query: Any) -> list[str]:
    """The ids, in order, as pages have them: `tests/paging` holds those against the emulators' own histories."""
    key = repr(sorted(query.items()))
    if key not in TRUTHS:
        feed = world.gateway()
        TRUTHS[key] = (await walk(feed, limits=1000, **query)).ids
        await feed.aclose()
    return TRUTHS[key]


TRUTHS: dict[str, list[str]] = {}  #: of the one world of this module, whose clock stands still


@pytest.mark.parametrize(("order", "forms"), [("asc", FORMATS), ("desc", ["csv"])])
async def test_every_event_once_and_in_order_in_every_format(world: World, order: str, forms: Sequence[str]) -> None:
    query = {**window(world), "order": order}
    async with opened(app_over(world)) as client:
        for form in forms:
            answer = await client.get("/events/export", params={**query, "format": form})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            name = answer.headers["content-disposition"]
            assert name.startswith('attachment; filename="audit-events_20260401T120000Z_2026')
            ids = ids_of(form, events_of(form, answer.content))
            assert ids == await truth(world, **query)
            assert len(ids) == len(set(ids)) == len(world.truth())


async def test_the_last_line_names_what_a_provider_does_not_show() -> None:
    options = SubnotoOptions(events=120, permissions=frozenset({"envelope"}))
    with served_world(TaktikalOptions(events=50), options) as one:
        async with opened(app_over(one)) as client:
            answer = await client.get("/events/export", params={"since": "2020-01-01"})
    *lines, last = answer.content.splitlines()
    assert {(found["source"], found["category"]) for found in map(json.loads, lines)} == {
        ("taktikal", "envelope"),
        ("subnoto", "envelope"),
    }
    assert json.loads(last) == {
        "cursor": None,
        "complete": True,
        "forbidden": {"subnoto": "team: the provider answered 403 (AUTHORIZATION_ERROR)"},
    }


async def test_an_export_cursor_that_is_too_long_for_a_header_is_left_out() -> None:
    types = [("provider_type", "".join(random.Random(number).choices(ascii_letters, k=300))) for number in range(20)]
    async with opened(make_app([MemorySource("north", history("north", 3))])) as client:
        short = await client.get("/events/export")
        answer = await client.get("/events/export", params=types)
    assert len(short.headers["export-cursor"]) < 1000
    assert answer.status_code == 200
    assert "export-cursor" not in answer.headers


@pytest.mark.parametrize("key", [ALL, "reader"])
async def test_ndjson_has_the_events_byte_by_byte_as_pages_have_them(world: World, key: str) -> None:
    async with opened(app_over(world), key) as client:
        answer = await client.get("/events/export", params=window(world, 5))
        page = (await client.get("/events", params={**window(world, 5), "limit": 1000})).content
    assert answer.headers["content-type"] == "application/x-ndjson"
    *lines, last = answer.content.splitlines()
    assert b'"data":[' + b",".join(lines) + b"]" in page
    assert json.loads(last) == {"cursor": None, "complete": True}


@pytest.mark.parametrize(
    ("form", "query"), [("ndjson", {}), ("csv", {"order": "asc", "type": "recipient.*"}), ("ecs", {"order": "asc"})]
)
def test_a_connection_cut_anywhere_is_gone_on_with_behind_the_last_whole_event(
    world: World, form: str, query: dict[str, str]
) -> None:
    rng = random.Random(f"{form}{query}")
    expected = asyncio.run(truth(world, **window(world), **query))
    app = app_over(world)
    kept: list[dict[str, Any]] = []
    cuts = 0
    asked = {**window(world), **query, "format": form}
    with served(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client:
        while True:
            most = rng.choice((0, 1, 900, 40_000, 300_000)) if cuts < 12 else None
            body, ended = b"", False
            with client.stream(
                "GET", "/events/export", params=asked, headers={"Accept-Encoding": "identity"}
            ) as answer:
                assert answer.status_code == 200, answer.read()
                begin = answer.headers["export-cursor"]
                for part in answer.iter_raw(4096):
                    body += part
                    if most is not None and len(body) > most:
                        break
                else:
                    ended = True
            cuts += 1
            header = exports.FORMATS[form].header if "after" in asked else b""
            kept += events_of(form, (header or b"") + whole(form, body[: None if ended else most]))
            if ended:
                break
            if kept:
                # With the filters again, or with the cursor that holds them.
                base = {"cursor": begin} if rng.random() < 0.5 else {**window(world), **query}
                asked = {**base, "format": form, "after": id_of(form, kept[-1])}
    assert cuts > 5
    assert ids_of(form, kept) == expected


async def test_an_export_whose_time_is_up_says_so_and_its_cursor_goes_on(world: World) -> None:
    async with opened(app_over(world, export_deadline=1e-6)) as client:
        got: list[str] = []
        asked: dict[str, str] = window(world)
        for _ in range(10):
            answer = await client.get("/events/export", params=asked)
            got += ids_of("ndjson", events_of("ndjson", answer.content))
            last = json.loads(answer.content.splitlines()[-1])
            if last["complete"]:
                break
            assert last["reason"] == "deadline"
            asked = {"cursor": last["cursor"]}
    assert last == {"cursor": None, "complete": True}
    assert got == await truth(world, **window(world))


async def test_what_after_may_not_be(world: World) -> None:
    team = await truth(world, **window(world), category="team")
    async with opened(app_over(world)) as client:
        for query in (
            {"after": team[0]},  # the default since would have moved
            {"after": "nothing", **window(world)},
            {"after": team[0], **window(world), "category": "envelope"},
        ):
            answer = await client.get("/events/export", params=query)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
            assert answer.json()["errors"][0]["parameter"] == "after"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False), ("br", False)],
)
async def test_gzip_for_who_accepts_it(accepted: str, packed: bool) -> None:
    async with opened(make_app([MemorySource("north", history("north", 2500))])) as client:
        answer = await client.get("/events/export", headers={"Accept-Encoding": accepted})
    assert ("content-encoding" in answer.headers) == packed
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(answer.content.splitlines()) == 2501


@pytest.mark.parametrize("form", FORMATS)
async def test_a_limit_ends_an_export_in_order(form: str) -> None:
    """Found here: all formats but NDJSON were cut off, as if the gateway had failed."""
    async with opened(make_app([MemorySource("north", history("north", 300))])) as client:
        asked = {"format": form, "since": "2026-01-01"}
        wanted = ids_of(form, events_of(form, (await client.get("/events/export", params=asked)).content))
        body, found = b"", list[str]()
        while len(found) < len(wanted):
            more = {"after": found[-1]} if found else {}
            body += (await client.get("/events/export", params={**asked, **more, "limit": 130})).content
            found = ids_of(form, events_of(form, body))
    assert found == wanted


@pytest.mark.parametrize("limit", ["0", "1000001", "1.5", "", "-1"])
async def test_a_limit_that_no_export_has_is_answered_with_the_remedy(world: World, limit: str) -> None:
    async with opened(app_over(world)) as client:
        answer = await client.get("/events/export", params={"limit": limit})
    assert answer.status_code == 422
    expected = {"parameter": "limit", "message": "must be a whole number from 1 to 1000000"}
    assert answer.json()["errors"] == [expected]


async def test_a_pages_cursor_goes_on_as_an_export() -> None:
    async with opened(make_app([MemorySource("north", history("north", 300))])) as client:
        paged = (await client.get("/events?limit=7")).json()["page"]["next_cursor"]
        rest = await client.get("/events/export", params={"cursor": paged})
    assert len(events_of("ndjson", rest.content)) == 293


async def test_the_log_line_counts_what_went_out(log: Any) -> None:
    async with opened(make_app([MemorySource("north", history("north", 2500))])) as client:
        await client.get("/events/export")
    (line,) = lines(log)
    assert (line["route"], line["events"]) == ("/events/export", 2500)
    assert line["sources"]["north"]["records"] >= 2500


async def test_csv_begins_with_a_byte_order_mark_where_it_is_asked_for_and_never_holds_nul() -> None:
    class Odd(MemoryRecord):
        def event(self) -> Event:
            event = super().event()
            event.description = "a\0b"
            return event

    async with opened(make_app([MemorySource("north", [Odd("north", 1)])])) as client:
        for form in FORMATS:
            answer = await client.get("/events/export", params={"format": form, "bom": "true"})
            assert answer.content.startswith(b"\xef\xbb\xbf") is (form == "csv")
            assert b"\0" not in answer.content
            assert b"a\\u0000b" in answer.content
