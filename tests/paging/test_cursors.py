"""Cursors of contract section 5: parameters that may change between pages, that may not, and refused cursors."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.errors import CursorMismatch, InvalidCursor
from app.domain.times import DAY, format_micros
from app.feed.model import FeedSettings
from app.feed.service import Feed
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.worlds import SECRET, World, any_limit, ask, served_world, walk, world


@pytest.fixture(scope="module")
def one() -> Iterator[World]:
    with served_world(TaktikalOptions(events=400), SubnotoOptions(events=600, tie_burst=3)) as found:
        yield found


@pytest.fixture
async def feed(one: World) -> Any:
    found = one.gateway()
    yield found
    await found.aclose()
    one.feeds.remove(found)


FULL: dict[str, Any] = {
    "since": "2026-05-01", "until": "2026-06-01T00:00:00Z", "source": ["taktikal", "subnoto"],
    "provider": ["subnoto", "taktikal"], "category": ["envelope", "team"], "type": ["recipient.*", "envelope.*"],
    "order": "asc",
}  # fmt: skip


async def test_filters_may_be_omitted_or_repeated(feed: Feed) -> None:
    first = await ask(feed, limit=5, **FULL)
    bare = await ask(feed, cursor=first.next_cursor)
    again = await ask(feed, cursor=first.next_cursor, **FULL)
    # Equal filters: another order of values, repeated values, an offset, another number of digits.
    equal = FULL | {
        "since": "2026-05-01T02:00:00.000000+02:00",
        "source": ["subnoto", "taktikal", "subnoto"],
        "type": ["envelope.*", "recipient.*"],
    }
    respelled = await ask(feed, cursor=first.next_cursor, **equal)
    assert bare.next_cursor == again.next_cursor == respelled.next_cursor
    assert [r.key for r in bare.records] == [r.key for r in again.records] == [r.key for r in respelled.records]
    assert [r.key for r in bare.records] > [r.key for r in first.records]


CHANGES: list[dict[str, Any]] = [
    {"since": "2026-05-01T00:00:00.000001Z"}, {"until": "2026-05-31"}, {"source": "taktikal"}, {"provider": "subnoto"},
    {"category": "team"}, {"category": ["envelope", "team", "user"]}, {"type": "recipient.*"},
    {"type": ["recipient.*", "envelope.*", "team.*"]}, {"provider_type": "DOCUMENT_SIGNED"}, {"envelope_id": "x"},
    {"workspace_id": "x"}, {"flow_id": "x"}, {"flow_type": "x"}, {"envelope_status": "active"},
    {"owner": "x@example.com"}, {"actor": "x@example.com"}, {"recipient": "x@example.com"}, {"q": "x"},
    {"order": "desc"}, {"follow": True}, {"q": "x", "order": "desc"},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_a_filter_that_differs_is_named(feed: Feed, change: dict[str, Any]) -> None:
    first = await ask(feed, limit=5, **FULL)
    with pytest.raises(CursorMismatch) as error:
        await ask(feed, cursor=first.next_cursor, **{"since": FULL["since"]} | change)
    assert sorted(name for name, _ in error.value.errors) == sorted(change), "not exactly the changed filters are named"
    assert error.value.code == "cursor_mismatch"


async def test_limit_include_and_partial_may_change_and_default_to_the_cursors(feed: Feed) -> None:
    first = await ask(feed, limit=5, include=["raw"], partial=True)
    assert first.include == {"raw"}
    second = await ask(feed, cursor=first.next_cursor)
    assert (second.limit, len(second.records), second.include) == (5, 5, {"raw"})
    third = await ask(feed, cursor=second.next_cursor, limit=9, partial=False)
    assert (third.limit, len(third.records), third.include) == (9, 9, {"raw"})
    keys = [record.key for page in (first, second, third) for record in page.records]
    assert keys == sorted(set(keys), reverse=True)


async def test_a_cursor_with_a_removed_source_is_invalid(one: World, feed: Feed) -> None:
    cursor = (await ask(feed, limit=5)).next_cursor
    smaller = Feed([feed.sources["subnoto"]], FeedSettings((SECRET,), clock=lambda: one.now))
    with pytest.raises(InvalidCursor, match="start over"):
        await ask(smaller, cursor=cursor)


async def test_the_default_window_is_the_30_days_before_the_first_page() -> None:
    async with world(subnoto=SubnotoOptions(events=500), taktikal=TaktikalOptions(events=300)) as two:
        feed = two.gateway()
        begun = two.now
        found = await walk(feed, limits=40, between=lambda: two.clock.advance(hours=5))
        assert {page.window.until for page in found.pages} == {begun}
        assert {page.window.since for page in found.pages} == {begun - 30 * DAY}
        assert max(row[0] for row in found.rows) < begun


async def test_cursors_are_short_with_fifty_envelopes_and_without(feed: Feed) -> None:
    everything = await walk(feed, limits=1000, since="2026-03-01")
    envelopes = sorted({row[3] for row in everything.rows if row[3]})[:50]
    found = await walk(feed, limits=60, since="2026-03-01", envelope_id=envelopes)
    assert len(found.records) == sum(row[3] in envelopes for row in everything.rows)
    assert max(len(page.next_cursor or "") for page in found.pages) < 6000
    for order in ("asc", "desc"):
        plain = await walk(feed, limits=60, since="2026-03-01", order=order)
        assert 0 < max(len(page.next_cursor or "") for page in plain.pages) <= 400


async def test_a_position_is_searched_again_after_retention_shifted_the_log() -> None:
    """The oldest records are deleted between pages. Those that remain are returned once, in order."""
    for order in ("asc", "desc"):
        async with world(
            subnoto=SubnotoOptions(events=1200, tie_burst=4, twins=0.02), taktikal=TaktikalOptions(events=500)
        ) as two:
            since = two.now - 50 * DAY
            before = two.truth(since, two.now)

            def delete(two: World = two) -> None:
                two.subnoto.history.delete_oldest(23)
                two.subnoto.history.delete_oldest(1, "team")
                two.taktikal.history.delete_oldest(2)
                two.clock.advance(minutes=20)

            replicas = [two.gateway(), two.gateway()]
            found = await walk(
                replicas, limits=any_limit(4, 7, 50, 60), between=delete, order=order, since=format_micros(since)
            )
            got, times = set(found.rows), [row[0] for row in found.rows]
            assert len(set(found.ids)) == len(found.ids)
            assert times == sorted(times, reverse=order == "desc")
            assert set(before) & set(two.truth()) <= got <= set(before)
            assert len(found.rows) < len(before), "no record was deleted"
