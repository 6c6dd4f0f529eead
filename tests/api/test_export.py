"""`GET /events/export` over the emulators: every event once and in order, also after a cut."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.api import exports
from app.domain.event import Event
from tests.api.conftest import ALL, LONG_FILTERS, make_app, opened
from tests.api.gateways import FORMATS, app_over, complete_part, events_of, ids_of, last_line
from tests.api.memory import MemoryRecord, MemorySource, memory_source
from tests.api.server import served_client
from tests.logged import lines
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, walk, window


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    taktikal = TaktikalOptions(events=1500, twins=0.03, tie_burst=3)
    with served_world(taktikal, SubnotoOptions(events=1500, twins=0.03, tie_burst=5)) as found:
        yield found


async def ids_of_pages(world: World, **query: Any) -> list[str]:
    """Return the ids of all pages, in order. `tests/paging` compares pages with the emulators' histories."""
    key = repr(sorted(query.items()))
    if key not in IDS:
        feed = world.gateway()
        IDS[key] = (await walk(feed, limits=1000, **query)).ids
        await feed.aclose()
    return IDS[key]


IDS: dict[str, list[str]] = {}  #: by query of the one world of this module, whose time is fixed


@pytest.mark.parametrize(("order", "forms"), [("asc", FORMATS), ("desc", ["csv"])])
async def test_every_event_once_and_in_order_in_every_format(world: World, order: str, forms: Sequence[str]) -> None:
    query = {**window(world, 61), "order": order}
    async with opened(app_over(world)) as client:
        for form in forms:
            response = await client.get("/events/export", params={**query, "format": form})
            assert response.status_code == 200
            assert response.headers["cache-control"] == "no-store"
            name = response.headers["content-disposition"]
            assert name.startswith('attachment; filename="audit-events_20260401T120000Z_2026')
            ids = ids_of(form, response.content)
            assert ids == await ids_of_pages(world, **query)
            assert len(ids) == len(set(ids)) == len(world.truth())


async def test_the_last_line_names_forbidden_categories() -> None:
    options = SubnotoOptions(events=120, permissions=frozenset({"envelope"}))
    with served_world(TaktikalOptions(events=50), options) as one:
        async with opened(app_over(one)) as client:
            response = await client.get("/events/export", params={"since": "2020-01-01"})
    *lines, _ = response.content.splitlines()
    assert {(found["source"], found["category"]) for found in map(json.loads, lines)} == {
        ("taktikal", "envelope"),
        ("subnoto", "envelope"),
    }
    assert last_line(response) == {
        "cursor": None,
        "complete": True,
        "forbidden": {"subnoto": "team: the provider answered 403 (AUTHORIZATION_ERROR)"},
    }


async def test_an_export_cursor_too_long_for_a_header_is_omitted() -> None:
    async with opened(make_app([memory_source(3)])) as client:
        short = await client.get("/events/export")
        response = await client.get("/events/export", params=LONG_FILTERS)
    assert len(short.headers["export-cursor"]) < 1000
    assert response.status_code == 200
    assert "export-cursor" not in response.headers


@pytest.mark.parametrize("key", [ALL, "reader"])
async def test_ndjson_lines_have_the_same_bytes_as_in_pages(world: World, key: str) -> None:
    async with opened(app_over(world), key) as client:
        response = await client.get("/events/export", params=window(world, 5))
        page = (await client.get("/events", params={**window(world, 5), "limit": 1000})).content
    assert response.headers["content-type"] == "application/x-ndjson"
    *lines, last = response.content.splitlines()
    assert b'"data":[' + b",".join(lines) + b"]" in page
    assert json.loads(last) == {"cursor": None, "complete": True}


@pytest.mark.parametrize(
    ("form", "query"), [("ndjson", {}), ("csv", {"order": "asc", "type": "recipient.*"}), ("ecs", {"order": "asc"})]
)
def test_a_cut_export_resumes_after_its_last_complete_event(world: World, form: str, query: dict[str, str]) -> None:
    rng = random.Random(f"{form}{query}")
    expected = asyncio.run(ids_of_pages(world, **window(world, 61), **query))
    ids: list[str] = []
    cuts = 0
    params = {**window(world, 61), **query, "format": form}
    with served_client(app_over(world)) as client:
        while True:
            most = rng.choice((0, 1, 900, 40_000, 300_000)) if cuts < 12 else None
            body, ended = b"", False
            with client.stream(
                "GET", "/events/export", params=params, headers={"Accept-Encoding": "identity"}
            ) as response:
                assert response.status_code == 200, response.read()
                cursor = response.headers["export-cursor"]
                for part in response.iter_raw(4096):
                    body += part
                    if most is not None and len(body) > most:
                        break
                else:
                    ended = True
            cuts += 1
            header = exports.FORMATS[form].header if "after" in params else b""
            ids += ids_of(form, (header or b"") + complete_part(form, body[: None if ended else most]))
            if ended:
                break
            if ids:
                # The filters, or the cursor that contains them.
                base = {"cursor": cursor} if rng.random() < 0.5 else {**window(world, 61), **query}
                params = {**base, "format": form, "after": ids[-1]}
    assert cuts > 5
    assert ids == expected


