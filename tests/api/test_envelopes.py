"""`GET /envelopes/{envelope_id}`: the events and the story of one envelope, masked for its caller; and its report, its
signature and its printed pages."""

import hashlib
import io
import json
import random
import re
import shutil
import subprocess
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import KeySet

from app.api.schemas import EnvelopeStory
from app.domain.errors import SourceUnavailable
from app.domain.event import Actor, Delivery, Envelope, Event, Recipient
from app.evidence import create_key_file
from app.feed import envelopes
from app.feed.envelopes import EnvelopeDurations, RecipientDurations, build_story
from tests.api.conftest import bearer, make_app, opened
from tests.api.gateways import app_over
from tests.api.memory import NATIONAL_ID, PHONE, MemoryRecord, MemorySource, memory_source
from tests.api.shapes import assert_shape
from tests.browser import chromium, needs_chromium
from tests.logged import lines
from tests.worlds import SubnotoOptions, TaktikalOptions, window, world


async def test_an_envelope_has_the_events_of_the_feed() -> None:
    async with (
        world(taktikal=TaktikalOptions(events=300), subnoto=SubnotoOptions(events=300)) as one,
        opened(app_over(one)) as client,
    ):
        feed = (await client.get("/events", params={"limit": "1000", "order": "asc", **window(one, 400)})).json()
        by_envelope: dict[str, list[Any]] = defaultdict(list)
        for event in feed["data"]:
            if event["envelope"]:
                by_envelope[event["envelope"]["id"]].append(event)
        seen = set()
        for envelope_id, events in sorted(by_envelope.items(), key=lambda pair: -len(pair[1]))[:40:4]:
            response = await client.get(f"/envelopes/{envelope_id}")
            body = response.json()
            assert_shape(body, EnvelopeStory)
            assert response.headers["cache-control"] == "no-store"
            assert body["events"] == events
            assert (body["source"], body["envelope"]["id"]) == (events[0]["source"], envelope_id)
            assert not body["has_more"]
            assert body["complete_through"]
            named = {e["recipient"]["id"] or e["recipient"]["email"] for e in events if e["recipient"]}
            assert named <= {found for one in body["recipients"] for found in (one["id"], one["email"])}
            signed = [e["occurred_at"] for e in events if e["type"] == "recipient.signed"]
            assert sorted(one["signed_at"] for one in body["recipients"] if one["signed_at"]) == signed
            seen.add((body["provider"], body["status"]))
        assert len({provider for provider, _ in seen}) == 2
        assert "completed" in {status for _, status in seen}


async def test_an_envelope_is_masked_like_a_page(application: FastAPI, log: io.StringIO) -> None:
    async with opened(application, "reader") as client:
        masked = await client.get("/envelopes/e3?source=north")
        page = await client.get("/events?envelope_id=e3&source=north&order=asc")
    assert masked.json()["events"] == page.json()["data"]
    assert PHONE not in masked.text
    assert NATIONAL_ID not in masked.text
    (recipient,) = masked.json()["recipients"]
    assert (recipient["email"], recipient["phone"], recipient["national_id"]) == ("jonas@example.com", "***", "***")
    assert lines(log)[0]["sources"]["north"]["records"] == 3
    access = lines(log, "access")[0]
    assert (access["route"], access["events"], access["sources"]) == ("/envelopes/{envelope_id}", 3, ["north"])
    assert access["envelope_id"] != "e3"


