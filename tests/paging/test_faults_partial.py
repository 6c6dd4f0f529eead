"""Sources that fail: the whole call by default; with `partial=true` the others answer and nothing is lost."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import SourceFailed, SourceForbidden, SourcesFailed, SourceTimeout, SourceUnavailable
from app.domain.parameters import read_query
from app.domain.query import CountQuery, EventQuery
from app.domain.times import SECOND, format_micros
from app.feed.model import FeedSettings, Page
from app.feed.service import Feed
from sandbox.faults import Faults
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.memory import MemorySource, history
from tests.worlds import ANYONE, SECRET, World, any_limit, ask, cut_off, describe, micros, walk, world

DAY = 86_400_000_000
#: An endless failure that is not worth repeating, so that tests do not wait for back-off.
BROKEN: dict[str, Callable[[Faults], None]] = {
    "malformed": lambda faults: faults.malformed(times=10_000),
    "html": lambda faults: faults.html(times=10_000),
    "unauthorized": lambda faults: faults.answer(401, times=10_000),
    # As a firewall or a suspended account answers; nothing in it says that it is about a part of the account.
    "forbidden": lambda faults: faults.answer(403, times=10_000),
    "bad request": lambda faults: faults.answer(418, times=10_000),
}


def emulators(one: World) -> dict[str, Any]:
    return {"taktikal": one.taktikal, "subnoto": one.subnoto}


def small() -> Any:
    return world(taktikal=TaktikalOptions(events=250), subnoto=SubnotoOptions(events=350, tie_burst=2))


def lately(one: World) -> list[Any]:
    """The truth about the thirty days that are asked for by default."""
    now = micros(one.clock())
    return [row for row in one.truth() if now - 30 * DAY <= row[0] < now]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_one_failing_source_fails_the_call(kind: str, source: str) -> None:
    async with small() as one:
        feed = one.gateway()
        first = await ask(feed, limit=50)
        BROKEN[kind](emulators(one)[source].faults)
        for given in ({"limit": 50}, {"cursor": first.next_cursor}):
            with pytest.raises(SourcesFailed) as error:
                await ask(feed, **given)
            assert [(e.source, e.code) for e in error.value.errors] == [
                (source, "source_unauthorized" if kind == "unauthorized" else "source_failed")
            ]
            assert error.value.code == error.value.errors[0].code
        emulators(one)[source].faults.clear()
        # The cursor of before is still good.
        second = await ask(feed, cursor=first.next_cursor)
        assert [r.key for r in first.records + second.records] == [r.key for r in (await ask(feed, limit=100)).records]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_and_comes_back_nothing_is_lost_or_doubled(order: str, seed: int) -> None:
    rng = random.Random(f"{order} {seed}")
    # One call of several: then one stream of a source fails, and others of it do not.
    broken = [*BROKEN.values(), lambda faults: faults.malformed(times=1)]
    async with small() as one:
        feeds = [one.gateway(), one.gateway()]
        since, until = micros(one.clock()) - 50 * DAY, micros(one.clock())
        truth = [row for row in one.truth() if since <= row[0] < until]
        limit, cursor, got, pages = any_limit(seed, 1, 5, 20, 60), None, [], []
        refusals: list[tuple[tuple[str, ...], SourcesFailed]] = []
        given: dict[str, Any] = {"order": order, "partial": True, "since": format_micros(since)}
        for _ in range(2000):
            down = rng.choice([(), (), ("taktikal",), ("subnoto",), ("taktikal", "subnoto")])
            for name, emulator in emulators(one).items():
                emulator.faults.clear()
                if name in down:
                    rng.choice(broken)(emulator.faults)
            asked = given if cursor is None else {"cursor": cursor}
            try:
                page: Page = await ask(rng.choice(feeds), limit=limit(), **asked)
            except SourcesFailed as error:
                refusals.append((down, error))
                continue  # with the same cursor: it stays good
            _check_statuses(page, down)
            assert page.records or not page.has_more, "an empty page that is not the last"
            one.clock.advance(minutes=7)
            pages.append(page)
            records, cursor = cut_off(page, rng)
            got.extend(records)
            if cursor is None:
                break
        for down, error in refusals:
            assert down, "nothing was wrong"
            assert error.code == "source_unavailable"
            assert {each.source for each in error.errors} <= set(down)
        rows = [describe(record) for record in got]
        assert sorted(rows, key=str) == sorted(truth, key=str)
        assert len({record.event().id for record in got}) == len(truth)
        for name in ("taktikal", "subnoto"):
            # Order holds within each page and within each source.
            own = [record.key for record in got if record.event().source == name]
            assert own == sorted(own, reverse=order == "desc")
        for page in pages:
            keys = [record.key for record in page.records]
            assert keys == sorted(keys, reverse=order == "desc")
        assert any(status.status == "failed" for page in pages for status in page.sources)


def _check_statuses(page: Page, down: tuple[str, ...]) -> None:
    for status in page.sources:
        if status.status == "failed":
            assert status.name in down
            assert status.complete_through is None
            assert status.error.source == status.name
        else:
            assert status.complete_through is not None
    if any(status.status == "failed" for status in page.sources):
        assert page.next_cursor is not None, "what failed has to follow"


@pytest.mark.parametrize("given", [{"type": "team.*"}, {"since": "2026-06-01T11:59:59.5Z"}], ids=str)
async def test_where_all_that_has_something_to_give_fails_the_answer_is_unavailable(given: dict[str, str]) -> None:
    """The other source has answered, and has nothing: an empty page with a cursor would be a loop for its caller."""
    async with small() as one:
        feed = one.gateway()
        BROKEN["malformed"](one.subnoto.faults)
        with pytest.raises(SourcesFailed) as error:
            await ask(feed, partial=True, **given)
        assert error.value.code == "source_unavailable"
        one.subnoto.faults.clear()
        assert (await ask(feed, partial=True, **given)).next_cursor is None


async def test_a_search_that_is_not_over_goes_on_beside_a_source_that_fails() -> None:
    async with small() as one:
        BROKEN["malformed"](one.taktikal.faults)
        page = await ask(one.gateway(scan=1), partial=True, actor="nobody@example.com")
        assert (page.records, page.has_more, page.scanned_to is None) == ([], True, False)


async def test_a_category_the_key_may_not_read_is_forbidden_and_the_rest_answers() -> None:
    for category, other in (("team", "envelope"), ("envelope", "team")):
        options = SubnotoOptions(events=900, permissions=frozenset({other}))
        async with world(subnoto=options, taktikal=TaktikalOptions(events=60)) as one:
            found = await walk(one.gateway(), limits=any_limit(2, 9, 80))
            now = micros(one.clock())
            rows = [row for row in one.truth() if now - 30 * DAY <= row[0] < now]
            assert found.rows[::-1] == [row for row in rows if row[1] != "subnoto" or row[2] == other]
            for page in found.pages:
                status = next(status for status in page.sources if status.name == "subnoto")
                assert status.status in ("forbidden", "ok")
            first = next(status for status in found.pages[0].sources if status.name == "subnoto")
            assert first.status == "forbidden"
            assert first.complete_through is not None, "of what can be read"
            assert category in (first.reason or "")
            alone = await ask(one.gateway(), category=category, source="subnoto")
            (status,) = alone.sources
            assert (alone.records, alone.has_more) == ([], False)
            assert (status.status, status.complete_through) == ("forbidden", None)


NO_RIGHT = b'{"statusCode": 403, "error": {"code": "AUTHORIZATION_ERROR"}, "requestId": "r"}'


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_right_that_is_taken_away_in_mid_walk_fails_the_call_and_loses_nothing(order: str) -> None:
    async with small() as one:
        feed = one.gateway()
        truth = lately(one)
        page = await ask(feed, order=order, limit=40)
        rows = [describe(record) for record in page.records]
        for round_ in range(100):
            if page.next_cursor is None:
                break
            if round_ % 2:
                one.subnoto.faults.answer(403, body=NO_RIGHT, times=100)
                with pytest.raises(SourcesFailed) as error:
                    await ask(feed, cursor=page.next_cursor)
                assert [(e.source, e.code) for e in error.value.errors] == [("subnoto", "source_unauthorized")]
                one.subnoto.faults.clear()
            page = await ask(feed, cursor=page.next_cursor, limit=40)
            assert all(source.status == "ok" for source in page.sources)
            rows += [describe(record) for record in page.records]
        assert rows == (truth if order == "asc" else truth[::-1])


async def test_with_partial_what_was_refused_for_a_while_follows() -> None:
    async with small() as one:
        feed = one.gateway()
        truth = lately(one)
        page = await ask(feed, partial=True, limit=40)
        rows, statuses = [describe(record) for record in page.records], set()
        for round_ in range(100):
            if page.next_cursor is None:
                break
            if round_ in (0, 1, 4):
                one.subnoto.faults.answer(403, body=NO_RIGHT, times=100)
            page = await ask(feed, cursor=page.next_cursor, limit=40)
            one.subnoto.faults.clear()
            statuses |= {(source.name, source.status) for source in page.sources}
            rows += [describe(record) for record in page.records]
        assert page.next_cursor is None
        assert ("subnoto", "failed") in statuses
        assert sorted(rows, key=str) == sorted(truth, key=str)


@pytest.mark.parametrize("follow", [True, False])
async def test_a_right_that_is_granted_in_mid_walk_brings_everything_from_then_on(follow: bool) -> None:
    options = SubnotoOptions(events=500, permissions=frozenset({"envelope"}))
    async with world(subnoto=options, taktikal=TaktikalOptions(events=200)) as one:
        feed, since = one.gateway(), micros(one.clock()) - 20 * DAY
        given: dict[str, Any] = {"since": format_micros(since), "order": "asc"} | ({"follow": True} if follow else {})
        page = await ask(feed, **given, limit=50)
        records = list(page.records)
        for round_ in range(100):
            if page.next_cursor is None or (follow and not page.has_more and round_ > 4):
                break
            if round_ == 2:
                one.subnoto.options = replace(options, permissions=frozenset({"envelope", "team"}))
            page = await ask(feed, cursor=page.next_cursor, limit=50)
            records += page.records
        truth = [row for row in one.truth() if since <= row[0] < micros(one.clock()) - 30 * SECOND]
        assert any(row[1:3] == ("subnoto", "team") for row in truth)
        rows = [row for record in records if (row := describe(record))[0] < micros(one.clock()) - 30 * SECOND]
        assert sorted(rows, key=str) == sorted(truth, key=str)


async def test_a_total_without_a_part_that_is_refused_is_a_lower_bound() -> None:
    for permissions in (frozenset({"envelope"}), frozenset[str]()):
        async with world(subnoto=SubnotoOptions(events=400, permissions=permissions)) as one:
            feed = one.gateway()
            now = micros(one.clock())
            visible = sum(now - 30 * DAY <= row[0] < now and row[2] in permissions for row in one.truth())
            for exact in (False, True):
                total = await feed.totals(CountQuery(exact=exact), ANYONE)
                assert (total.value, total.unit, total.relation) == (visible, "events", "gte")


async def test_newer_categories_that_do_not_answer_yet_are_forbidden_not_failed() -> None:
    async with world(subnoto=SubnotoOptions(events=100)) as one:
        feed = one.gateway(SUBNOTO_CATEGORIES="envelope,team,user,dataroom")
        page = await ask(feed, limit=1000)
        assert page.sources[0].status == "forbidden"
        assert "user" in (page.sources[0].reason or "")
        assert "dataroom" in (page.sources[0].reason or "")
        assert [describe(r) for r in page.records][::-1] == [
            row for row in one.truth() if row[0] >= micros(one.clock()) - 30 * DAY
        ]


async def test_the_deadline_is_a_timeout() -> None:
    async with small() as one:
        one.taktikal.latency = 4
        page = await ask(one.gateway(deadline=2), partial=True)
        found = {status.name: (status.status, status.error and status.error.code) for status in page.sources}
        assert found == {"subnoto": ("ok", None), "taktikal": ("failed", "source_timeout")}


async def test_a_failure_is_not_hidden_behind_a_forbidden_category() -> None:
    async with world(subnoto=SubnotoOptions(events=100), taktikal=TaktikalOptions(events=50)) as one:
        feed = one.gateway()
        source = _Hurt(feed.sources["subnoto"])
        feed.sources["subnoto"] = source  # type: ignore[assignment]
        page = await ask(feed, partial=True)
        assert {status.name: status.status for status in page.sources}["subnoto"] == "failed"
        assert page.next_cursor is not None


class _Hurt:
    """A real source whose envelope log comes in an order that shows nothing: it fails before team is refused."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def reader(self, stream: str, span: Any, spent: Any) -> Any:
        return _Failing(self._inner.reader(stream, span, spent), stream)


