"""One world with everything that filters can tell apart, and how a filter is held against the truth."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest

from app.domain.times import DAY, format_micros
from app.feed.service import Feed
from tests.filters.facts import Fact, facts, rows
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, walk

Given = Mapping[str, str | list[str]]
UNKNOWN_UUID = "99999999-9999-4999-8999-999999999999"


@pytest.fixture(scope="session")
def mixed() -> Iterator[World]:
    """Nothing changes in it: its clock stands still."""
    taktikal = TaktikalOptions(events=500, twins=0.03, tie_burst=2, logs="trimmed", order="shuffled")
    subnoto = SubnotoOptions(events=700, twins=0.03, tie_burst=4, skew_seconds=90, ties="shuffled")
    with served_world(taktikal, subnoto) as world:
        yield world


@pytest.fixture
async def feed(mixed: World) -> AsyncIterator[Feed]:
    """A new gateway over `mixed`."""
    feed = mixed.gateway()
    yield feed
    await feed.aclose()


@pytest.fixture(scope="session")
def known(mixed: World) -> list[Fact]:
    return facts(mixed)


async def check(one: World, known: list[Fact], given: Given, *, some: bool = True) -> None:
    """The walk down equals the truth, the walk up is its reverse, and no call was refused. `some`: whether there are
    such events."""
    feed = one.gateway(TAKTIKAL_DATE_RANGE_MODE="activity", TAKTIKAL_LOG_MODE="trimmed")  # found out elsewhere
    now = one.now
    window = {"since": format_micros(now - 45 * DAY), **given}
    expected = rows(known, now - 45 * DAY, now, lambda fact: fact.matches(given))
    assert bool(expected) == some, "the example shows nothing"
    limits = random.Random(str(given))
    try:
        down = await walk(feed, limits=lambda: limits.choice((200, 1000)), **window)
        assert down.rows == expected[::-1]
        up = await walk(feed, limits=1000, order="asc", **window)
        assert up.ids == down.ids[::-1]
        assert {status.status for status in down.pages[0].sources} <= {"ok", "skipped"}
    finally:
        await feed.aclose()
    assert one.refused() == []
