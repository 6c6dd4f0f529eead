"""SUBNOTO_JOIN_ENVELOPES: the fields that the envelope API adds to events, filters by them, and the calls they take."""

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest

from app.domain.caller import Caller
from app.domain.errors import ParameterError, SourcesFailed
from app.domain.event import Event, Recipient
from app.domain.parameters import read_query
from app.domain.query import CountQuery
from app.domain.times import DAY, format_micros
from app.feed.service import Feed
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor
from app.providers.base import CallBudget
from app.providers.subnoto.envelopes import decode_envelope
from sandbox.subnoto import EmulatorOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over
from tests.providers.faulty import FAULTS, check_walk, failing, one_of
from tests.worlds import ANYONE, World, ask, describe, served_world, walk, world

NO_PII = Caller("no-pii", frozenset({"events:read"}))
GET = "/public/envelope/get"
STATUSES = {"ENVELOPE_COMPLETED": "completed", "ENVELOPE_DECLINED": "declined", "ENVELOPE_CANCELED": "canceled"}
COVERED = {"completed": {"completed"}, "active": {"active", "draft"}, "inactive": {"declined", "canceled", "expired"}}


@pytest.fixture(scope="module")
def one() -> Iterator[World]:
    options = EmulatorOptions(events=400, twins=0.05, tie_burst=14, skew_seconds=90, ties="shuffled")
    with served_world(None, options) as found:
        yield found


@pytest.fixture
async def feed(one: World) -> AsyncIterator[Feed]:
    made = one.gateway(SUBNOTO_JOIN_ENVELOPES="true")
    one.reset_calls()
    try:
        yield made
    finally:
        for each in one.feeds:
            await each.aclose()
        one.feeds.clear()
    assert one.refused() == []


def truth(one: World) -> list[tuple[int, dict[str, Any], dict[str, str]]]:
    """Return (time, record, status and owner of its envelope) from the emulator's history alone."""
    records = list(one.subnoto.history.truth())
    envelopes: dict[str, dict[str, str]] = {}
    now = one.now // 1000
    for record in records:
        if not (key := record["envelopeUuid"]):
            continue
        found = envelopes.setdefault(key, {"status": "draft", "owner": record["author"]["email"]})
        if record["eventType"] == "ENVELOPE_SENT" and found["status"] == "draft":
            found["status"] = "expired" if record["timestamp"] + 30 * DAY // 1000 <= now else "active"
        found["status"] = STATUSES.get(record["eventType"], found["status"])
    return [(record["timestamp"] * 1000, record, envelopes.get(record["envelopeUuid"], {})) for record in records]


