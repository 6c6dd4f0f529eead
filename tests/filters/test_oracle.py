"""Random combinations of filters: pages, every export format and counts contain exactly the expected events, for
callers with any scopes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.times import format_micros
from tests.api.conftest import ALL, opened
from tests.api.gateways import FORMATS, app_over, ids_of
from tests.filters.facts import Fact, facts
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, World, served_world

SECOND = 1_000_000
HOURS = {"PT36H": 36, "4d": 96, "P9D": 216, "3w": 504, "P30D": 720, "P60D": 1440}
KEYS: dict[str, Callable[[Fact], str]] = {
    "type": lambda fact: fact.type, "provider_type": lambda fact: fact.provider_type,
    "category": lambda fact: fact.category, "source": lambda fact: fact.source,
    "actor": lambda fact: fact.actor or fact.actor_name, "day": lambda fact: format_micros(fact.time)[:10],
}  # fmt: skip
#: Filters that apply to one vendor only, and the field of a fact.
OF_ONE_VENDOR = {"owner": "owner", "flow_id": "flow_id", "flow_type": "flow_type", "workspace_id": "workspace"}
#: Two of these together may exclude all sources, which is refused.
EXCLUSIVE = {*OF_ONE_VENDOR, "envelope_status", "source", "provider", "source.not"}
Pairs = list[tuple[str, str]]


class Gateway:
    """The expected events of a world, and a client of a gateway that reads it."""

    def __init__(self, one: World, loop: asyncio.Runner) -> None:
        self.known, self._loop = facts(one), loop
        self.sizes: list[int] = []  #: numbers of events per query
        environment = {"TAKTIKAL_DATE_RANGE_MODE": "activity", "TAKTIKAL_LOG_MODE": "whole"}
        self._opened = opened(app_over(one, environment))
        self._client = loop.run(self._opened.__aenter__())

    def get(self, path: str, key: str, pairs: Pairs) -> httpx.Response:
        answer = self._loop.run(self._client.get(path, params=pairs, headers={"Authorization": f"Bearer {key}"}))
        assert answer.status_code == 200, answer.text
        return answer

    def pages(self, key: str, pairs: Pairs, limit: str) -> list[dict[str, Any]]:
        """Return the events of all pages."""
        found: list[dict[str, Any]] = []
        query = pairs
        while True:
            page = self.get("/events", key, [*query, ("limit", limit)]).json()
            found += page["data"]
            if page["page"]["next_cursor"] is None:
                return found
            query = [("cursor", page["page"]["next_cursor"])]

    def close(self) -> None:
        self._loop.run(self._opened.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    clock = Clock(datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5))
    # Whole logs: in a trimmed log, an owner is known only if the range includes the `Created` entry.
    taktikal = TaktikalOptions(events=160, twins=0.05, logs="whole", order="shuffled")
    subnoto = SubnotoOptions(events=220, twins=0.05, skew_seconds=90, ties="shuffled")
    with served_world(taktikal, subnoto, clock) as one, asyncio.Runner() as loop:
        made = Gateway(one, loop)
        yield made
        made.close()
        assert sum(map(bool, made.sizes)) > len(made.sizes) / 3, "most examples prove nothing"
        assert one.refused() == []


def values_of(known: list[Fact], rng: random.Random) -> dict[str, list[str]]:
    """Return for each filter values that occur, and some that do not or that most events have."""
    # One event of each type, so that rare types are covered.
    by_type: dict[str, list[Fact]] = {}
    for fact in known:
        by_type.setdefault(fact.type, []).append(fact)
    some = [rng.choice(facts) for facts in by_type.values()]
    types = [fact.type for fact in some]
    people = {
        "person by address": [text for fact in some for text in fact.addresses],
        "person by name": [text for fact in some for text in fact.names],
        "person by part": [text for fact in some for name in fact.names for text in name.split()],
        "person who acts": [fact.actor for fact in some],
        "person who owns": [fact.owner or "" for fact in some],
        "person of the team": [text for f in some if f.category == "team" for text in (*f.names[:2], *f.addresses)],
    }
    values = {
        "since": [*HOURS], "until": ["PT36H", "4d"],
        "type": [*types, *(f"{type_.partition('.')[0]}.*" for type_ in types)],
        "type.not": [*types, "envelope.*", "recipient.*", "notification.*"],
        "provider_type": [fact.provider_type for fact in some],
        "provider_type.not": ["DOCUMENT_SIGNED", "SigneeSigned", "NEVER_HEARD_OF"], "category": ["envelope", "team"],
        "source": ["taktikal", "subnoto"], "provider": ["taktikal", "subnoto"],
        "envelope_id": [fact.envelope for fact in some], "envelope_status": ["completed", "active", "inactive"],
        **{name: [getattr(fact, of) or "" for fact in some] for name, of in OF_ONE_VENDOR.items()},
        "category.not": ["envelope", "team", "nonsense"], "source.not": ["taktikal", "subnoto"],
        "actor": [fact.actor for fact in some], "actor.not": [fact.actor for fact in some],
        "recipient": [text for fact in some for text in fact.recipients],
        "q": ["lease", "NON-DISCLOSURE", "@example.com", "9999-", "api", "+3545", "5550"]
        + [text for fact in some for text in fact.recipients],
    }  # fmt: skip
    return {name: sorted(filter(None, found)) for name, found in {**values, **people}.items()}


FOCUS = [*values_of([], random.Random())]


def query_of(known: list[Fact], focus: str, rng: random.Random) -> Pairs:
    """Return the filter `focus` and up to two others."""
    values = values_of(known, rng)
    found: dict[str, str] = {}
    for name in [focus, *rng.sample(sorted(values), rng.choice((0, 0, 1, 2)))]:
        parameter, text = name.partition(" ")[0], rng.choice(values[name])
        if parameter in EXCLUSIVE and EXCLUSIVE & found.keys():
            continue
        if parameter in ("actor", "actor.not", "recipient", "person", "q"):
            text = rng.choice((text, text.upper(), text.lower()))
        found.setdefault(parameter, text)
    return [*found.items()]


def row_of(event: dict[str, Any]) -> tuple[str, ...]:
    envelope = (event["envelope"] or {}).get("id") or ""
    return event["occurred_at"], event["source"], event["category"], envelope, event["provider_type"]


@pytest.mark.parametrize("focus", FOCUS)
def test_pages_exports_and_counts_contain_exactly_the_matching_events(gateway: Gateway, focus: str) -> None:
    rng = random.Random(focus)
    for key, order in (ALL, "desc"), (rng.choice(("plain", "reader")), "asc"):
        check(gateway, query_of(gateway.known, focus, rng), key, order, rng)


def check(gateway: Gateway, pairs: Pairs, key: str, order: str, rng: random.Random) -> None:
    form, by, limit = rng.choice(FORMATS), rng.choice([*KEYS]), rng.choice(("9", "60", "1000"))
    if "since" not in dict(pairs):
        pairs.append(("since", "P60D"))
    now = time.time_ns() // 1000
    ends = {name: now - HOURS[value] * 3600 * SECOND for name, value in pairs if name in ("since", "until")}
    since, until = ends["since"], ends.get("until", now)
    # Durations are relative to the gateway's clock, which advances during the queries.
    is_close = any(abs(fact.time - end) < 20 * SECOND for fact in gateway.known for end in (since, until))
    if since >= until or is_close:
        return
    known = [fact for fact in gateway.known if since <= fact.time < until]
    expected = [fact for fact in known if fact.matches(dict(pairs), pii=key == ALL)]

    gateway.sizes.append(len(expected))
    events = gateway.pages(key, [*pairs, ("order", order)], limit)
    rows = [(format_micros(f.time), f.source, f.category, f.envelope, f.provider_type) for f in expected]
    assert [row_of(event) for event in events] == (rows if order == "asc" else rows[::-1]), pairs

    export = gateway.get("/events/export", key, [*pairs, ("format", form), ("order", order)])
    assert ids_of(form, export.content) == [event["id"] for event in events], (form, pairs)

    count = gateway.get("/events/count", key, [*pairs, ("exact", "true"), ("by", by)]).json()
    assert (count["value"], count["relation"]) == (len(expected), "eq"), pairs
    groups = {group["key"]: group["value"] for group in count["groups"]}
    assert groups == Counter(map(KEYS[by], expected)), (by, pairs)
    assert by != "day" or [*groups] == sorted(groups)