class _Failing:
    def __init__(self, inner: Any, stream: str) -> None:
        self._inner, self._stream = inner, stream

    async def read(self, want: int, max_calls: int) -> Any:
        if self._stream == "envelope":
            raise SourceFailed("broken")
        await self._inner.read(want, max_calls)
        raise SourceForbidden("refused")

    def hint(self, position: Any) -> Any:
        return self._inner.hint(position)


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


ROUNDS = 100


async def ticks(count: int) -> None:
    """Turns of the event loop: what a cancellation meets is a matter of turns, not of time."""
    for _ in range(count):
        await asyncio.sleep(0)


def once(rng: random.Random) -> list[int]:
    return [rng.randrange(400)]


def twice(rng: random.Random) -> list[int]:
    return [rng.randrange(400), rng.randrange(4)]


@pytest.mark.parametrize("moments", [once, twice])
async def test_calls_that_are_cancelled_leave_no_connection_behind(
    moments: Callable[[random.Random], list[int]],
) -> None:
    rng = random.Random(1)
    async with world(taktikal=TaktikalOptions(events=200), subnoto=SubnotoOptions(events=200)) as one:
        feed = one.gateway(deadline=10, TAKTIKAL_CONCURRENCY="2", SUBNOTO_CONCURRENCY="2")
        for _ in range(ROUNDS):
            asking = asyncio.create_task(ask(feed))
            for moment in moments(rng):
                await ticks(moment)
                asking.cancel()
            await asyncio.wait([asking])
        page = await ask(feed)
        assert [source.status for source in page.sources] == ["ok", "ok"]
        assert page.records
