"""Filters without matching events, several envelopes, owners, windows to the microsecond, spellings, and parameters
that do not apply to a source (contract, section 3). `test_oracle.py` tests all others, alone and combined."""

import itertools
import random
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from app.domain.caller import Caller
from app.domain.errors import ParameterError
from app.domain.parameters import read_query
from app.domain.query import CountQuery, Query
from app.domain.times import format_micros
from app.feed.service import Feed
from app.feed.warnings import warnings_of
from app.providers.base import CommonSettings
from app.providers.registry import find_providers
from sandbox.taktikal import EmulatorOptions
from sandbox.taktikal.records import Process
from tests.filters.conftest import DAY, UNKNOWN_UUID, Given, check
from tests.filters.facts import Fact, rows
from tests.worlds import ANYONE, SubnotoOptions, World, ask, walk, world

NO_PII = Caller("no-pii", frozenset({"events:read"}))
#: Values of another spelling than the documented one, unknown values, and values of another source.
UNMATCHED: list[Given] = [
    *({"type": one} for one in ("recip.*", "recipient", "recipients.*", "Recipient.signed", "no.such", "api.*")),
    *({"provider_type": one} for one in ("document_signed", "signeesigned", "NEVER_HEARD_OF", "SMS:*")),
    {"type": "unknown"},
    {"category": "user"},
    {"category": "nonsense"},
    {"category": "team", "source": "taktikal"},
    *({"envelope_id": one} for one in (UNKNOWN_UUID, "sp" + "0" * 32, "x", "%' OR 1=1")),
    *({"workspace_id": one} for one in (UNKNOWN_UUID, "not-a-uuid")),
]


@pytest.mark.parametrize("given", UNMATCHED, ids=str)
async def test_values_of_another_spelling_or_source_match_nothing(
    mixed: World, known: list[Fact], given: Given
) -> None:
    await check(mixed, known, given, some=False)


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_unknown_envelopes_hide_no_other_envelope(mixed: World, known: list[Fact], count: int) -> None:
    envelopes = sorted({fact.envelope for fact in known if fact.envelope})
    picked = random.Random(count).sample(envelopes, count)
    if count > 1:
        # One unknown, and one that Subnoto would refuse.
        picked[:2] = [UNKNOWN_UUID, "no such envelope/at all?"]
    await check(mixed, known, {"envelope_id": picked})


async def test_the_default_window_with_envelope_id_has_no_beginning(feed: Feed, known: list[Fact]) -> None:
    oldest = [next(f.envelope for f in known if f.source == name and f.envelope) for name in ("taktikal", "subnoto")]
    found = await walk(feed, envelope_id=oldest, limits=7)
    assert found.rows[::-1] == [f.row for f in known if f.envelope in oldest]
    assert found.pages[0].window.since == 0


@pytest.mark.parametrize(
    "given",
    [{"flow_type": "NoSuchFlow"}, {"flow_id": "ffffffffffff"}, {"owner": "nobody@example.com"}, {"q": "zzz-no-such"}],
    ids=str,
)
async def test_values_without_a_match_give_an_empty_page(mixed: World, feed: Feed, given: dict[str, str]) -> None:
    page = await ask(feed, **given)
    assert page.records == []
    assert not page.has_more
    assert all(status.status in ("ok", "skipped") for status in page.sources)
    # Only Taktikal knows the values of this parameter, so that the gateway has to call it.
    refused = mixed.refused()
    assert all(call.params.get("FlowType") == "NoSuchFlow" for call in refused)
    mixed.reset_calls()


def last(known: list[Fact], source: str, has: Callable[[Fact], Any]) -> Fact:
    return next(fact for fact in reversed(known) if fact.source == source and has(fact))