async def test_ambiguous_or_unknown_ids_are_refused(client: httpx.AsyncClient, sources: list[MemorySource]) -> None:
    calls = {
        "/envelopes/e3": (422, "source: must be named: north and south have an envelope with this id"),
        "/envelopes/e9": (200, None),  # of north alone
        "/envelopes/none": (404, "no source has an envelope with this id"),
        "/envelopes/e9?source=south": (404, "no source has an envelope with this id"),
        "/envelopes/e3?source=west": (422, "source: no source has the name 'west'; there are north, south"),
        "/envelopes/a,b": (422, None),
        "/envelopes/%7Be3%7D": (422, None),
        "/envelopes/e3?sources=north": (422, None),
        "/envelopes/e3?source=north&source=south": (422, "source: may be given only once"),
    }
    for path, (status, detail) in calls.items():
        for suffix in ("", "/report"):
            route, _, query = path.partition("?")
            response = await client.get(f"{route}{suffix}?{query}")
            assert response.status_code == status, path
            assert detail is None or response.json()["detail"] == detail, path
    limited = bearer("limited")
    assert (await client.get("/envelopes/e3", headers=limited)).json()["source"] == "north"
    assert (await client.get("/envelopes/e3?source=south", headers=limited)).status_code == 403
    assert (await client.get("/envelopes/e3", headers=bearer("nothing"))).status_code == 403
    sources[1].error = SourceUnavailable("is away")
    assert (await client.get("/envelopes/e9")).status_code == 503
    assert (await client.get("/envelopes/e9?source=north")).status_code == 200


async def test_an_envelope_of_unreadable_records_is_a_failure_not_unknown(
    client: httpx.AsyncClient, sources: list[MemorySource]
) -> None:
    sources[0].records, sources[0].bad_records = [], 1
    for path in ("/envelopes/e7?source=north", "/envelopes/e7/report?source=north"):
        response = await client.get(path)
        assert (response.status_code, response.json()["code"]) == (502, "source_failed")
        assert response.json()["detail"] == "north: none of the envelope's records can be read"


