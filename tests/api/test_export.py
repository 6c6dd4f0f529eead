"""`GET /events/export` over the emulators: all of it, once, in order; cut anywhere and gone on with."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from string import ascii_letters
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app.api import exports
from app.api.api_keys import ApiKey, Keyring, hash_of
from app.api.export_stream import PAGE, Export
from app.api.request_log import RequestLog
from app.domain.caller import Caller
from app.domain.errors import SourceTimeout
from app.domain.event import Event
from app.domain.query import EventQuery, ExportQuery
from app.providers.base import Batch, CallBudget, ReadRequest
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.conftest import ALL, make_app, opened
from tests.api.gateways import FORMATS, app_over, calling, events_of, id_of, ids_of, whole, window
from tests.api.memory import MemoryReader, MemoryRecord, MemorySource, history
from tests.api.server import rest, served, talk
from tests.logged import lines
from tests.waiting import until
from tests.worlds import World, served_world, walk

pytestmark = pytest.mark.anyio

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
    async with calling(app_over(world)) as client:
        for form in forms:
            answer = await client.get("/events/export", params={**query, "format": form})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            name = answer.headers["content-disposition"]
            assert name.startswith('attachment; filename="audit-events_20260401T120000Z_2026')
            ids = ids_of(form, events_of(form, answer.content))
            assert ids == await truth(world, **query)
            assert len(ids) == len(set(ids)) == len(world.truth())


async def test_desc_and_ndjson_are_what_one_gets_without_asking(world: World) -> None:
    async with calling(app_over(world)) as client:
        answer = await client.get("/events/export", params=window(world))
        written = await client.get("/events/export", params={**window(world), "order": "desc", "format": "ndjson"})
    assert answer.content == written.content
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert ids_of("ndjson", events_of("ndjson", answer.content)) == await truth(world, **window(world))


async def test_the_last_line_names_what_a_provider_does_not_show() -> None:
    options = SubnotoOptions(events=120, permissions=frozenset({"envelope"}))
    with served_world(TaktikalOptions(events=50), options) as one:
        async with calling(app_over(one)) as client:
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
    async with calling(app_over(world), key) as client:
        exported = (await client.get("/events/export", params=window(world, 5))).content
        page = (await client.get("/events", params={**window(world, 5), "limit": 1000})).content
    *lines, last = exported.splitlines()
    assert b'"data":[' + b",".join(lines) + b"]" in page
    assert json.loads(last) == {"cursor": None, "complete": True}


# ---- resuming ------------------------------------------------------------------------------------------------------


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
    async with calling(app_over(world, export_deadline=1e-6)) as client:
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
    async with calling(app_over(world)) as client:
        for query in (
            {"after": team[0]},  # the default since would have moved
            {"after": "nothing", **window(world)},
            {"after": team[0], **window(world), "category": "envelope"},
        ):
            answer = await client.get("/events/export", params=query)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
            assert answer.json()["errors"][0]["parameter"] == "after"


# ---- failing -------------------------------------------------------------------------------------------------------


class Breaking(MemorySource):
    """Fails from the given page on, or waits there for ever; `cancelled` once somebody gave up waiting."""

    def __init__(self, name: str, size: int, page: int, hang: bool = False) -> None:
        super().__init__(name, history(name, size))
        self.page, self.hang, self.before_read = page, hang, self.break_down
        self.cancelled = self.failed = False

    async def break_down(self) -> None:
        if self.opened >= self.page and self.hang:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        if self.opened >= self.page:
            self.failed = True
            raise SourceTimeout("no answer")


async def test_a_source_that_fails_midway_costs_nothing_but_a_second_call() -> None:
    source = Breaking("north", 9 * PAGE // 4, page=3)
    async with opened(make_app([source, MemorySource("south", history("south", 100))])) as client:
        first = await client.get("/events/export")
        last = json.loads(first.content.splitlines()[-1])
        assert last == {"cursor": last["cursor"], "complete": False, "reason": "source_timeout"}
        source.page = 10_000
        second = await client.get("/events/export", params={"cursor": last["cursor"]})
    ids = ids_of("ndjson", events_of("ndjson", first.content) + events_of("ndjson", second.content))
    assert len(events_of("ndjson", first.content)) == 2 * PAGE
    assert json.loads(second.content.splitlines()[-1])["complete"]
    assert len(ids) == len(set(ids)) == 9 * PAGE // 4 + 100


@pytest.mark.parametrize("form", ["csv", "ocsf", "cloudevents", "ecs"])
def test_a_format_that_cannot_say_so_is_cut_off(form: str) -> None:
    with served(make_app([Breaking("north", 9 * PAGE // 4, page=3)])) as port, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/events/export", params={"format": form}, headers=KEY, timeout=60)


def test_http_1_0_gets_only_a_format_that_tells_its_end() -> None:
    """The end of the connection is the end of its answers: a cut one would look complete."""
    request = f"GET /events/export?format=csv HTTP/1.0\r\nX-API-Key: {ALL}\r\n\r\n".encode()
    with served(make_app([MemorySource("north", history("north", 9))])) as port:
        assert b" 422 " in rest(talk(port, request))
        assert b'"complete":true' in rest(talk(port, request.replace(b"csv", b"ndjson")))


@pytest.mark.parametrize("form", FORMATS)
async def test_a_failure_before_the_first_byte_is_a_problem(form: str) -> None:
    async with opened(make_app([Breaking("north", 10, page=1)])) as client:
        answer = await client.get("/events/export", params={"format": form})
    assert (answer.status_code, answer.json()["code"]) == (504, "source_timeout")
    assert answer.headers["content-type"] == "application/problem+json"


def key_of(scopes: set[str], *sources: str) -> ApiKey:
    return ApiKey("all", hash_of(ALL), frozenset(scopes), frozenset(sources) or None)


READ, PII, RAW = "events:read", "pii:read", "raw:read"


@pytest.mark.parametrize(
    ("query", "left", "reason"),
    [
        ("", [], "unauthenticated"),
        ("", [key_of({PII, RAW})], "forbidden"),
        ("", [key_of({READ, RAW})], "forbidden"),
        ("?include=raw", [key_of({READ, PII})], "forbidden"),
        ("", [key_of({READ, PII}, "south")], "forbidden"),
        ("", [key_of({READ, PII}, "north")], "forbidden"),
        ("?source=north", [key_of({READ, PII}, "north")], None),
    ],
    ids=["key", "events", "pii", "raw", "source", "other source", "nothing it needs"],
)
async def test_what_is_taken_away_from_a_key_meanwhile_is_shown_on_no_further_page(
    query: str, left: list[ApiKey], reason: str | None
) -> None:
    source = MemorySource("north", history("north", 5 * PAGE // 4))
    source.on_open = lambda: setattr(app.state.authenticator, "keyring", Keyring(left))
    app = make_app([source, MemorySource("south", [])])
    async with opened(app) as client:
        answer = await client.get(f"/events/export{query}")
    last = json.loads(answer.content.splitlines()[-1])
    assert (last["complete"], last.get("reason")) == (reason is None, reason)
    assert len(events_of("ndjson", answer.content)) == (PAGE if reason else 5 * PAGE // 4)


async def test_who_hangs_up_stops_the_calls_to_the_providers() -> None:
    source = Breaking("north", 9 * PAGE // 4, page=2, hang=True)
    with served(make_app([source])) as port:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
            client.stream("GET", "/events/export") as answer,
        ):
            parts = answer.aiter_raw()
            await anext(parts)
            await until(lambda: source.opened == 2)
            assert not source.cancelled
        await until(lambda: source.cancelled)


async def test_a_page_that_fails_while_its_caller_hangs_up_is_no_error_of_ours(log: io.StringIO) -> None:
    source, caller = Breaking("north", 9 * PAGE // 4, page=2), Caller("all", frozenset({READ}))
    app = make_app([source])
    scope = {"type": "http", "app": app, "headers": [(b"x-api-key", ALL.encode())]}
    request = Request({**scope, "state": {"gateway_log": RequestLog("x")}})
    async with opened(app):
        export = Export(request, caller, ExportQuery(), app.state.feed.start(EventQuery(), caller))
        body = export.body(await export.first(), header=b"")
        await anext(body)
        await until(lambda: source.failed)
        await body.aclose()
        gc.collect()
    assert "never retrieved" not in log.getvalue()


# ---- the answer ----------------------------------------------------------------------------------------------------


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


async def test_gzip_is_flushed_with_every_page() -> None:
    """While the second page is still being read, all of the first can be unpacked."""
    source = Breaking("north", 9 * PAGE // 4, page=2, hang=True)
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = b""
    with served(make_app([source])) as port:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
            client.stream("GET", "/events/export") as answer,
        ):
            assert answer.headers["content-encoding"] == "gzip"
            async for part in answer.aiter_raw():
                text += unpacker.decompress(part)
                if text.count(b"\n") == PAGE:
                    break
    assert text.endswith(b"\n")


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


# ---- memory --------------------------------------------------------------------------------------------------------


class Counted:
    """A record that knows how many of its kind there are."""

    alive = most = 0

    def __init__(self, record: Any) -> None:
        self.record, self.key, self.type, self.provider_type = record, record.key, record.type, record.provider_type
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record, name)


class CountedReader(MemoryReader):
    async def read(self, want: int, max_calls: int) -> Batch:
        batch = await super().read(want, max_calls)
        batch.records[:] = [Counted(record) for record in batch.records]
        return batch


class CountedSource(MemorySource):
    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> MemoryReader:
        return CountedReader(self, span, spent)


async def test_no_more_than_two_pages_are_held_however_long_it_is() -> None:
    size = 10 * PAGE
    Counted.alive = Counted.most = 0
    app = make_app([CountedSource("north", history("north", size))])
    with served(app) as port:
        url = f"http://127.0.0.1:{port}/events/export"
        async with httpx.AsyncClient(headers=KEY, timeout=120) as client, client.stream("GET", url) as answer:
            lines = len([line async for line in answer.aiter_lines()])
    assert lines == size + 1
    # The reader of a page is one batch of fifty ahead of it.
    assert Counted.most <= 2 * (PAGE + 50)


@pytest.mark.parametrize("form", FORMATS)
def test_records_that_cannot_be_read_are_reported_in_every_format(form: str) -> None:
    source = MemorySource("north", history("north", 2100))  # pages that contain the same unreadable records
    source.bad_records = 2
    with served(make_app([source])) as port, httpx.Client(headers={"X-API-Key": ALL}) as client:
        url = f"http://127.0.0.1:{port}/events/export?format={form}"
        got = b""
        if form == "ndjson":
            got = client.get(url).content
            last = json.loads(got.splitlines()[-1])
            assert (last["reason"], last["bad_records"]) == ("unreadable_records", {"north": 2})
        else:
            with client.stream("GET", url) as answer, suppress(httpx.RemoteProtocolError):
                for part in answer.iter_bytes():
                    got += part
                raise AssertionError("it ended in order")
        assert len(events_of(form, got)) == 2100
        skipped = client.get(url, params={"unreadable": "skip", "format": form})
        assert len(events_of(form, skipped.content)) == 2100


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