@pytest.mark.parametrize("limit", [5, 60, 1000])
@pytest.mark.parametrize("caller", [ANYONE, NO_PII], ids=["all", "masked"])
async def test_person_matches_owners_with_any_size_of_page(
    mixed: World, known: list[Fact], limit: int, caller: Caller
) -> None:
    """Regression: of a trimmed log, the owner was known only if the range of a call included the `Created` entry."""
    now = mixed.now
    owner = next(fact.owner for fact in reversed(known) if fact.owner)
    expected = rows(known, now - 5 * DAY, now, lambda fact: fact.concerns(owner))
    feed = mixed.gateway(TAKTIKAL_DATE_RANGE_MODE="activity", TAKTIKAL_LOG_MODE="trimmed")
    found: list[Any] = []
    query: dict[str, Any] = {"person": owner.upper(), "since": format_micros(now - 5 * DAY)}
    try:
        while query:
            page = await ask(feed, caller, limit=limit, **query)
            found += page.records
            query = {"cursor": page.next_cursor} if page.next_cursor else {}
    finally:
        await feed.aclose()
    assert [record.key[0] for record in found] == [row[0] for row in expected[::-1]]
    assert any(fact.owner == owner and owner not in fact.addresses for fact in known)


@pytest.mark.parametrize(
    ("given", "skipped"),
    [
        ({"workspace_id": UNKNOWN_UUID}, "taktikal"), ({"flow_id": "3fc7848d338a"}, "subnoto"),
        ({"flow_type": "DropAndSign"}, "subnoto"), ({"envelope_status": "active"}, "subnoto"),
        ({"owner": "anna@example.com"}, "subnoto"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_parameter_that_does_not_apply_skips_the_source(
    mixed: World, feed: Feed, given: dict[str, str], skipped: str
) -> None:
    mixed.reset_calls()
    page = await ask(feed, **given)
    (name,) = given
    by_name = {status.name: status for status in page.sources}
    assert by_name[skipped].status == "skipped"
    assert name in (by_name[skipped].reason or "")
    assert by_name[skipped].complete_through is None
    assert by_name[skipped].calls == 0
    (other,) = set(by_name) - {skipped}
    assert by_name[other].status == "ok"
    for selection in ({"source": skipped}, {"source": [skipped, other]}, {"provider": skipped}):
        with pytest.raises(ParameterError) as error:
            await ask(feed, **given, **selection)
        assert error.value.code == "filter_not_applicable"
        assert error.value.errors[0][0] == name


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ({"flow_id": "3fc7848d338a", "workspace_id": UNKNOWN_UUID}, ["flow_id", "workspace_id"]),
        ({"source": "nowhere"}, ["source"]),
        ({"provider": "docusign"}, ["provider"]),
    ],
)
async def test_filters_that_leave_no_source_are_all_named(feed: Feed, given: Given, parameters: list[str]) -> None:
    with pytest.raises(ParameterError) as error:
        await ask(feed, **given)
    assert sorted(name for name, _ in error.value.errors) == parameters


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_since_is_inclusive_and_until_exclusive_to_the_microsecond(
    mixed: World, feed: Feed, known: list[Fact], source: str
) -> None:
    own = [f for f in known if f.source == source]
    # At times of ties, twins and bursts, and of a single event.
    times = {f.time for f, g in itertools.pairwise(own) if f.time == g.time}
    rng = random.Random(5)
    for since in [*rng.sample(sorted(times), 3), own[len(own) // 2].time]:
        for shift in (-1, 0, 1):
            begin = since + shift
            until = begin + 3 * 3_600_000_000
            page = await ask(feed, since=format_micros(begin), until=format_micros(until), source=source, limit=1000)
            assert [r.key[0] for r in page.records] == [f.time for f in own if begin <= f.time < until][::-1]
            early = await ask(
                feed, since=format_micros(begin - DAY), until=format_micros(begin), source=source, limit=1000
            )
            expected = [f.time for f in own if begin - DAY <= f.time < begin]
            assert [r.key[0] for r in early.records] == expected[::-1]
            moment = await ask(feed, since=format_micros(begin), until=format_micros(begin + 1), source=source)
            assert [r.key[0] for r in moment.records] == [f.time for f in own if f.time == begin][::-1]
    assert mixed.refused() == []


async def test_until_alone_selects_the_thirty_days_before_it(feed: Feed) -> None:
    page = await ask(feed, until="2026-05-01T02:00:00+02:00")
    assert format_micros(page.window.until or 0) == "2026-05-01T00:00:00.000000Z"
    assert page.window.since == (page.window.until or 0) - 30 * DAY


@pytest.mark.parametrize(
    "edge",
    [
        {"since": "0001-01-01T00:00:00Z", "until": "1950-01-01"},
        {"since": "0001-01-01T00:00:00+14:00", "until": "0001-01-02"},
        {"until": "9999-12-31T23:59:59.999999Z"},
        {"since": "2026-05-31", "until": "9999-12-31T23:59:59-14:00"},
        {"since": "9999-12-31T23:59:59.9Z", "until": "9999-12-31T23:59:59.99Z"},
    ],
    ids=str,
)
async def test_the_edges_of_the_calendar_are_accepted_or_parameter_errors(
    mixed: World, feed: Feed, edge: dict[str, str]
) -> None:
    for order in ("asc", "desc"):
        with suppress(ParameterError):
            page = await ask(feed, order=order, limit=5, **edge)
            assert format_micros(page.window.since)
            assert format_micros(page.window.until or 0)
    assert mixed.refused() == []


async def count(feed: Feed, *keys: str) -> tuple[Any, Any]:
    totals = await feed.totals(read_query(CountQuery, [("envelope_id", key) for key in keys]), ANYONE, no_cache=True)
    return totals.value, totals.relation


@pytest.mark.parametrize("key_case", ["honoured", "ignored"])
async def test_one_envelope_in_several_spellings_is_returned_once(key_case: Any, order: str) -> None:
    async with world(taktikal=EmulatorOptions(events=300, key_case=key_case)) as one:
        feed = one.gateway()
        key = (await ask(feed, limit=1)).records[0].key[3]
        alone = await walk(feed, envelope_id=key, order=order, limits=4)
        assert len(alone.pages) > 1
        spellings = [key, key.upper(), key.title()]
        assert (await walk(feed, envelope_id=spellings, order=order, limits=4)).ids == alone.ids
        assert await count(feed, *spellings) == (len(alone.ids), "eq")
        other = await walk(feed, envelope_id=key.upper(), order=order)
        assert other.ids == (alone.ids if key_case == "ignored" else [])
        assert await count(feed, key.upper()) == (len(other.ids), "eq")


@pytest.mark.parametrize("key_case", ["honoured", "ignored"])
async def test_envelopes_whose_keys_differ_in_letter_case_are_all_returned(key_case: Any) -> None:
    async with world(taktikal=EmulatorOptions(events=0, key_case=key_case)) as one:
        for key in ("spA", "spa", "spB"):
            for status in ("Created", "Reminder", "Completed"):
                one.taktikal.history.append(key, status)
        one.clock.advance(minutes=1)
        feed = one.gateway()
        everything = await walk(feed)
        assert len(everything.ids) == 9
        found = await walk(feed, envelope_id=["spA", "spa", "spb", "spB"], limits=2)
        assert found.ids == everything.ids
        assert await count(feed, "spA", "spa", "spb", "spB") == (9, "eq")


NAME, ADDRESS = "J\u00f3n \u00de\u00f3r Stra\u00dfe \u00c5strand", "j\u00f3n.stra\u00dfe.\u00e5strand@example.is"
SPELLINGS = {
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "capitals": lambda text: unicodedata.normalize("NFD", text).upper(),
    "non-breaking": lambda text: text.replace(" ", "\u00a0"),
    "narrow": lambda text: text.replace(" ", "\u202f"),
    "zero-width spaces": lambda text: "".join(f"{one}\u200b" for one in text),
    "hyphens and marks": lambda text: f"\u200f{text[:4]}\u00ad{text[4:]}\ufeff",
}


async def test_text_filters_match_any_unicode_spelling() -> None:
    """Each spelling matches all others, at both vendors; a name and an address with another letter do not match."""
    async with world(taktikal=EmulatorOptions(events=0), subnoto=SubnotoOptions(events=0)) as one:
        people = [(NAME, ADDRESS), ("J\u00f3n Por Stra\u00dfe \u00c5strand", "jon.stra\u00dfe.\u00e5strand@example.is")]
        for number, ((name, address), write) in enumerate(itertools.product(people, SPELLINGS.values())):
            name, address = write(name), write(address)
            at, key = one.clock() - timedelta(hours=1 + number), f"{number:03}"
            author = {"id": 7, "uuid": "0b0b0b0b-1111-4222-8333-444444444444", "name": name, "email": address}
            data = {"recipientName": name, "recipientEmail": address}
            one.subnoto.history.append("ENVELOPE_OPENED", event_data=data, author=author, timestamp=at)
            signee = {"signeeKey": f"si{key}", "name": name, "email": address}
            one.taktikal.history.add_process(Process(key=f"sp{key}", started_by="owner@example.is", signees=(signee,)))
            one.taktikal.history.append(f"sp{key}", "SigneeSigned", at=at, created_by=address, signeeKey=f"si{key}")
        feed = one.gateway()
        events = [record.event() for record in (await ask(feed)).records]
        matching = events[: len(events) // 2]
        assert len(matching) == 2 * len(SPELLINGS)
        for spelling, caller in itertools.product(SPELLINGS, (ANYONE, NO_PII)):
            # With `pii:read`, q is Taktikal's own search. An address contains no space of any width.
            by_gateway = [event for event in matching if caller is NO_PII or event.source == "subnoto"]
            cases = [("q", NAME, by_gateway), ("q", ADDRESS, by_gateway), ("person", NAME, matching)]
            if spelling not in ("zero-width spaces", "hyphens and marks"):
                cases += [(name, ADDRESS, matching) for name in ("actor", "recipient", "person")]
            for name, text, wanted in cases:
                sources = {event.source for event in wanted}
                page = await ask(feed, caller, **{name: SPELLINGS[spelling](text)}, source=sorted(sources))
                found = [record.event().id for record in page.records]
                assert found == [event.id for event in wanted], (name, spelling, caller.name)


PROVIDERS = find_providers()


class AnySource:
    """A source with one stream, which two values exclude."""

    def __init__(self, provider: str) -> None:
        self.name = self.provider = provider

    def streams(self, query: Query) -> list[str]:
        return [] if query.workspace_id == "none" or query.category_not == ("all",) else ["all"]


@pytest.mark.parametrize(
    ("providers", "given", "message"),
    [
        ("taktikal subnoto", {"provider_type": "SigneSigned"}, "is not a known provider type; did you mean Signe"),
        ("taktikal subnoto", {"provider_type": "XXXX"}, "XXXX is not a known provider type"),
        ("taktikal subnoto", {"provider_type.not": "XXXX"}, "XXXX is not a known provider type"),
        ("subnoto", {"provider_type": "SigneeSigned"}, "SigneeSigned does not occur in these sources"),
        ("subnoto", {"provider_type": "SMS:DELIVERED"}, "SMS:DELIVERED does not occur in these sources"),
        ("taktikal", {"provider_type": "DOCUMENT_SIGNED"}, "DOCUMENT_SIGNED does not occur in these sources"),
        ("taktikal subnoto", {"provider_type": "SigneeSigned"}, None),
        ("taktikal subnoto", {"provider_type.not": "DOCUMENT_SIGNED"}, None),
        ("taktikal", {"provider_type": "SMS:DELIVERED"}, None),
        ("taktikal", {"provider_type": "SalesPerson:delivered"}, None),
        ("taktikal", {"provider_type": "SMS:QUEUED"}, "SMS:QUEUED is not a known provider type"),
        ("subnoto", {"source.not": "subnot"}, "subnot is not a known source; did you mean subnoto?"),
        ("subnoto", {"source.not": "taktikal"}, None),
        ("subnoto", {"category.not": "all"}, "no event of these sources passes category.not"),
        ("subnoto", {"recipient": "Anna Jones"}, "neither a recipient id nor an e-mail address; person finds names"),
        ("subnoto", {"recipient": "rcp_1"}, None),
        ("subnoto", {"workspace_id": "none"}, "none is not a workspace id of these sources"),
    ],
)
def test_values_that_match_nothing_have_a_warning(providers: str, given: dict[str, str], message: str | None) -> None:
    ((name, value),) = given.items()
    query = Query.model_validate({name: value if name in ("workspace_id", "recipient") else (value,)})
    sources: Any = [AnySource(provider) for provider in providers.split()]
    found = warnings_of(query, sources, list(PROVIDERS), {one.name: one.mapping for one in PROVIDERS.values()})
    assert [(one.parameter, one.value) for one in found] == ([(name, value)] if message else [])
    assert not message or message in found[0].message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": ["recipient.signed"], "type.not": ["recipient.*"]}, [("type", "recipient.signed", "type.not")]),
        ({"type": ["recipient.*"], "type.not": ["recipient.*"]}, [("type", "recipient.*", "type.not")]),
        ({"type": ["recipient.*"], "type.not": ["recipient.signed"]}, []),
        (
            {"type": ["team.created", "team.updated"], "type.not": ["team.created"]},
            [("type", "team.created", "type.n")],
        ),
        ({"category": ["team"], "category.not": ["team"]}, [("category", "team", "category.not")]),
        (
            {"provider_type": ["Created"], "provider_type.not": ["Created"]},
            [("provider_type", "Created", "r_type.not")],
        ),
        ({"actor": "A@x.is", "actor.not": ["a@X.is"]}, [("actor", "A@x.is", "is excluded by actor.not")]),
        ({"actor": "a@x.is", "actor.not": ["b@x.is"]}, []),
        ({"actor": "a@x.is,b@x.is"}, [("actor", "a@x.is,b@x.is", "more than one e-mail address")]),
        ({"owner": "a@x.is;b@x.is"}, [("owner", "a@x.is;b@x.is", "more than one e-mail address")]),
        ({"recipient": "a@x.is,b@x.is"}, [("recipient", "a@x.is,b@x.is", "more than one e-mail address")]),
        ({"person": "a@x.is,b@x.is"}, [("person", "a@x.is,b@x.is", "more than one e-mail address")]),
        ({"actor.not": ["a@x.is,b@x.is"]}, [("actor.not", "a@x.is,b@x.is", "more than one e-mail address")]),
        ({"person": "Smith, Anna"}, []),
        (
            {"type": ["team.created"], "category.not": ["all"], "type.not": ["recipient.*"]},
            [("category.not", "all", "of these sources passes category.not")],
        ),
    ],
)
def test_filters_that_contradict_each_other_have_a_warning(
    given: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    sources: Any = [AnySource("taktikal"), AnySource("subnoto")]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    query = Query.model_validate(values)
    found = warnings_of(query, sources, list(PROVIDERS), {one.name: one.mapping for one in PROVIDERS.values()})
    assert [(one.parameter, one.value) for one in found] == [one[:2] for one in expected]
    assert all(message in one.message for one, (_, _, message) in zip(found, expected, strict=True))


@pytest.mark.parametrize("vendor", ["taktikal", "subnoto"])
@pytest.mark.parametrize("given", [{"type": ("envelope.created",)}, {"type_not": ("recipient.*",)}])
async def test_a_provider_type_excluded_by_the_type_filters_has_a_warning(vendor: str, given: dict[str, Any]) -> None:
    keys = ("TAKTIKAL_COMPANY_KEY", "TAKTIKAL_API_KEY", "SUBNOTO_ACCESS_KEY", "SUBNOTO_SECRET_KEY")
    source = PROVIDERS[vendor].from_environment(dict.fromkeys(keys, "k"), CommonSettings())
    assert source is not None
    for row in PROVIDERS[vendor].mapping:
        if row.type == "recipient.signed":
            query = Query.model_validate({"provider_type": (row.provider_type,), **given})
            assert not source.streams(query)
            (warning,) = warnings_of(query, [source], [vendor], {vendor: PROVIDERS[vendor].mapping})
            assert "provider_type" in warning.message
    await source.aclose()