def person(record: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = record["eventData"].get("recipient") or record["eventData"].get("member") or {}
    return found


Keep = Callable[[dict[str, Any], dict[str, str], str], bool]  #: of a record, its envelope and an owner's address
FILTERS: list[tuple[dict[str, str], Keep]] = [
    *(({"envelope_status": name}, lambda r, e, o, c=c: e.get("status") in c) for name, c in COVERED.items()),
    ({"owner": "{owner}"}, lambda r, e, o: e.get("owner") == o),
    (
        {"owner": "{OWNER}", "envelope_status": "completed", "type": "recipient.signed"},
        lambda r, e, o: (e.get("owner"), e.get("status"), r["eventType"]) == (o, "completed", "DOCUMENT_SIGNED"),
    ),
    ({"person": "{owner}"}, lambda r, e, o: o in (e.get("owner"), r["author"]["email"], person(r).get("email"))),
]


@pytest.mark.parametrize(("given", "keep"), FILTERS, ids=[str(given) for given, _ in FILTERS])
async def test_filters_by_joined_fields_are_exact(one: World, feed: Feed, given: dict[str, str], keep: Keep) -> None:
    records = truth(one)
    owner = next(envelope["owner"] for _, _, envelope in reversed(records) if envelope)
    filters = {name: value.format(owner=owner, OWNER=owner.upper()) for name, value in given.items()}
    since, until = one.now - 45 * DAY, one.now
    expected = sorted(
        (time, record["category"], record["envelopeUuid"] or "", record["sequence"], record["eventType"])
        for time, record, envelope in records
        if since <= time < until and keep(record, envelope, owner)
    )
    assert expected
    rows = [(time, category, envelope, type_) for time, category, envelope, _, type_ in expected]
    limits = random.Random(str(given))
    most = 0

    def count() -> None:
        nonlocal most
        most = max(most, one.subnoto.calls.count(GET))  # type: ignore[union-attr]
        one.reset_calls()

    window = {"since": format_micros(since), **filters}
    down = await walk(feed, limits=lambda: limits.choice((20, 200)), between=count, **window)
    assert [(r[0], r[2], r[3], r[4]) for r in map(describe, down.records)] == rows[::-1]
    other = one.gateway(SUBNOTO_JOIN_ENVELOPES="true")
    up = await walk([feed, other], limits=lambda: limits.choice((20, 1000)), between=count, order="asc", **window)
    assert up.ids == down.ids[::-1]
    # Ten, but more for envelopes that were created in the same millisecond.
    assert 5 <= most <= 16
    query = read_query(CountQuery, [*window.items(), ("exact", "true")])
    total = await feed.totals(query, ANYONE)
    assert (total.value, total.relation) == (len(rows), "eq")


def shown(page: Any, caller: Caller = ANYONE, pseudonyms: Pseudonyms | None = None) -> list[Event]:
    return [*map(Redactor(private="pii:read" in caller.scopes, pseudonyms=pseudonyms).event, page.records)]


async def test_ten_envelopes_a_page_are_read_for_display_and_cached(one: World, feed: Feed) -> None:
    page = await ask(feed, category="envelope", limit=200)
    assert one.subnoto.calls.count(GET) == 10
    by_envelope = {record["envelopeUuid"]: envelope for _, record, envelope in truth(one)}
    named: dict[str, bool] = {}
    for event in shown(page):
        if event.envelope.status is not None:
            expected = by_envelope[event.envelope.id]
            assert (event.envelope.status, event.envelope.owner) == (expected["status"], expected["owner"])
            assert event.envelope.name
        is_joined = event.envelope.status is not None
        assert named.setdefault(event.envelope.id, is_joined) == is_joined
    assert [*named.values()] == [True] * 10 + [False] * (len(named) - 10), "not the first ten"
    (status,) = page.sources
    assert (status.status, status.reason) == (
        "ok", f"envelope: {len(named) - 10} envelopes are shown without name, status and owner: too many a page",
    )  # fmt: skip
    again = await ask(feed, category="envelope", limit=len(page.records) if len(named) < 20 else 40)
    assert again.sources[0].reason is None
    assert all(event.envelope and event.envelope.owner for event in shown(again))
    found = await feed.event(shown(again)[0].id, ANYONE)
    assert found.event().envelope == shown(again)[0].envelope
    one.reset_calls()
    await feed.totals(CountQuery(category=("envelope",), by="actor"), ANYONE)
    assert one.subnoto.calls.count(GET) == 0, "a count read envelopes"


async def test_without_the_setting_no_envelope_is_read_and_the_filters_do_not_apply(one: World, feed: Feed) -> None:
    feed = one.gateway()
    one.reset_calls()
    await ask(feed, category="envelope")
    assert one.subnoto.calls.count(GET) == 0
    for given in ({"owner": "a@example.com"}, {"envelope_status": "completed"}):
        with pytest.raises(ParameterError, match="does not apply to subnoto"):
            await ask(feed, **given)


async def test_a_missing_permission_is_a_reason() -> None:
    async with world(None, EmulatorOptions(events=200, reads_envelopes=False)) as one:
        feed = one.gateway(SUBNOTO_JOIN_ENVELOPES="true")
        refused = list[int]()
        for given in ({}, {"limit": 1000}, {"person": "a"}):
            (status,) = (page := await ask(feed, **given)).sources
            assert page.records
            assert status.status == "ok"
            assert "AUTHORIZATION_ERROR" in (status.reason or "")
            refused.append(one.subnoto.calls.count(GET))
        # The first page may end before the server has counted the calls that had begun before the first refusal.
        assert 1 <= refused[1] <= 10
        assert refused[2] == refused[1], "envelopes were requested again after the refusal"
        for given in ({"owner": "a@example.com"}, {"envelope_status": "active"}):
            page = await ask(feed, **given)
            assert (page.records, page.sources[0].status) == ([], "forbidden")
        (finding,) = [f for f in await feed.sources["subnoto"].probe(CallBudget()) if f.topic == "envelopes"]
        assert (finding.state, "Read Envelope" in (finding.advice or "")) == ("warning", True)


async def test_a_failing_envelope_api_fails_only_pages_filtered_by_it(one: World, feed: Feed) -> None:
    one.subnoto.faults.answer(418, times=20, path=GET)
    (status,) = (page := await ask(feed)).sources
    assert page.records
    assert (status.status, "418" in (status.reason or "")) == ("ok", True)
    with pytest.raises(SourcesFailed, match="418"):
        await ask(feed, envelope_status="completed")
    one.subnoto.faults.clear()
    assert (await ask(feed, envelope_status="completed")).records


async def test_refused_credentials_fail_a_page(one: World, feed: Feed) -> None:
    one.subnoto.faults.answer(401, times=20, path=GET)
    with pytest.raises(SourcesFailed, match="credentials"):
        await ask(feed)
    one.subnoto.faults.clear()


JOINED = {"SUBNOTO_JOIN_ENVELOPES": "true"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_failure_envelopes_are_shown_without_names(fault: int | str) -> None:
    async with (
        one_of("subnoto") as one,
        failing(one, lambda path, _: path == GET, fault, JOINED, deadline=4.0) as (server, found),
    ):
        for _ in range(3):
            answer = await found.get()
            assert answer.status_code == 200, answer.text
            assert "without name" in answer.json()["sources"][0]["reason"]
        await check_walk(one, found)
        await found.check_healthy("subnoto")
        assert 1 <= server.calls <= 30


async def test_the_failure_of_one_envelope_leaves_the_names_of_others() -> None:
    async with one_of("subnoto") as one:
        key = next(row["envelopeUuid"] for row in list(one.subnoto.history.truth())[::-1] if row["envelopeUuid"])

        def fails(path: str, sent: Mapping[str, Any]) -> bool:
            return path == GET and sent["envelopeUuid"] == key

        async with failing(one, fails, 500, JOINED) as (server, found):
            for _ in range(3):
                answer = (await found.get(category="envelope", limit=20)).json()
                statuses = {event["envelope"]["id"]: event["envelope"]["status"] for event in answer["data"]}
                assert statuses.pop(key) is None
                assert None not in statuses.values()
                assert "answered 500" in answer["sources"][0]["reason"]
            assert server.calls == 3, "not exactly one call with its retries"


async def test_joined_fields_are_masked_like_those_of_the_log(one: World, feed: Feed) -> None:
    signed = [(record, envelope) for _, record, envelope in truth(one) if record["eventType"] == "DOCUMENT_SIGNED"]
    record, envelope = signed[-1]
    key, workspace = record["envelopeUuid"], record["workspaceUuid"]
    owner, signer = envelope["owner"], person(record)["email"]
    author = {"id": 0, "uuid": "00000000-0000-0000-0000-000000000000", "email": signer.upper(), "name": ""}
    data = {"note": f"{owner} and {person(record)['name']} call +35355500 01"}
    place = {"envelope_uuid": key, "workspace_uuid": workspace}
    one.subnoto.history.append("DOCUMENT_SIGNED", author=author, event_data=data, **place)
    one.clock.advance(seconds=1)
    page = await ask(feed, envelope_id=key, order="desc")
    newest = shown(page)[0]
    assert (newest.recipient.email, newest.actor.kind) == (signer, "recipient")
    assert (newest.recipient.phone or "").startswith("+3535550")
    masked = shown(page, NO_PII)[0]
    assert (masked.recipient.phone, masked.recipient.email) == ("***", signer)
    assert "5550" not in str(masked.data)
    hidden = shown(page, NO_PII, Pseudonyms("a secret of at least thirty-two characters"))
    text = str(hidden)
    assert not any(word in text for word in (owner, signer, person(record)["name"]))
    for value, count in ((signer, len(page.records)), (owner, len(page.records))):
        found = await ask(feed, NO_PII, envelope_id=key, person=value)
        assert 1 <= len(found.records) <= count
    assert len((await ask(feed, NO_PII, envelope_id=key, person=owner)).records) == len(page.records)
    async with opened(app_over(one, {"SUBNOTO_JOIN_ENVELOPES": "true"})) as client:
        story = (await client.get(f"/envelopes/{key}")).json()
    assert (story["envelope"]["owner"], story["envelope"]["status"]) == (owner, envelope["status"])
    signers = {person(other)["email"] for other, _ in signed if other["envelopeUuid"] == key}
    assert signers <= {recipient["email"] for recipient in story["recipients"]}
    assert all(recipient["phone"] for recipient in story["recipients"])


def test_unexpected_members_of_an_envelope_are_ignored() -> None:
    for body in (b"{}", b"[]", b'{"title": 7, "owner": [], "recipients": {}}', b'{"recipients": [1, null]}'):
        assert decode_envelope(body).name is None
    statuses = {"complete": "completed", "signing": "active", "approving": "active", "uploading": "draft",
                "expired": "expired", "Other": "other"}  # fmt: skip
    assert {sent: decode_envelope(b'{"status": "%s"}' % sent.encode()).status for sent in statuses} == statuses
    paused = decode_envelope(b'{"status": "Paused", "recipients": [{"email": "a@b.c"}, {"phone": "+354 555 0000"}]}')
    assert (paused.status, len(paused.recipients), paused.private) == ("paused", 2, ("+354 555 0000",))


def test_a_recipient_is_joined_only_by_a_unique_address() -> None:
    joined = decode_envelope(
        b'{"recipients": [{"email": "A@b.c", "phone": "1"}, {"email": "x@b.c"}, {"email": "x@b.c"}]}'
    )
    one, shared = Recipient("r", None, "a@b.c"), Recipient("s", None, "x@b.c")
    assert joined.recipient(one, None) == Recipient("r", None, "a@b.c", "1")
    assert joined.recipient(None, " a@B.c ") == Recipient(None, None, "A@b.c", "1")
    assert joined.recipient(shared, None) is shared
    assert joined.recipient(None, "x@b.c") is joined.recipient(None, None) is None
