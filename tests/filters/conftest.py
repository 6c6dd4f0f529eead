"""A world with values for each filter, and the comparison of a filter with the expected events."""

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
    """A world whose clock stands still."""
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
    """Compare both orders of a query with the expected events. `some`: whether any is expected."""
    feed = one.gateway(TAKTIKAL_DATE_RANGE_MODE="activity", TAKTIKAL_LOG_MODE="trimmed")  # no calibration
    now = one.now
    window = {"since": format_micros(now - 45 * DAY), **given}
    expected = rows(known, now - 45 * DAY, now, lambda fact: fact.matches(given))
    assert bool(expected) == some, "the example proves nothing"
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
