"""A page that fails: at once, and in the same words each time."""

import asyncio
from typing import Any

import pytest

from app.domain.errors import SourcesFailed, SourceTimeout, SourceUnavailable
from app.domain.parameters import read_query
from app.domain.query import EventQuery
from app.feed import Feed, FeedSettings
from tests.api.memory import MemorySource, history
from tests.worlds import ANYONE, SECRET


class Slow(MemorySource):
    """Whose totals never come."""

    async def total(self, *_: Any) -> Any:
        await asyncio.Event().wait()


def feed_of(*sources: MemorySource) -> Feed:
    return Feed(sources, FeedSettings((SECRET,)))


@pytest.mark.parametrize("partial", ["true", "false"])
async def test_a_page_that_fails_does_not_wait_for_its_total(partial: str) -> None:
    north = Slow("north", history("north", 30))
    north.error = SourceUnavailable("left alone for a while", retry_after=30.0)
    asked = read_query(EventQuery, [("since", "2026-04-30"), ("include", "total"), ("partial", partial)])
    async with asyncio.timeout(5):
        with pytest.raises(SourcesFailed, match="left alone"):
            await feed_of(north).page(asked, ANYONE)


async def test_failed_sources_are_named_in_their_order() -> None:
    sources = [MemorySource(f"account-{number}", []) for number in range(9)]
    for source in sources:
        source.error = SourceTimeout(f"{source.name} is slow")
    with pytest.raises(SourcesFailed) as error:
        await feed_of(*sources).page(read_query(EventQuery, [("partial", "true")]), ANYONE)
    assert [one.source for one in error.value.errors] == [source.name for source in sources]
