"""`GET /events/export` over sources that fail, hang or hold unreadable records; callers who leave; keys that change."""

import asyncio
import base64
import gc
import io
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app.api.api_keys import ApiKey, Keyring, hash_of
from app.api.exports.csv import HEADER
from app.api.request_log import RequestLog
from app.api.routes import export
from app.api.routes.export import PAGE, Export
from app.domain.caller import Caller
from app.domain.errors import SourceTimeout
from app.domain.query import EventQuery, ExportQuery
from app.evidence import create_key_file
from app.providers.base import Batch, CallBudget, ReadRequest
from tests.api.conftest import ALL, make_app, opened
from tests.api.gateways import FORMATS, events_of, ids_of
from tests.api.memory import MemoryReader, MemorySource, history
from tests.api.server import rest, served, talk
from tests.waiting import until

KEY = {"Authorization": f"Bearer {ALL}"}


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


def test_http_1_0_gets_only_a_format_with_a_last_line() -> None:
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
        ("", [], "unauthenticated"), ("", [key_of({PII, RAW})], "forbidden"), ("", [key_of({READ, RAW})], "forbidden"),
        ("?include=raw", [key_of({READ, PII})], "forbidden"), ("", [key_of({READ, PII}, "south")], "forbidden"),
        ("", [key_of({READ, PII}, "north")], "forbidden"), ("?source=north", [key_of({READ, PII}, "north")], None),
    ],
    ids=["key", "events", "pii", "raw", "source", "other source", "nothing it needs"],
)  # fmt: skip
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
    size = 5 * PAGE
    Counted.alive = Counted.most = 0
    app = make_app([CountedSource("north", history("north", size))])
    with served(app) as port:
        url = f"http://127.0.0.1:{port}/events/export"
        async with httpx.AsyncClient(headers=KEY, timeout=120) as client, client.stream("GET", url) as answer:
            lines = len([line async for line in answer.aiter_lines()])
    assert lines == size + 1
    # The reader of a page is one batch of fifty ahead of it.
    assert Counted.most <= 2 * (PAGE + 50)


async def test_a_reason_why_events_may_be_missing_is_in_the_last_line_and_the_manifest(tmp_path: Path) -> None:
    source, key_file = MemorySource("north", history("north", 2100)), tmp_path / "signing.pem"
    source.reason = "may be left out"
    create_key_file(key_file)
    app = make_app([source, MemorySource("south", history("south", 3))], signing_key_file=key_file)
    async with opened(app) as client:
        last = json.loads((await client.get("/events/export")).content.splitlines()[-1])
    manifest = json.loads(base64.urlsafe_b64decode(last["manifest"].split(".")[1] + "=="))
    note = "envelope: may be left out"
    assert (last["complete"], last["notes"]) == (True, {"north": note})
    assert [one.get("reason") for one in manifest["sources"]] == [note, None]


@pytest.mark.parametrize("form", FORMATS)
def test_records_that_cannot_be_read_are_reported_in_every_format(form: str) -> None:
    source = MemorySource("north", history("north", 2100))  # pages that contain the same unreadable records
    source.bad_records = 2
    with served(make_app([source])) as port, httpx.Client(headers={"X-API-Key": ALL}) as client:
        url = f"http://127.0.0.1:{port}/events/export?format={form}"
        answer = client.get(url)
        if form == "ndjson":
            last = json.loads(answer.content.splitlines()[-1])
            assert (last["reason"], last["bad_records"]) == ("unreadable_records", {"north": 2})
            assert len(events_of(form, answer.content)) == 2100
        else:
            assert (answer.status_code, answer.json()["code"]) == (502, "source_failed")
            assert "the export ended early: unreadable_records; unreadable=skip" in answer.json()["detail"]
        skipped = client.get(url, params={"unreadable": "skip", "format": form})
        assert len(events_of(form, skipped.content)) == 2100


