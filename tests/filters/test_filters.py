"""Filters whose values nothing has, several envelopes, and owners, held against the truth at both providers together.
All others, alone and combined: `test_oracle.py`."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.caller import Caller
from app.domain.times import format_micros
from tests.filters.conftest import DAY, UNKNOWN_UUID, Given, check
from tests.filters.facts import Fact, rows
from tests.worlds import ANYONE, World, ask, micros, walk

NO_PII = Caller("no-pii", frozenset({"events:read"}))
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