async def test_an_export_that_reaches_its_deadline_ends_with_a_cursor(world: World) -> None:
    async with opened(app_over(world, export_deadline=1e-6)) as client:
        ids: list[str] = []
        params: dict[str, str] = window(world, 61)
        for _ in range(10):
            response = await client.get("/events/export", params=params)
            ids += ids_of("ndjson", response.content)
            last = last_line(response)
            if last["complete"]:
                break
            assert last["reason"] == "deadline"
            params = {"cursor": last["cursor"]}
    assert last == {"cursor": None, "complete": True}
    assert ids == await ids_of_pages(world, **window(world, 61))


async def test_an_event_outside_the_query_is_refused_as_after(world: World) -> None:
    team = await ids_of_pages(world, **window(world, 61), category="team")
    async with opened(app_over(world)) as client:
        for query in (
            {"after": team[0]},  # the default `since` moves
            {"after": "nothing", **window(world, 61)},
            {"after": team[0], **window(world, 61), "category": "envelope"},
        ):
            response = await client.get("/events/export", params=query)
            assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
            assert response.json()["errors"][0]["parameter"] == "after"


@pytest.mark.parametrize(
    ("accept_encoding", "is_compressed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False), ("br", False)],
)
async def test_an_export_is_compressed_if_accept_encoding_allows_it(accept_encoding: str, is_compressed: bool) -> None:
    async with opened(make_app([memory_source(2500)])) as client:
        response = await client.get("/events/export", headers={"Accept-Encoding": accept_encoding})
    assert ("content-encoding" in response.headers) == is_compressed
    assert response.headers["vary"] == "Accept-Encoding"
    assert len(response.content.splitlines()) == 2501


@pytest.mark.parametrize("form", FORMATS)
async def test_a_limited_export_continues_by_after(form: str) -> None:
    """Once all formats but NDJSON were cut off, as after a failure."""
    async with opened(make_app([memory_source(300)])) as client:
        params = {"format": form, "since": "2026-01-01"}
        expected = ids_of(form, (await client.get("/events/export", params=params)).content)
        body, ids = b"", list[str]()
        while len(ids) < len(expected):
            after = {"after": ids[-1]} if ids else {}
            body += (await client.get("/events/export", params={**params, **after, "limit": 130})).content
            ids = ids_of(form, body)
    assert ids == expected


@pytest.mark.parametrize("limit", ["0", "1000001", "1.5", "", "-1"])
async def test_an_invalid_limit_is_refused_with_its_range(world: World, limit: str) -> None:
    async with opened(app_over(world)) as client:
        response = await client.get("/events/export", params={"limit": limit})
    assert response.status_code == 422
    expected = {"parameter": "limit", "message": "must be a whole number from 1 to 1000000"}
    assert response.json()["errors"] == [expected]


async def test_an_export_continues_from_the_cursor_of_a_page() -> None:
    async with opened(make_app([memory_source(300)])) as client:
        cursor = (await client.get("/events?limit=7")).json()["page"]["next_cursor"]
        export = await client.get("/events/export", params={"cursor": cursor})
    assert len(events_of("ndjson", export.content)) == 293


async def test_the_request_line_counts_exported_events(log: Any) -> None:
    async with opened(make_app([memory_source(2500)])) as client:
        await client.get("/events/export")
    (line,) = lines(log)
    assert (line["route"], line["events"]) == ("/events/export", 2500)
    assert line["sources"]["north"]["records"] >= 2500


async def test_only_csv_has_an_optional_byte_order_mark_and_no_format_a_nul() -> None:
    class Odd(MemoryRecord):
        def event(self) -> Event:
            event = super().event()
            event.description = "a\0b"
            return event

    async with opened(make_app([MemorySource("north", [Odd("north", 1)])])) as client:
        for form in FORMATS:
            response = await client.get("/events/export", params={"format": form, "bom": "true"})
            assert response.content.startswith(b"\xef\xbb\xbf") is (form == "csv")
            assert b"\0" not in response.content
            assert b"a\\u0000b" in response.content