@pytest.mark.parametrize("number", [0, 9])
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_whose_provider_contradicts_itself_is_not_complete_in_any_format(form: str, number: int) -> None:
    source = MemorySource("north", history("north", number))
    source.reason, source.unproven = "totals differ", True
    with served(make_app([source])) as port, httpx.Client(headers={"X-API-Key": ALL}) as client:
        url = f"http://127.0.0.1:{port}/events/export?format={form}"
        if form == "ndjson":
            last = json.loads(client.get(url).content.splitlines()[-1])
            notes = {"north": "envelope: totals differ"}
            assert last == {"cursor": None, "complete": False, "reason": "unproven", "notes": notes}
        else:
            answer = client.get(url)
            assert (answer.status_code, answer.json()["code"]) == (502, "source_failed")
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert "the export ended early: unproven" in answer.json()["detail"]
        assert len(events_of(form, client.get(url, params={"unreadable": "skip", "format": form}).content)) == number


FLAWS = {"unproven": ("unproven", True), "unreadable_records": ("bad_records", 3)}


@pytest.mark.parametrize("reason", FLAWS)
async def test_a_later_segment_is_not_complete_if_an_earlier_one_was_not(reason: str) -> None:
    source = MemorySource("north", history("north", 30))
    name, value = FLAWS[reason]
    params: dict[str, Any] = {"limit": 10}
    async with opened(make_app([source])) as client:
        setattr(source, name, value)
        last = json.loads((await client.get("/events/export", params=params)).content.splitlines()[-1])
        assert (last["complete"], last["reason"]) == (False, "limit")
        setattr(source, name, type(value)())
        for end in ("limit", reason):
            params = {"cursor": last["cursor"], "limit": 10}
            last = json.loads((await client.get("/events/export", params=params)).content.splitlines()[-1])
            assert (last["complete"], last["reason"]) == (False, end)
            refused = await client.get("/events/export", params={**params, "format": "csv"})
            assert f"the export ended early: {reason}" in refused.json()["detail"]
    assert last["cursor"] is None


@pytest.mark.parametrize("form", ["csv", "ocsf", "cloudevents", "ecs"])
@pytest.mark.parametrize("reason", FLAWS)
def test_formats_without_a_last_line_are_cut_before_a_page_that_may_lack_events(
    form: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the rest of a cut export, which ends normally, is the rest of a whole one."""
    monkeypatch.setattr(export, "PAGE", 40)
    source = MemorySource("north", history("north", 100))
    source.on_open = lambda: setattr(source, *FLAWS[reason]) if source.opened >= 2 else None
    with served(make_app([source])) as port, httpx.Client(headers={"X-API-Key": ALL}) as client:
        url, parts = f"http://127.0.0.1:{port}/events/export", list[bytes]()
        with client.stream("GET", url, params={"format": form}) as answer, pytest.raises(httpx.RemoteProtocolError):
            parts.extend(answer.iter_bytes())
        ids, cursor = ids_of(form, events_of(form, b"".join(parts))), answer.headers["export-cursor"]
        assert 40 <= len(ids) <= 50
        rest = {"format": form, "cursor": cursor, "after": ids[-1]}
        assert client.get(url, params=rest).status_code == 502
        skipped = client.get(url, params={**rest, "unreadable": "skip"}).content
    ids += ids_of(form, events_of(form, (HEADER if form == "csv" else b"") + skipped))
    assert len(ids) == len(set(ids)) == 100


async def test_the_last_line_names_the_event_that_the_export_continues_after() -> None:
    async with opened(make_app([MemorySource("north", history("north", 9))])) as client:
        whole = (await client.get("/events/export")).content.splitlines()
        params = {"after": json.loads(whole[3])["id"], "since": "2000-01-01"}
        rest = (await client.get("/events/export", params=params)).content.splitlines()
    assert rest[:-1] == whole[4:-1]
    assert json.loads(whole[-1]) == {"cursor": None, "complete": True}
    assert json.loads(rest[-1]) == {"cursor": None, "complete": True, "after": params["after"]}
