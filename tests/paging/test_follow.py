"""Follow: new events are returned once, in order, after the settle time."""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app.domain.errors import CursorMismatch, ParameterError, SourcesFailed
from app.domain.times import SECOND, format_micros
from app.feed.model import Page
from app.feed.service import Feed
from sandbox.subnoto import Emulator
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, World, ask, cut_off, describe, world

SETTLE = 30  #: seconds


def check_page(one: World, page: Page) -> None:
    now = one.now
    assert page.next_cursor is not None
    # No event is younger than the watermark. A provider's Date has whole seconds.
    assert all(record.key[0] < now - SETTLE * SECOND for record in page.records)
    for status in page.sources:
        assert status.complete_through is not None
        assert now - (SETTLE + 1) * SECOND <= status.complete_through <= now - SETTLE * SECOND


def complete_through(pages: list[Page]) -> int:
    return min(status.complete_through or 0 for status in pages[-1].sources)


def append_late(one: World, rng: random.Random) -> None:
    """Append an event that becomes visible after its time, but within the settle time; sometimes two of one time."""
    now = one.clock()
    behind = rng.uniform(0.5, SETTLE - 3)
    shown = now + timedelta(seconds=rng.uniform(0, SETTLE - 2 - behind))
    moment = now - timedelta(seconds=behind)
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.5:
            one.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment, visible_at=shown)
        else:
            key = f"spfollow{rng.randrange(4)}"
            one.taktikal.history.append(key, rng.choice(("SigneeSigned", "Reminder")), at=moment, visible_at=shown)


async def read_rest(feed: Feed, cursor: str | None, check: Callable[[Page], None] = lambda _: None) -> list[Page]:
    """Return the pages up to the first empty one."""
    pages: list[Page] = []
    while not pages or pages[-1].records:
        pages.append(await ask(feed, cursor=cursor, limit=1000))
        check(pages[-1])
        cursor = pages[-1].next_cursor
    return pages


@pytest.mark.parametrize(
    ("seed", "options", "twice"),
    [
        (1, {}, 0.1), (2, {"logs": "trimmed", "order": "shuffled"}, 0.1),
        (3, {"range_selects": "creation", "logs": "trimmed", "events": 300}, 0.1),
        (4, {"generation": "older", "entry_ids": "none"}, 0.1), (9, {}, 0),
    ],
    ids=str,
)  # fmt: skip
async def test_a_follower_receives_each_event_once(seed: int, options: dict[str, Any], twice: float) -> None:
    """`twice`: the probability that a page is requested again."""
    rng = random.Random(seed)
    async with world(
        taktikal=TaktikalOptions(**{"events": 1000, "days": 10, "seed": seed, "twins": 0.02, **options}),
        subnoto=SubnotoOptions(events=1000, days=10, seed=seed, twins=0.02, skew_seconds=20, ties="shuffled"),
    ) as one:
        since = one.now - 600 * SECOND
        cursor: str | None = None
        got: list[tuple[Any, ...]] = []
        ids: set[str] = set()
        feed = one.gateway()
        empty = 0
        for _ in range(32):
            if rng.random() < 0.15:
                feed = one.gateway()  # a restart, or another replica
            query = {"cursor": cursor} if cursor else {"order": "asc", "follow": True, "since": format_micros(since)}
            if rng.random() < 0.1:
                query |= {"order": "asc", "follow": True}
            page = await ask(feed, limit=rng.choice((1, 3, 20, 1000)), **query)
            check_page(one, page)
            records, following = cut_off(page, rng)
            got += [describe(record) for record in records]
            ids |= {record.event().id for record in records}
            empty += not page.records
            if rng.random() < twice:
                continue  # the same cursor again
            cursor = following
            if rng.random() < 0.6:
                one.clock.advance(seconds=rng.choice((0.4, 3, 17, 100, 400)))
            if rng.random() < 0.5:
                append_late(one, rng)
        one.clock.advance(seconds=200)
        rest = await read_rest(feed, cursor, partial(check_page, one))
        records = [record for page in rest for record in page.records]
        got += [describe(record) for record in records]
        ids |= {record.event().id for record in records}
        truth = one.truth(since, complete_through(rest))
        # Only the pages requested twice were returned twice.
        assert (set(got) == set(truth)) if twice else (got == truth)
        assert len(ids) == len(truth)
        assert empty > 0
        assert one.refused() == []


