"""Every filter of contract section 3, held against the truth, at both providers together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.caller import Caller
from app.domain.times import format_micros
from tests.filters.facts import Fact, rows
from tests.filters.filtering import DAY, UNKNOWN_UUID, Given, check
from tests.worlds import ANYONE, World, ask, micros, walk

pytestmark = pytest.mark.anyio

NO_PII = Caller("no-pii", frozenset({"events:read"}))
SOME: list[Given] = [
    {"type": "recipient.signed"},
    {"type": "recipient.*"},
    {"type": ["envelope.*", "notification.failed"]},
    {"type": ["envelope.viewed", "envelope.started"]},
    {"type": "notification.*"},
    {"type": ["team.*", "member.joined", "oauth_grant.denied"]},
    {"type": "agent_registration.*"},
    {"type": ["recipient.*", "team.created", "envelope.approved"]},
    {"provider_type": "DOCUMENT_SIGNED"},
    {"provider_type": ["SigneeSigned", "DOCUMENT_SIGNED", "TEAM_CREATED"]},
    {"provider_type": "SMS:DELIVERED"},
    {"provider_type": ["ENVELOPE_APPROVED", "OAUTH_GRANT_DENIED", "MEMBER_JOINED"]},
    {"type": "recipient.*", "provider_type": ["DOCUMENT_SIGNED", "ENVELOPE_OPENED", "SigneeSigned"]},
    {"source": "taktikal"},
    {"provider": "subnoto"},
    {"provider": ["subnoto", "taktikal"]},
    {"category": "team"},
    {"category": ["envelope", "team"]},
    {"category": "envelope", "source": "subnoto"},
    {"category": "team", "type": ["team.*", "api_key.*"]},
    *({"envelope_status": status} for status in ("completed", "active", "inactive")),
    *(
        {"q": text}
        for text in ("lease", "NON-DISCLOSURE", "example.is", "@example.com", "9999-", "+35355", "api", "«v2»")
    ),
]
#: The gateway's own judgement: patterns and provider types in this very spelling, recipients by nothing but id and
#: address, unknown values.
NONE: list[Given] = [
    *({"type": one} for one in ("recip.*", "recipient", "recipients.*", "Recipient.signed", "no.such", "api.*")),
    *({"provider_type": one} for one in ("document_signed", "signeesigned", "NEVER_HEARD_OF", "SMS:*")),
    {"type": "unknown"},
    {"category": "user"},
    {"category": "nonsense"},
    {"category": "team", "source": "taktikal"},
    *({"envelope_id": one} for one in (UNKNOWN_UUID, "sp" + "0" * 32, "x", "%' OR 1=1")),
    *({"workspace_id": one} for one in (UNKNOWN_UUID, "not-a-uuid")),
]


@pytest.mark.parametrize("given", SOME, ids=str)
async def test_events_that_match(mixed: World, known: list[Fact], given: Given) -> None:
    await check(mixed, known, given)


@pytest.mark.parametrize("given", NONE, ids=str)
async def test_nothing_matches(mixed: World, known: list[Fact], given: Given) -> None:
    await check(mixed, known, given, some=False)


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_envelope_id(mixed: World, known: list[Fact], count: int) -> None:
    envelopes = sorted({fact.envelope for fact in known if fact.envelope})
    picked = random.Random(count).sample(envelopes, count)
    if count > 1:
        # Unknown ones, and ones that cannot be Subnoto's, select nothing and break nothing.
        picked[:2] = [UNKNOWN_UUID, "no such envelope/at all?"]
    await check(mixed, known, {"envelope_id": picked})


async def test_envelope_id_alone_starts_at_the_beginning(mixed: World, known: list[Fact]) -> None:
    oldest = [next(f.envelope for f in known if f.source == name and f.envelope) for name in ("taktikal", "subnoto")]
    feed = mixed.gateway()
    found = await walk(feed, envelope_id=oldest, limits=7)
    await feed.aclose()
    assert found.rows[::-1] == [f.row for f in known if f.envelope in oldest]
    assert found.pages[0].window.since == 0


@pytest.mark.parametrize(
    "given",
    [{"flow_type": "NoSuchFlow"}, {"flow_id": "ffffffffffff"}, {"owner": "nobody@example.com"}, {"q": "zzz-no-such"}],
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
        each.calls.reset()


def last(known: list[Fact], source: str, has: Callable[[Fact], Any]) -> Fact:
    return next(fact for fact in reversed(known) if fact.source == source and has(fact))


async def test_values_that_occur(mixed: World, known: list[Fact]) -> None:
    """Values of an event of each source, in its own spelling and in capitals where that makes no difference."""
    sample = last(known, "taktikal", lambda fact: fact.flow_id and fact.owner)
    own = {"owner": sample.owner or "", "flow_id": sample.flow_id or ""}
    workspaces = sorted({fact.workspace for fact in known if fact.workspace})
    assert len(workspaces) == 2
    signed = [f for f in known if f.workspace == workspaces[0] and f.type == "recipient.signed"][-3:]
    envelope = last(known, "subnoto", lambda fact: fact.envelope).envelope
    process = last(known, "taktikal", lambda fact: True).envelope
    given: list[Given] = [
        *({name: value} for name, value in own.items()),
        {"flow_type": sample.flow_type or ""},
        {**own, "type": "envelope.created"},
        {"workspace_id": workspaces[1]},
        {"workspace_id": workspaces[0], "envelope_id": [f.envelope for f in signed], "type": "recipient.signed"},
        {"envelope_id": [envelope, envelope.upper()]},  # read once
        {"q": process[3:20]},  # finds the whole envelope
    ]
    for source in ("taktikal", "subnoto"):
        actor = last(known, source, lambda fact: fact.actor).actor
        recipients = last(known, source, lambda fact: fact.recipients).recipients
        given += [{"actor": actor}, {"actor": actor.upper()}]
        given += [{"recipient": text} for value in recipients for text in (value, value.upper())]
        given += [{"q": recipients[-1].upper()}]
        await check(mixed, known, {"recipient": recipients[0][:-1]}, some=False)
        names = last(known, source, lambda fact: fact.recipients and fact.names and fact.names[0]).names
        await check(mixed, known, {"recipient": names[0]}, some=False)
    for one in given:
        await check(mixed, known, one)


@pytest.mark.parametrize("text", ["9999-", "+35355", "5550", "lease", "example.is"])
async def test_q_without_pii_read_finds_only_what_the_caller_may_see(
    mixed: World, known: list[Fact], text: str
) -> None:
    some = any(fact.holds(text, pii=False) for fact in known)
    await check(mixed, known, {"q": text}, NO_PII, some=some)


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
