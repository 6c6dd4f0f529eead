"""Following: what comes is delivered once, in order, as soon as it is settled, whatever happens meanwhile."""

import random
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import CursorMismatch, ParameterError, SourcesFailed
from app.domain.times import format_micros
from app.feed.model import Page
from sandbox.serving import serve
from sandbox.subnoto import Emulator
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, World, ask, cut_off, describe, micros, world

SECOND = 1_000_000
SETTLE = 30


def check_page(one: World, page: Page) -> None:
    now = micros(one.clock())
    assert page.next_cursor is not None
    # Nothing younger than the watermark; a provider's Date has whole seconds.
    assert all(record.key[0] < now - SETTLE * SECOND for record in page.records)
    for status in page.sources:
        assert status.complete_through is not None
        assert now - (SETTLE + 1) * SECOND <= status.complete_through <= now - SETTLE * SECOND


def late(one: World, rng: random.Random) -> None:
    """An event that shows up a while after its time, but within the settle time; sometimes two at one time."""
    now = one.clock()
    behind = rng.uniform(0.5, SETTLE - 3)
    shown = now + timedelta(seconds=rng.uniform(0, SETTLE - 2 - behind))
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.5:
            moment = now - timedelta(seconds=behind)
            one.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment, visible_at=shown)
        else:
            moment = now - timedelta(seconds=behind)
            key = f"spfollow{rng.randrange(4)}"
            one.taktikal.history.append(key, rng.choice(("SigneeSigned", "Reminder")), at=moment, visible_at=shown)


@pytest.mark.parametrize(
    ("seed", "options", "twice"),
    [
        (1, {}, 0.1), (2, {"logs": "trimmed", "order": "shuffled"}, 0.1),
        (3, {"range_selects": "creation", "logs": "trimmed", "events": 300}, 0.1),
        (4, {"generation": "older", "entry_ids": "none"}, 0.1), (9, {}, 0),
    ],
    ids=str,
)  # fmt: skip
async def test_a_follower_ends_with_exactly_the_truth(seed: int, options: dict[str, Any], twice: float) -> None:
    """`twice`: how often a page is asked for again."""
    rng = random.Random(seed)
    async with world(
        taktikal=TaktikalOptions(**{"events": 1000, "days": 10, "seed": seed, "twins": 0.02, **options}),
        subnoto=SubnotoOptions(events=1000, days=10, seed=seed, twins=0.02, skew_seconds=20, ties="shuffled"),
    ) as one:
        since = micros(one.clock()) - 600 * SECOND
        cursor: str | None = None
        got: list[tuple[Any, ...]] = []
        ids: set[str] = set()
        feed = one.gateway()
        empty = 0
        for _ in range(32):
            if rng.random() < 0.15:
                feed = one.gateway()  # a restart, or another replica
            given = {"cursor": cursor} if cursor else {"order": "asc", "follow": True, "since": format_micros(since)}
            if rng.random() < 0.1:
                given |= {"order": "asc", "follow": True}
            page = await ask(feed, limit=rng.choice((1, 3, 20, 1000)), **given)
            check_page(one, page)
            records, following = cut_off(page, rng)
            got += [describe(record) for record in records]
            ids |= {record.event().id for record in records}
            empty += not page.records
            if rng.random() < twice:
                continue  # the same cursor again is the caller's right; this one goes on
            cursor = following
            if rng.random() < 0.6:
                one.clock.advance(seconds=rng.choice((0.4, 3, 17, 100, 400)))
            if rng.random() < 0.5:
                late(one, rng)
        one.clock.advance(seconds=200)
        while True:
            page = await ask(feed, cursor=cursor, limit=1000)
            check_page(one, page)
            got += [describe(record) for record in page.records]
            ids |= {record.event().id for record in page.records}
            cursor = page.next_cursor
            if not page.records:
                break
        until = min(status.complete_through or 0 for status in page.sources)
        truth = [row for row in one.truth() if since <= row[0] < until]
        # Pages asked for twice came twice; everything else once, and in order.
        assert (set(got) == set(truth)) if twice else (got == truth)
        assert len(ids) == len(truth)
        assert empty > 0
        assert one.refused() == []