async def test_a_partial_follower_receives_each_event_once_despite_outages() -> None:
    rng = random.Random(3)
    async with world(taktikal=TaktikalOptions(events=3000, days=5), subnoto=SubnotoOptions(events=3000, days=5)) as one:
        since = one.now
        feed, got = one.gateway(), []
        cursor = (await ask(feed, order="asc", follow=True, since=format_micros(since - 1), partial=True)).next_cursor
        failed = 0
        refusals: dict[int, str] = {}
        for number in range(36):
            one.clock.advance(seconds=rng.choice((30, 300)))
            for emulator, from_, to in ((one.taktikal, 5, 14), (one.subnoto, 11, 22)):
                emulator.faults.clear()
                if from_ <= number < to:
                    emulator.faults.malformed(times=10_000)
            try:
                page = await ask(feed, cursor=cursor, limit=rng.choice((3, 100)))
            except SourcesFailed as error:
                refusals[number] = error.code
                continue
            failed += any(status.status == "failed" for status in page.sources)
            got += page.records
            cursor = page.next_cursor
        assert failed >= 10
        assert refusals == dict.fromkeys(range(11, 14), "source_unavailable")
        rest = await read_rest(feed, cursor)
        got += [record for page in rest for record in page.records]
        truth = one.truth(since - 1, complete_through(rest))
        rows = [describe(record) for record in got]
        assert sorted(rows, key=str) == sorted(truth, key=str)
        assert len({record.event().id for record in got}) == len(got)


async def test_a_follower_with_filters_receives_the_matching_events() -> None:
    async with world(
        taktikal=TaktikalOptions(events=8000, days=10), subnoto=SubnotoOptions(events=8000, days=10)
    ) as one:
        since = one.now
        feed = one.gateway(scan=2)
        page = await ask(feed, order="asc", follow=True, since=format_micros(since - 1), type=["recipient.*"], limit=7)
        assert page.records == [], "the watermark is before `since`"
        got: list[Any] = []
        for _ in range(25):
            one.clock.advance(minutes=20)
            page = await ask(feed, cursor=page.next_cursor)
            got += page.records
        while page.has_more or page.records:
            page = await ask(feed, cursor=page.next_cursor, limit=1000)
            got += page.records
        types = {
            "SigneeAdded", "SignupSent", "Reminder", "Auth", "SigneeSigned", "RECIPIENT_VERIFIED", "DOCUMENT_SIGNED",
        }  # fmt: skip
        truth = [row for row in one.truth(since - 1, complete_through([page])) if row[4] in types]
        assert [describe(record) for record in got] == truth
        assert len(truth) > 50


async def test_a_followers_cursor_rejects_other_parameters() -> None:
    async with world(subnoto=SubnotoOptions(events=50)) as one:
        feed = one.gateway()
        page = await ask(feed, follow=True, order="asc")
        for change in ({"follow": False}, {"order": "desc"}, {"until": "2026-07-01"}):
            with pytest.raises((CursorMismatch, ParameterError)):
                await ask(feed, cursor=page.next_cursor, **change)


@pytest.mark.parametrize("ahead", [-3600, -31, 31, 3600])
async def test_a_wrong_clock_of_a_provider_hides_no_event(ahead: int) -> None:
    """With a clock ahead of the gateway's, `complete_through` must not include events that may still arrive."""
    provider_clock = Clock(Clock().now + timedelta(seconds=ahead))
    async with world(subnoto=Emulator(SubnotoOptions(events=0), clock=provider_clock)) as one:
        feed, got = one.gateway(), 0
        page = await ask(feed, follow=True, order="asc", since=format_micros(one.now - 60 * SECOND))
        for _ in range(10):
            one.subnoto.history.append("ENVELOPE_OPENED", timestamp=one.clock.now)
            one.clock.advance(seconds=20)
            provider_clock.advance(seconds=20)
            page = await ask(feed, cursor=page.next_cursor)
            got += len(page.records)
            complete = page.sources[0].complete_through
            assert complete is not None
            assert complete <= one.now - SETTLE * SECOND
        settled = 200 - SETTLE + min(0, ahead)
        assert got == max(0, -(-settled // 20))


@pytest.mark.parametrize("behind", [0, 7200])
async def test_a_provider_date_that_stands_still_or_is_behind_has_a_reason(behind: int) -> None:
    provider_clock = Clock(Clock().now - timedelta(seconds=behind))
    async with world(subnoto=Emulator(SubnotoOptions(events=10), clock=provider_clock)) as one:
        feed = one.gateway()
        reasons = []
        for _ in range(4):
            reasons.append((await ask(feed, order="asc", follow=True)).sources[0].reason)
            one.clock.advance(seconds=40)
            provider_clock.advance(seconds=40 if behind else 0)
        late = ["over a minute behind" in (reason or "") for reason in reasons]
        assert late == ([True] * 4 if behind else [False, False, True, True])
