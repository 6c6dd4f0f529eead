"""Every filter of contract section 3, held against the truth, at both providers together."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.domain.caller import Caller
from app.domain.times import format_micros
from tests.filters.facts import Fact, rows
from tests.filters.filtering import DAY, UNKNOWN_UUID, check
from tests.worlds import ANYONE, World, ask, micros, walk

pytestmark = pytest.mark.anyio

NO_PII = Caller("no-pii", frozenset({"events:read"}))


TYPES = [
    ["recipient.signed"],
    ["recipient.*"],
    ["envelope.*", "notification.failed"],
    ["envelope.viewed", "envelope.started"],
    ["notification.*"],
    ["team.*", "member.joined", "oauth_grant.denied"],
    ["agent_registration.*"],
    ["recipient.*", "team.created", "envelope.approved"],
]


def covers(patterns: list[str], type_: str) -> bool:
    return any(type_.startswith(p[:-1]) if p.endswith("*") else type_ == p for p in patterns)


@pytest.mark.parametrize("patterns", TYPES, ids="+".join)
async def test_type(mixed: World, known: list[Fact], patterns: list[str]) -> None:
    await check(mixed, known, lambda f: covers(patterns, f.type), type=patterns)


@pytest.mark.parametrize("pattern", ["recip.*", "recipient", "recipients.*", "Recipient.signed", "unknown", "no.such"])
async def test_a_type_that_nothing_has_is_an_empty_answer(mixed: World, known: list[Fact], pattern: str) -> None:
    await check(mixed, known, lambda f: covers([pattern], f.type), some=False, type=pattern)


PROVIDER_TYPES = [
    ["DOCUMENT_SIGNED"],
    ["SigneeSigned", "DOCUMENT_SIGNED", "TEAM_CREATED"],
    ["SMS:DELIVERED"],
    ["ENVELOPE_APPROVED", "OAUTH_GRANT_DENIED", "MEMBER_JOINED"],
]


@pytest.mark.parametrize("values", PROVIDER_TYPES, ids="+".join)
async def test_provider_type(mixed: World, known: list[Fact], values: list[str]) -> None:
    await check(mixed, known, lambda f: f.provider_type in values, provider_type=values)


@pytest.mark.parametrize("value", ["document_signed", "signeesigned", "NEVER_HEARD_OF", "SMS:*"])
async def test_provider_type_is_exact(mixed: World, known: list[Fact], value: str) -> None:
    await check(mixed, known, lambda f: f.provider_type == value, some=False, provider_type=value)


async def test_type_and_provider_type_both_hold(mixed: World, known: list[Fact]) -> None:
    values = ["DOCUMENT_SIGNED", "ENVELOPE_OPENED", "SigneeSigned"]
    await check(
        mixed,
        known,
        lambda f: f.provider_type in values and f.type.startswith("recipient."),
        type="recipient.*",
        provider_type=values,
    )


@pytest.mark.parametrize(
    "given",
    [
        {"source": "taktikal"},
        {"provider": "subnoto"},
        {"provider": ["subnoto", "taktikal"]},
        {"category": "team"},
        {"category": ["envelope", "team"]},
        {"category": "envelope", "source": "subnoto"},
        {"category": ["team"], "type": ["team.*", "api_key.*"]},
    ],
    ids=str,
)
async def test_source_provider_and_category(mixed: World, known: list[Fact], given: dict[str, Any]) -> None:
    sources = given.get("source") or given.get("provider") or ["taktikal", "subnoto"]
    categories = given.get("category") or ["team", "envelope"]
    types = given.get("type")
    await check(
        mixed,
        known,
        lambda f: f.source in sources and f.category in categories and (not types or covers(types, f.type)),
        **given,
    )


@pytest.mark.parametrize(
    "given", [{"category": "user"}, {"category": "nonsense"}, {"category": "team", "source": "taktikal"}]
)
async def test_a_value_no_provider_can_have_is_empty_and_ok(
    mixed: World, known: list[Fact], given: dict[str, Any]
) -> None:
    await check(mixed, known, lambda f: False, some=False, **given)
    feed = mixed.gateway()
    page = await ask(feed, **given)
    await feed.aclose()
    assert {status.status for status in page.sources} == {"ok"}


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_envelope_id(mixed: World, known: list[Fact], count: int) -> None:
    envelopes = sorted({f.envelope for f in known if f.envelope})
    picked = random.Random(count).sample(envelopes, count)
    if count > 1:
        # Unknown ones, and ones that cannot be Subnoto's, select nothing and break nothing.
        picked[:2] = [UNKNOWN_UUID, "no such envelope/at all?"]
    await check(mixed, known, lambda f: f.envelope in picked, envelope_id=picked)


async def test_envelope_id_alone_starts_at_the_beginning(mixed: World, known: list[Fact]) -> None:
    oldest = [next(f.envelope for f in known if f.source == name and f.envelope) for name in ("taktikal", "subnoto")]
    feed = mixed.gateway()
    found = await walk(feed, envelope_id=oldest, limits=7)
    await feed.aclose()
    assert found.rows[::-1] == [f.row for f in known if f.envelope in oldest]
    assert found.pages[0].window.since == 0


@pytest.mark.parametrize("value", [UNKNOWN_UUID, "sp" + "0" * 32, "x", "%' OR 1=1"])
async def test_an_unknown_envelope_is_an_empty_page(mixed: World, known: list[Fact], value: str) -> None:
    await check(mixed, known, lambda f: False, some=False, envelope_id=value)


async def test_an_envelope_written_in_two_ways_is_not_read_twice(mixed: World, known: list[Fact]) -> None:
    envelope = next(f.envelope for f in reversed(known) if f.source == "subnoto" and f.envelope)
    await check(mixed, known, lambda f: f.envelope == envelope, envelope_id=[envelope, envelope.upper()])


async def test_workspace_id(mixed: World, known: list[Fact]) -> None:
    workspaces = sorted({f.workspace for f in known if f.workspace})
    assert len(workspaces) == 2
    await check(mixed, known, lambda f: f.workspace == workspaces[1], workspace_id=workspaces[1])
    signed = [f for f in known if f.workspace == workspaces[0] and f.type == "recipient.signed"][-3:]
    ids = [f.envelope for f in signed]
    await check(
        mixed,
        known,
        lambda f: f.workspace == workspaces[0] and f.envelope in ids and f.type == "recipient.signed",
        workspace_id=workspaces[0],
        envelope_id=ids,
        type="recipient.signed",
    )


@pytest.mark.parametrize("value", [UNKNOWN_UUID, "not-a-uuid"])
async def test_an_unknown_workspace_is_an_empty_page(mixed: World, known: list[Fact], value: str) -> None:
    await check(mixed, known, lambda f: False, some=False, workspace_id=value)


async def test_flow_and_status_and_owner(mixed: World, known: list[Fact]) -> None:
    sample = [f for f in known if f.source == "taktikal"][-40]
    await check(mixed, known, lambda f: f.flow_id == sample.flow_id, flow_id=sample.flow_id)
    await check(mixed, known, lambda f: f.flow_type == sample.flow_type, flow_type=sample.flow_type)
    await check(mixed, known, lambda f: f.owner == sample.owner, owner=sample.owner)
    await check(
        mixed,
        known,
        lambda f: f.owner == sample.owner and f.flow_id == sample.flow_id and f.type == "envelope.created",
        owner=sample.owner,
        flow_id=sample.flow_id,
        type="envelope.created",
    )


@pytest.mark.parametrize("status", ["completed", "active", "inactive"])
async def test_envelope_status(mixed: World, known: list[Fact], status: str) -> None:
    await check(mixed, known, lambda f: f.status == status, envelope_status=status)


@pytest.mark.parametrize(
    "given",
    [
        {"flow_type": "NoSuchFlow"},
        {"flow_id": "ffffffffffff"},
        {"owner": "nobody@example.com"},
        {"q": "zzz-no-such"},
    ],
    ids=str,
)
async def test_values_nothing_has_are_empty(mixed: World, known: list[Fact], given: dict[str, str]) -> None:
    feed = mixed.gateway()
    page = await ask(feed, **given)
    await feed.aclose()
    assert page.records == []
    assert not page.has_more
    assert all(status.status in ("ok", "skipped") for status in page.sources)
    # A value outside a documented list is the only thing that the gateway cannot know before it asks.
    refused = mixed.refused()
    assert all(call.params.get("FlowType") == "NoSuchFlow" for call in refused)
    for each in (mixed.taktikal, mixed.subnoto):
        assert each is not None
        each.calls.reset()


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_actor(mixed: World, known: list[Fact], source: str) -> None:
    actor = [f.actor for f in known if f.source == source and f.actor][-1]
    await check(mixed, known, lambda f: f.actor == actor, actor=actor)
    await check(mixed, known, lambda f: f.actor == actor, actor=actor.upper())


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_recipient(mixed: World, known: list[Fact], source: str) -> None:
    named = [f for f in known if f.source == source and f.recipients]
    for value in named[-1].recipients:
        await check(mixed, known, lambda f, value=value: value in f.recipients, recipient=value)
        await check(mixed, known, lambda f, value=value: value in f.recipients, recipient=value.upper())
    part = named[-1].recipients[0][:-1]
    await check(mixed, known, lambda f: False, some=False, recipient=part)


@pytest.mark.parametrize(
    "text", ["lease", "NON-DISCLOSURE", "example.is", "@example.com", "9999-", "+35355", "api", "«v2»"]
)
async def test_q(mixed: World, known: list[Fact], text: str) -> None:
    some = any(f.holds(text) for f in known)
    await check(mixed, known, lambda f: f.holds(text), some=some, q=text)


async def test_q_takes_a_whole_envelope_at_taktikal_and_single_events_at_subnoto(
    mixed: World, known: list[Fact]
) -> None:
    process = [f for f in known if f.source == "taktikal"][-1].envelope
    await check(mixed, known, lambda f: f.envelope == process, q=process[3:20])
    signee = [f for f in known if f.source == "taktikal" and f.recipients][-1].recipients[-1]
    await check(mixed, known, lambda f: f.holds(signee), q=signee.upper())


@pytest.mark.parametrize("text", ["9999-", "+35355", "5550", "lease", "example.is"])
async def test_q_without_pii_read_finds_only_what_the_caller_may_see(
    mixed: World, known: list[Fact], text: str
) -> None:
    some = any(f.holds(text, pii=False) for f in known)
    await check(mixed, known, lambda f: f.holds(text, pii=False), NO_PII, some=some, q=text)


@pytest.mark.parametrize("limit", [5, 60, 1000])
@pytest.mark.parametrize("caller", [ANYONE, NO_PII], ids=["all", "masked"])
async def test_owners_are_persons_whatever_the_pages(
    mixed: World, known: list[Fact], limit: int, caller: Caller
) -> None:
    """Found here: of a trimmed log, the owner was known only where the window of a call held the `Created` entry."""
    now = micros(mixed.clock())
    owner = next(fact.owner for fact in reversed(known) if fact.owner)
    expected = rows(known, now - 5 * DAY, now, lambda fact: fact.concerns(owner))
    feed = mixed.gateway(TAKTIKAL_DATE_RANGE_MODE="activity", TAKTIKAL_LOG_MODE="trimmed")
    found: list[Any] = []
    asked: dict[str, Any] = {"person": owner.upper(), "since": format_micros(now - 5 * DAY)}
    try:
        while asked:
            page = await ask(feed, caller, limit=limit, **asked)
            found += page.records
            asked = {"cursor": page.next_cursor} if page.next_cursor else {}
    finally:
        await feed.aclose()
    assert [record.key[0] for record in found] == [row[0] for row in expected[::-1]]
    assert any(fact.owner == owner and owner not in fact.addresses for fact in known)