async def test_a_long_envelope_is_read_in_pages_up_to_a_limit(
    client: httpx.AsyncClient, sources: list[MemorySource], monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(number: int) -> MemoryRecord:
        found = MemoryRecord("north", number)
        found.number = 21  # e7
        return found

    sources[0].records = [record(number) for number in range(2500)]
    sources[0].bad_records = 2
    sources[0].on_open = lambda: setattr(sources[0], "unproven", sources[0].opened == 1)
    body = (await client.get("/envelopes/e7")).json()
    assert (len(body["events"]), body["has_more"]) == (2500, False)
    assert body["sources"][0]["reason"] == "2 records that cannot be read are left out"
    assert body["sources"][0]["unproven"], "its first page was unproven"
    monkeypatch.setattr(envelopes, "MOST_PAGES", 2)
    body = (await client.get("/envelopes/e7")).json()
    assert (len(body["events"]), body["has_more"]) == (2000, True)
    assert body["complete_through"] == "2026-05-02T09:19:00Z"


ANNA, BO = Recipient("a", "Anna", "anna@example.com"), Recipient("b", "Bo", "bo@example.com")


def event(minute: int, type_: str, recipient: Recipient | None = None, **parts: Any) -> Event:
    data, actor = parts.pop("data", {}), parts.pop("actor", Actor("system"))
    return Event(
        f"id{minute}", "north", "acme", type_, "envelope", "success", type_, None, at(minute), None, actor,
        Envelope("e1", **parts.pop("envelope", {})), recipient, parts.pop("delivery", None), None, None, data,
    )  # fmt: skip


def at(minute: int) -> str:
    return f"2026-05-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00.000000Z"


def test_a_story_has_the_first_time_of_each_step_per_recipient() -> None:
    invitation = Delivery("sms", "delivered", None)
    story = build_story(
        [
            event(0, "envelope.created", envelope={"name": "old.pdf", "owner": "o@example.com"}),
            event(1, "recipient.added", ANNA),
            event(1, "recipient.added", BO),
            event(2, "recipient.invited", ANNA),
            event(3, "recipient.invited", BO),
            event(4, "notification.delivered", ANNA, delivery=invitation),
            event(5, "notification.failed", BO, delivery=Delivery("email", "failed", None)),
            event(6, "notification.opened", ANNA, delivery=invitation),
            event(7, "envelope.viewed", ANNA),
            event(8, "envelope.viewed", ANNA),
            event(9, "recipient.reminded", BO, delivery=Delivery("sms", "sent", "reminder")),
            event(10, "recipient.identity_verified", None, actor=Actor("recipient", "a", "Anna", "anna@example.com")),
            event(11, "recipient.signed", ANNA),
            event(12, "notification.delivered", ANNA, delivery=Delivery("email", "delivered", "confirmation")),
            event(13, "notification.delivered", BO, delivery=Delivery("email", "delivered", "sender_notice")),
            event(62, "recipient.signed", BO),
            event(62, "envelope.completed", BO),
            event(70, "notification.opened", BO, envelope={"name": "new.pdf"}, delivery=invitation),
        ]
    )
    assert story.envelope == Envelope("e1", "new.pdf", None, "o@example.com")
    assert story.status == "completed"
    assert story.durations == EnvelopeDurations(3720.0, 660.0, 3720.0)
    anna, bo = story.recipients
    assert [anna.invited_at, anna.delivered_at, anna.opened_at, anna.viewed_at, anna.verified_at, anna.signed_at] == [
        at(minute) for minute in (2, 4, 6, 7, 10, 11)
    ]
    assert anna.durations == RecipientDurations(300.0, 540.0, 240.0)
    assert (anna.state, anna.failures, anna.reminders) == ("signed", [], [])
    assert (bo.delivered_at, bo.opened_at, bo.viewed_at, bo.signed_at) == (None, None, None, at(62))
    assert [(one.event_id, one.occurred_at, one.channel) for one in bo.failures] == [("id5", at(5), "email")]
    assert [(one.event_id, one.channel) for one in bo.reminders] == [("id9", "sms")]
    assert bo.durations.invited_to_viewed is None


@pytest.mark.parametrize(
    ("types", "status", "state"),
    [
        (["recipient.added"], "in_progress", "added"),
        (["recipient.added", "recipient.invited"], "in_progress", "invited"),
        (["recipient.added", "recipient.invited", "notification.failed"], "in_progress", "not_reached"),
        (["recipient.invited", "notification.failed", "envelope.viewed"], "in_progress", "viewed"),
        (["recipient.invited", "envelope.viewed", "envelope.declined"], "declined", "declined"),
        (["recipient.invited", "recipient.signed", "envelope.expired"], "expired", "signed"),
        (["recipient.invited", "envelope.canceled"], "canceled", "invited"),
        (["something.new"], "in_progress", "added"),
    ],
)
def test_the_last_event_decides_the_status_and_the_state(types: list[str], status: str, state: str) -> None:
    story = build_story([event(minute, type_, ANNA) for minute, type_ in enumerate(types)])
    assert (story.status, [one.state for one in story.recipients]) == (status, [state])


def test_recipients_are_identified_by_id_or_else_by_address() -> None:
    """Two ids with one address are two people; masked and missing addresses identify nobody."""
    twin = Recipient("a2", "Anna's twin", "ANNA@example.com")
    story = build_story([event(0, "recipient.added", ANNA), event(1, "recipient.signed", twin)])
    assert [(one.id, one.state) for one in story.recipients] == [("a", "added"), ("a2", "signed")]

    listed = {"recipients": [{"email": "anna@example.com", "role": "signer"}, {"name": "Bo"}, "odd", {"role": "x"}, {}]}
    sent = event(0, "envelope.sent", data=listed)
    signed = event(1, "recipient.signed", Recipient(None, "Anna", "Anna@Example.com", signature_type="simple"))
    story = build_story([sent, signed, event(2, "envelope.viewed", Recipient(None, "Bo"))])
    anna, bo = story.recipients
    assert (anna.name, anna.invited_at, anna.signed_at, anna.signature_type) == ("Anna", at(0), at(1), "simple")
    assert (bo.invited_at, bo.viewed_at, bo.signed_at) == (at(0), at(2), None)
    assert not build_story([event(0, "envelope.sent", data={"recipients": "all"})]).recipients

    masked = [event(0, "recipient.added", Recipient("a", "***", "***")), event(1, "x", Recipient("b", "***", "***"))]
    assert [one.id for one in build_story(masked).recipients] == ["a", "b"]
    masked = [event(0, "recipient.added", Recipient(None, "***")), event(1, "x", Recipient(None, "***"))]
    assert len(build_story(masked).recipients) == 2


def test_the_story_of_random_events_equals_a_plain_count() -> None:
    """First times, counts and totals."""
    rng = random.Random(5)
    types = ("recipient.invited", "envelope.viewed", "recipient.signed", "recipient.reminded", "notification.failed")
    for _ in range(200):
        events = [event(m, rng.choice(types), rng.choice((ANNA, BO, None))) for m in range(rng.randint(1, 20))]
        before = msgspec.json.encode(events)
        story = build_story(events)
        assert msgspec.json.encode(events) == before
        assert story.durations.total == 60.0 * (len(events) - 1)
        for person in (ANNA, BO):
            own = [one for one in events if one.recipient is person]
            found = [one for one in story.recipients if one.id == person.id]
            assert len(found) == (1 if own else 0)
            for name, type_ in (("invited_at", types[0]), ("viewed_at", types[1]), ("signed_at", types[2])):
                times = [one.occurred_at for one in own if one.type == type_]
                assert [getattr(one, name) for one in found if times] == times[:1]
            for one in found:
                assert [m.event_id for m in one.reminders] == [e.id for e in own if e.type == types[3]]
                assert [m.event_id for m in one.failures] == [e.id for e in own if e.type == types[4]]


HOSTILE = '</style></pre><script>window.hit=1</script><img src="https://evil.example/x">" \u202e\ud83d & {{ 7 * 7 }}'
PDF_TOOLS = all(map(shutil.which, ("pdftotext", "pdftoppm")))


class Hostile(MemoryRecord):
    """A record of a long envelope with hostile texts."""

    def __init__(self, source: str, number: int) -> None:
        super().__init__(source, number)
        self.minute, self.number = number, 21  # e7

    def event(self) -> Event:
        found = super().event()
        found.id = f"ev_{self.minute:04}_" + "x" * 60
        found.envelope = Envelope("e7", name=HOSTILE, owner="owner@example.com")
        found.description = HOSTILE
        found.type = ("recipient.invited", "envelope.viewed", "recipient.signed", "something.new")[self.minute % 4]
        found.user_agent = "Mozilla/5.0 " + "(X11; Linux x86_64) " * (self.minute % 5)
        found.recipient = Recipient(f"r{self.minute % 3}", HOSTILE, None, PHONE, NATIONAL_ID, "qualified")
        return found


class ReportParser(HTMLParser):
    """Collects the text of `#events-ndjson`, the text of the other elements, and the elements' names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ndjson, self.tags, self.text, self._inside = "", set[str](), "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._inside = ("id", "events-ndjson") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.ndjson += data
        else:
            self.text += data


async def reports(tmp_path: Path, size: int, keys: tuple[str, ...]) -> tuple[dict[str, httpx.Response], Any, str]:
    """Return the report of envelope e7 for each key, the public keys, and an export of the same events."""
    key_file = tmp_path / "signing.pem"
    create_key_file(key_file)
    source = MemorySource("north", [Hostile("north", number) for number in range(size)])
    source.bad_records, source.reason = 1, "events may be left out"
    app = make_app([source, memory_source(3, "south")], signing_key_file=key_file)
    async with opened(app) as client:
        found = {
            key: await client.get("/envelopes/e7/report", headers={"Authorization": f"Bearer {key}"}) for key in keys
        }
        jwks = (await client.get("/.well-known/jwks.json")).json()
        window = {"envelope_id": "e7", "source": "north", "order": "asc", "since": "1970-01-01"}
        export = (await client.get("/events/export", params=window)).text
    return found, jwks, export


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_report_contains_its_events_and_a_valid_signature(tmp_path: Path) -> None:
    found, jwks, export = await reports(tmp_path, 12, ("key-of-all-scopes", "reader"))
    full, masked = (ReportParser(response.text) for response in found.values())
    # The canonical NDJSON equals an export with the same filters, without its last line.
    assert full.ndjson.encode() == "".join(export.splitlines(keepends=True)[:-1]).encode()
    for key, page in zip(found, (full, masked), strict=True):
        assert found[key].headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in found[key].headers["content-security-policy"]
        digest = hashlib.sha256(page.ndjson.encode()).hexdigest()
        assert page.text.count(digest) >= 2  # in the footer of every page and in the text
        (token,) = re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", page.text)
        payload = json.loads(jws.deserialize_compact(token, KeySet.import_key_set(jwks), algorithms=["EdDSA"]).payload)
        assert (payload["sha256"], payload["count"]) == (digest, 12)
        assert payload["filters"]["envelope_id"] == "e7"
        assert payload["as_of"].replace("T", " ").removesuffix("Z") in page.text
        events = [json.loads(line) for line in page.ndjson.splitlines()]
        for event in events:
            time = event["occurred_at"].replace("T", " ").removesuffix("Z")
            assert all(text in page.text for text in (event["id"], time, event["user_agent"].strip(), event["type"]))
        assert "qualified" in page.text
        assert re.search(r"Unreadable: \d+ records of north", page.text)
        assert "Note on north: envelope: events may be left out" in page.text
        # Nothing that a provider sent loads or runs.
        assert not page.tags & {"script", "img", "iframe", "link", "object", "form", "a"}
        assert "{{ 7 * 7 }}" in page.text
        assert "[U+202E]" in page.text
        assert "\u202e" not in page.text
    assert "By" in full.text
    assert "all (key)" in full.text
    assert "reader (key)" in masked.text
    assert PHONE in full.text
    assert "Masked:" not in full.text
    assert not [value for value in (PHONE, NATIONAL_ID) if value in found["reader"].text]
    assert "Masked:" in masked.text


@needs_chromium
@pytest.mark.skipif(not PDF_TOOLS, reason="poppler-utils is not installed")
def test_a_printed_report_has_page_headers_and_margins(tmp_path: Path) -> None:
    found, _, _ = anyio.run(reports, tmp_path, 200, ("key-of-all-scopes", "reader"))
    with chromium() as browser:
        for key, response in found.items():
            (tmp_path / f"{key}.html").write_bytes(response.content)
            page = browser.new_page()
            page.goto((tmp_path / f"{key}.html").as_uri())
            assert page.evaluate("window.hit") is None
            page.pdf(path=str(tmp_path / f"{key}.pdf"), prefer_css_page_size=True)
    for key, response in found.items():
        pdf = tmp_path / f"{key}.pdf"
        info = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
        assert re.search(r"Page size:\s+59[45]\S* x 84[12]\S* pts \(A4\)", info)
        text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) > 10
        plain = re.sub(r"\s+", "", text)
        for number, sheet in enumerate(pages, 1):
            assert f"Page {number} of {len(pages)}" in sheet
            assert "Audit report" in sheet.splitlines()[0]
            assert "SHA-256 " in sheet
        for line in ReportParser(response.text).ndjson.splitlines():
            assert json.loads(line)["id"] in plain  # across line breaks
        # No word is in the margins.
        boxes = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
        edges = [float(x) for x in re.findall(r'xMax="([\d.]+)"', boxes)]
        assert max(edges) <= 595 - 14 / 25.4 * 72


@needs_chromium
def test_a_report_fits_a_phone_screen(tmp_path: Path) -> None:
    found, _, _ = anyio.run(reports, tmp_path, 20, ("key-of-all-scopes",))
    (response,) = found.values()
    (tmp_path / "report.html").write_bytes(response.content)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 800})
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        widths = page.evaluate(
            "[...document.querySelectorAll('tbody td strong')].map(one => one.parentElement.clientWidth)"
        )
        assert len(widths) > 10
        assert min(widths) > 300