async def test_following_through_an_outage_with_partial() -> None:
    rng = random.Random(3)
    async with world(taktikal=TaktikalOptions(events=3000, days=5), subnoto=SubnotoOptions(events=3000, days=5)) as one:
        since = micros(one.clock())
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
        while True:
            page = await ask(feed, cursor=cursor, limit=1000)
            got += page.records
            cursor = page.next_cursor
            if not page.records:
                break
        until = min(status.complete_through or 0 for status in page.sources)
        truth = [row for row in one.truth() if since - 1 <= row[0] < until]
        rows = [describe(record) for record in got]
        assert sorted(rows, key=str) == sorted(truth, key=str)
        assert len({record.event().id for record in got}) == len(got)


async def test_a_follower_with_filters_sees_what_matches() -> None:
    async with world(
        taktikal=TaktikalOptions(events=8000, days=10), subnoto=SubnotoOptions(events=8000, days=10)
    ) as one:
        since = micros(one.clock())
        feed = one.gateway(scan=2)
        page = await ask(feed, order="asc", follow=True, since=format_micros(since - 1), type=["recipient.*"], limit=7)
        assert page.records == [], "the watermark lies before the beginning"
        got: list[Any] = []
        for _ in range(25):
            one.clock.advance(minutes=20)
            page = await ask(feed, cursor=page.next_cursor)
            got += page.records
        while page.has_more or page.records:
            page = await ask(feed, cursor=page.next_cursor, limit=1000)
            got += page.records
        until = min(status.complete_through or 0 for status in page.sources)
        words = {
            "SigneeAdded", "SignupSent", "Reminder", "Auth", "SigneeSigned", "RECIPIENT_VERIFIED", "DOCUMENT_SIGNED",
        }  # fmt: skip
        truth = [row for row in one.truth() if since - 1 <= row[0] < until and row[4] in words]
        assert [describe(record) for record in got] == truth
        assert len(truth) > 50


@pytest.mark.parametrize("given", [{"order": "desc"}, {}, {"order": "asc", "until": "2026-07-01"}], ids=str)
async def test_follow_needs_asc_and_no_until(given: dict[str, str]) -> None:
    async with world(subnoto=SubnotoOptions(events=50)) as one:
        feed = one.gateway()
        with pytest.raises(ParameterError) as error:
            await ask(feed, follow=True, **given)
        assert "follow" in {name for name, _ in error.value.errors}
        page = await ask(feed, follow=True, order="asc")
        for change in ({"follow": False}, {"order": "desc"}, {"until": "2026-07-01"}):
            with pytest.raises((CursorMismatch, ParameterError)):
                await ask(feed, cursor=page.next_cursor, **change)


@pytest.mark.parametrize("ahead", [-3600, -31, 31, 3600])
async def test_a_providers_clock_that_is_wrong_hides_nothing(ahead: int) -> None:
    """A clock that is ahead must not promise what may still come, nor empty the follower for good."""
    clock, theirs = Clock(), Clock()
    theirs.now = clock.now + timedelta(seconds=ahead)
    emulator = Emulator(SubnotoOptions(events=0), clock=theirs)
    with serve(emulator.app) as url:
        one = World(clock, None, emulator, emulator.env(url))
        feed, got = one.gateway(), 0
        page = await ask(feed, follow=True, order="asc", since=format_micros(micros(clock()) - 60 * SECOND))
        for _ in range(10):
            emulator.history.append("ENVELOPE_OPENED", timestamp=clock.now)
            clock.advance(seconds=20)
            theirs.advance(seconds=20)
            page = await ask(feed, cursor=page.next_cursor)
            got += len(page.records)
            complete = page.sources[0].complete_through
            assert complete is not None
            assert complete <= micros(clock()) - SETTLE * SECOND
        settled = 200 - SETTLE + min(0, ahead)
        assert got == max(0, -(-settled // 20))
        await feed.aclose()


@pytest.mark.parametrize("behind", [0, 7200])
async def test_a_date_that_stands_still_or_is_behind_has_a_reason(behind: int) -> None:
    clock, theirs = Clock(), Clock()
    theirs.now -= timedelta(seconds=behind)
    emulator = Emulator(SubnotoOptions(events=10), clock=theirs)
    with serve(emulator.app) as url:
        one = World(clock, None, emulator, emulator.env(url))
        feed = one.gateway()
        reasons = []
        for _ in range(4):
            reasons.append((await ask(feed, order="asc", follow=True)).sources[0].reason)
            clock.advance(seconds=40)
            theirs.advance(seconds=40 if behind else 0)
        late = ["over a minute behind" in (reason or "") for reason in reasons]
        assert late == ([True] * 4 if behind else [False, False, True, True])
        await feed.aclose()
