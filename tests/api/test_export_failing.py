"""`GET /events/export` with failing and hanging sources, unreadable records, disconnects and revoked grants."""

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
from tests.api.gateways import FORMATS, events_of, ids_of, last_line
from tests.api.memory import MemoryReader, MemorySource, history, memory_source
from tests.api.server import read_to_end, send_raw, served, served_client
from tests.waiting import until, wait_until


class Breaking(MemorySource):
    """Fails from page `page` on, or hangs there until it is cancelled."""

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


async def test_an_export_cut_by_a_failing_source_resumes_by_cursor() -> None:
    source = Breaking("north", 9 * PAGE // 4, page=3)
    async with opened(make_app([source, memory_source(100, "south")])) as client:
        first = await client.get("/events/export")
        last = last_line(first)
        assert last == {"cursor": last["cursor"], "complete": False, "reason": "source_timeout"}
        source.page = 10_000
        second = await client.get("/events/export", params={"cursor": last["cursor"]})
    ids = ids_of("ndjson", first.content + second.content)
    assert len(events_of("ndjson", first.content)) == 2 * PAGE
    assert last_line(second)["complete"]
    assert len(ids) == len(set(ids)) == 9 * PAGE // 4 + 100


@pytest.mark.parametrize("form", ["csv", "ocsf", "cloudevents", "ecs"])
def test_a_format_without_a_last_line_is_cut_at_a_failure(form: str) -> None:
    app = make_app([Breaking("north", 9 * PAGE // 4, page=3)])
    with served_client(app) as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/events/export", params={"format": form})


def test_http_1_0_gets_only_a_format_with_a_last_line() -> None:
    """A response ends with its connection: a cut one would look complete."""
    request = f"GET /events/export?format=csv HTTP/1.0\r\nX-API-Key: {ALL}\r\n\r\n".encode()
    with served(make_app([memory_source(9)])) as port:
        assert b" 422 " in read_to_end(send_raw(port, request))
        assert b'"complete":true' in read_to_end(send_raw(port, request.replace(b"csv", b"ndjson")))


@pytest.mark.parametrize("form", FORMATS)
async def test_a_failure_before_the_first_byte_is_a_problem(form: str) -> None:
    async with opened(make_app([Breaking("north", 10, page=1)])) as client:
        response = await client.get("/events/export", params={"format": form})
    assert (response.status_code, response.json()["code"]) == (504, "source_timeout")
    assert response.headers["content-type"] == "application/problem+json"


def key_of(scopes: set[str], *sources: str) -> ApiKey:
    return ApiKey("all", hash_of(ALL), frozenset(scopes), frozenset(sources) or None)


READ, PII, RAW = "events:read", "pii:read", "raw:read"


@pytest.mark.parametrize(
    ("query", "remaining_keys", "reason"),
    [
        ("", [], "unauthenticated"), ("", [key_of({PII, RAW})], "forbidden"), ("", [key_of({READ, RAW})], "forbidden"),
        ("?include=raw", [key_of({READ, PII})], "forbidden"), ("", [key_of({READ, PII}, "south")], "forbidden"),
        ("", [key_of({READ, PII}, "north")], "forbidden"), ("?source=north", [key_of({READ, PII}, "north")], None),
    ],
    ids=["key", "events", "pii", "raw", "source", "other source", "unneeded source"],
)  # fmt: skip
async def test_a_revoked_grant_ends_the_export_before_its_next_page(
    query: str, remaining_keys: list[ApiKey], reason: str | None
) -> None:
    source = memory_source(5 * PAGE // 4)
    source.on_open = lambda: setattr(app.state.authenticator, "keyring", Keyring(remaining_keys))
    app = make_app([source, MemorySource("south", [])])
    async with opened(app) as client:
        response = await client.get(f"/events/export{query}")
    last = last_line(response)
    assert (last["complete"], last.get("reason")) == (reason is None, reason)
    assert len(events_of("ndjson", response.content)) == (PAGE if reason else 5 * PAGE // 4)


def test_a_disconnect_cancels_the_calls_of_an_export() -> None:
    source = Breaking("north", 9 * PAGE // 4, page=2, hang=True)
    with served_client(make_app([source])) as client:
        with client.stream("GET", "/events/export") as response:
            body = response.iter_raw()  # without a reference, its end would close the connection
            next(body)
            wait_until(lambda: source.opened == 2)
            assert not source.cancelled
        wait_until(lambda: source.cancelled)


async def test_a_page_that_fails_after_a_disconnect_logs_no_error(log: io.StringIO) -> None:
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


def test_gzip_is_flushed_with_every_page() -> None:
    """The first page can be decompressed while the second is read."""
    source = Breaking("north", 9 * PAGE // 4, page=2, hang=True)
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = b""
    with served_client(make_app([source])) as client, client.stream("GET", "/events/export") as response:
        assert response.headers["content-encoding"] == "gzip"
        for part in response.iter_raw():
            text += decompressor.decompress(part)
            if text.count(b"\n") == PAGE:
                break
    assert text.endswith(b"\n")


class Counted:
    """A record that counts its instances."""

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


def test_an_export_holds_at_most_two_pages() -> None:
    size = 5 * PAGE
    Counted.alive = Counted.most = 0
    app = make_app([CountedSource("north", history("north", size))])
    with served_client(app) as client, client.stream("GET", "/events/export") as response:
        lines = sum(1 for _ in response.iter_lines())
    assert lines == size + 1
    # A reader is one batch of 50 records ahead of its page.
    assert Counted.most <= 2 * (PAGE + 50)


async def test_a_reason_why_events_may_be_missing_is_in_the_last_line_and_the_manifest(tmp_path: Path) -> None:
    source, key_file = memory_source(2100), tmp_path / "signing.pem"
    source.reason = "may be left out"
    create_key_file(key_file)
    app = make_app([source, memory_source(3, "south")], signing_key_file=key_file)
    async with opened(app) as client:
        last = json.loads((await client.get("/events/export")).content.splitlines()[-1])
    manifest = json.loads(base64.urlsafe_b64decode(last["manifest"].split(".")[1] + "=="))
    note = "envelope: may be left out"
    assert (last["complete"], last["notes"]) == (True, {"north": note})
    assert [one.get("reason") for one in manifest["sources"]] == [note, None]


UNPROVEN = {"reason": "totals differ", "unproven": True}
NOTES = {"notes": {"north": "envelope: totals differ"}}


@pytest.mark.parametrize(
    ("size", "flaws", "reason", "last"),
    [
        # Two pages, which contain the same unreadable records.
        (2100, {"bad_records": 2}, "unreadable_records", {"bad_records": {"north": 2}}),
        (0, UNPROVEN, "unproven", NOTES),
        (9, UNPROVEN, "unproven", NOTES),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_may_lack_events_is_not_complete_in_any_format(
    form: str, size: int, flaws: dict[str, Any], reason: str, last: dict[str, Any]
) -> None:
    source = memory_source(size)
    for name, value in flaws.items():
        setattr(source, name, value)
    with served_client(make_app([source])) as client:
        response = client.get("/events/export", params={"format": form})
        if form == "ndjson":
            assert last_line(response) == {"cursor": None, "complete": False, "reason": reason, **last}
            assert len(events_of(form, response.content)) == size
        else:
            assert (response.status_code, response.json()["code"]) == (502, "source_failed")
            assert response.json()["request_id"] == response.headers["x-request-id"]
            assert f"the export ended early: {reason}; unreadable=skip" in response.json()["detail"]
        skipped = client.get("/events/export", params={"unreadable": "skip", "format": form})
        assert len(events_of(form, skipped.content)) == size


FLAWS = {"unproven": ("unproven", True), "unreadable_records": ("bad_records", 3)}


@pytest.mark.parametrize("reason", FLAWS)
async def test_a_later_segment_is_not_complete_if_an_earlier_one_was_not(reason: str) -> None:
    source = memory_source(30)
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
    """Otherwise the resumed part, which ends normally, would look like the end of a complete export."""
    monkeypatch.setattr(export, "PAGE", 40)
    source = memory_source(100)
    source.on_open = lambda: setattr(source, *FLAWS[reason]) if source.opened >= 2 else None
    with served_client(make_app([source])) as client:
        url, parts = "/events/export", list[bytes]()
        with client.stream("GET", url, params={"format": form}) as response, pytest.raises(httpx.RemoteProtocolError):
            parts.extend(response.iter_bytes())
        ids, cursor = ids_of(form, b"".join(parts)), response.headers["export-cursor"]
        assert 40 <= len(ids) <= 50
        rest = {"format": form, "cursor": cursor, "after": ids[-1]}
        assert client.get(url, params=rest).status_code == 502
        skipped = client.get(url, params={**rest, "unreadable": "skip"}).content
    ids += ids_of(form, (HEADER if form == "csv" else b"") + skipped)
    assert len(ids) == len(set(ids)) == 100


async def test_the_last_line_names_the_event_that_the_export_continues_after() -> None:
    async with opened(make_app([memory_source(9)])) as client:
        complete = (await client.get("/events/export")).content.splitlines()
        params = {"after": json.loads(complete[3])["id"], "since": "2000-01-01"}
        rest = (await client.get("/events/export", params=params)).content.splitlines()
    assert rest[:-1] == complete[4:-1]
    assert json.loads(complete[-1]) == {"cursor": None, "complete": True}
    assert json.loads(rest[-1]) == {"cursor": None, "complete": True, "after": params["after"]}
