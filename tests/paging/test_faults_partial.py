"""Failing sources: by default the call fails; with `partial=true` the other sources answer, and no event is lost."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import SourceFailed, SourceForbidden, SourcesFailed, SourceTimeout, SourceUnavailable
from app.domain.parameters import read_query
from app.domain.query import CountQuery, EventQuery
from app.domain.times import DAY, SECOND, format_micros
from app.feed.model import FeedSettings, Page
from app.feed.service import Feed
from app.providers.base import Batch
from app.providers.subnoto.reader import SubnotoReader
from sandbox.faults import Faults
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.memory import MemorySource, history
from tests.worlds import ANYONE, SECRET, World, any_limit, ask, cut_off, describe, walk, world

#: Permanent failures that are not retried, so that tests do not wait.
BROKEN: dict[str, Callable[[Faults], None]] = {
    "malformed": lambda faults: faults.malformed(times=10_000),
    "html": lambda faults: faults.html(times=10_000),
    "unauthorized": lambda faults: faults.answer(401, times=10_000),
    # As from a firewall or for a suspended account: without a code for a missing permission.
    "forbidden": lambda faults: faults.answer(403, times=10_000),
    "bad request": lambda faults: faults.answer(418, times=10_000),
}


def emulators(one: World) -> dict[str, Any]:
    return {"taktikal": one.taktikal, "subnoto": one.subnoto}


def small() -> Any:
    return world(taktikal=TaktikalOptions(events=250), subnoto=SubnotoOptions(events=350, tie_burst=2))


def last_30_days(one: World) -> list[Any]:
    """Return the events of the default window."""
    return one.truth(one.now - 30 * DAY, one.now)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_one_failing_source_fails_the_call(kind: str, source: str) -> None:
    async with small() as one:
        feed = one.gateway()
        first = await ask(feed, limit=50)
        BROKEN[kind](emulators(one)[source].faults)
        for query in ({"limit": 50}, {"cursor": first.next_cursor}):
            with pytest.raises(SourcesFailed) as error:
                await ask(feed, **query)
            assert [(e.source, e.code) for e in error.value.errors] == [
                (source, "source_unauthorized" if kind == "unauthorized" else "source_failed")
            ]
            assert error.value.code == error.value.errors[0].code
        emulators(one)[source].faults.clear()
        # The earlier cursor is still valid.
        second = await ask(feed, cursor=first.next_cursor)
        assert [r.key for r in first.records + second.records] == [r.key for r in (await ask(feed, limit=100)).records]


@pytest.mark.parametrize("seed", range(4))
async def test_sources_that_fail_and_recover_lose_and_repeat_nothing(order: str, seed: int) -> None:
    rng = random.Random(f"{order} {seed}")
    # A single failure affects one stream of a source, and not its others.
    broken = [*BROKEN.values(), lambda faults: faults.malformed(times=1)]
    async with small() as one:
        feeds = [one.gateway(), one.gateway()]
        since, until = one.now - 50 * DAY, one.now
        truth = one.truth(since, until)
        limit, cursor, got, pages = any_limit(seed, 1, 5, 20, 60), None, [], []
        refusals: list[tuple[tuple[str, ...], SourcesFailed]] = []
        first: dict[str, Any] = {"order": order, "partial": True, "since": format_micros(since)}
        for _ in range(2000):
            down = rng.choice([(), (), ("taktikal",), ("subnoto",), ("taktikal", "subnoto")])
            for name, emulator in emulators(one).items():
                emulator.faults.clear()
                if name in down:
                    rng.choice(broken)(emulator.faults)
            query = first if cursor is None else {"cursor": cursor}
            try:
                page: Page = await ask(rng.choice(feeds), limit=limit(), **query)
            except SourcesFailed as error:
                refusals.append((down, error))
                continue  # with the same cursor, which stays valid
            _check_statuses(page, down)
            assert page.records or not page.has_more, "an empty page that is not the last"
            one.clock.advance(minutes=7)
            pages.append(page)
            records, cursor = cut_off(page, rng)
            got.extend(records)
            if cursor is None:
                break
        for down, error in refusals:
            assert down, "the call failed without a fault"
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
        assert page.next_cursor is not None, "the events of the failed source could not follow"


@pytest.mark.parametrize("query", [{"type": "team.*"}, {"since": "2026-06-01T11:59:59.5Z"}], ids=str)
async def test_the_answer_is_503_if_each_source_with_further_events_fails(query: dict[str, str]) -> None:
    """The other source has no further events: an empty page with a cursor would be a loop for its caller."""
    async with small() as one:
        feed = one.gateway()
        BROKEN["malformed"](one.subnoto.faults)
        with pytest.raises(SourcesFailed) as error:
            await ask(feed, partial=True, **query)
        assert error.value.code == "source_unavailable"
        one.subnoto.faults.clear()
        assert (await ask(feed, partial=True, **query)).next_cursor is None


async def test_an_unfinished_scan_continues_beside_a_failing_source() -> None:
    async with small() as one:
        BROKEN["malformed"](one.taktikal.faults)
        page = await ask(one.gateway(scan=1), partial=True, actor="nobody@example.com")
        assert (page.records, page.has_more, page.scanned_to is None) == ([], True, False)


async def test_a_category_without_permission_is_forbidden_and_the_others_answer() -> None:
    for category, other in (("team", "envelope"), ("envelope", "team")):
        options = SubnotoOptions(events=900, permissions=frozenset({other}))
        async with world(subnoto=options, taktikal=TaktikalOptions(events=60)) as one:
            found = await walk(one.gateway(), limits=any_limit(2, 9, 80))
            assert found.rows[::-1] == [row for row in last_30_days(one) if row[1] != "subnoto" or row[2] == other]
            for page in found.pages:
                status = next(status for status in page.sources if status.name == "subnoto")
                assert status.status in ("forbidden", "ok")
            first = next(status for status in found.pages[0].sources if status.name == "subnoto")
            assert first.status == "forbidden"
            assert first.complete_through is not None, "the readable category has no complete_through"
            assert category in (first.reason or "")
            alone = await ask(one.gateway(), category=category, source="subnoto")
            (status,) = alone.sources
            assert (alone.records, alone.has_more) == ([], False)
            assert (status.status, status.complete_through) == ("forbidden", None)


NO_PERMISSION = b'{"statusCode": 403, "error": {"code": "AUTHORIZATION_ERROR"}, "requestId": "r"}'


async def test_a_permission_removed_during_a_walk_fails_the_call_and_loses_nothing(order: str) -> None:
    async with small() as one:
        feed = one.gateway()
        truth = last_30_days(one)
        page = await ask(feed, order=order, limit=40)
        rows = [describe(record) for record in page.records]
        for round_ in range(100):
            if page.next_cursor is None:
                break
            if round_ % 2:
                one.subnoto.faults.answer(403, body=NO_PERMISSION, times=100)
                with pytest.raises(SourcesFailed) as error:
                    await ask(feed, cursor=page.next_cursor)
                assert [(e.source, e.code) for e in error.value.errors] == [("subnoto", "source_unauthorized")]
                one.subnoto.faults.clear()
            page = await ask(feed, cursor=page.next_cursor, limit=40)
            assert all(source.status == "ok" for source in page.sources)
            rows += [describe(record) for record in page.records]
        assert rows == (truth if order == "asc" else truth[::-1])


async def test_with_partial_events_follow_once_a_permission_is_restored() -> None:
    async with small() as one:
        truth, pages = last_30_days(one), itertools.count()

        def change_permission() -> None:
            one.subnoto.faults.clear()
            if next(pages) in (0, 1, 4):
                one.subnoto.faults.answer(403, body=NO_PERMISSION, times=100)

        found = await walk(one.gateway(), limits=40, most=100, between=change_permission, partial=True)
        assert ("subnoto", "failed") in {
            (source.name, source.status) for page in found.pages for source in page.sources
        }
        assert sorted(found.rows, key=str) == sorted(truth, key=str)


@pytest.mark.parametrize("follow", [True, False])
async def test_a_permission_granted_during_a_walk_adds_all_later_events(follow: bool) -> None:
    options = SubnotoOptions(events=500, permissions=frozenset({"envelope"}))
    async with world(subnoto=options, taktikal=TaktikalOptions(events=200)) as one:
        feed, since = one.gateway(), one.now - 20 * DAY
        query: dict[str, Any] = {"since": format_micros(since), "order": "asc"} | ({"follow": True} if follow else {})
        page = await ask(feed, **query, limit=50)
        records = list(page.records)
        for round_ in range(100):
            if page.next_cursor is None or (follow and not page.has_more and round_ > 4):
                break
            if round_ == 2:
                one.subnoto.options = replace(options, permissions=frozenset({"envelope", "team"}))
            page = await ask(feed, cursor=page.next_cursor, limit=50)
            records += page.records
        truth = one.truth(since, one.now - 30 * SECOND)
        assert any(row[1:3] == ("subnoto", "team") for row in truth)
        rows = [row for record in records if (row := describe(record))[0] < one.now - 30 * SECOND]
        assert sorted(rows, key=str) == sorted(truth, key=str)


async def test_a_total_without_a_forbidden_category_is_a_lower_bound() -> None:
    for permissions in (frozenset({"envelope"}), frozenset[str]()):
        async with world(subnoto=SubnotoOptions(events=400, permissions=permissions)) as one:
            feed = one.gateway()
            visible = sum(row[2] in permissions for row in last_30_days(one))
            for exact in (False, True):
                total = await feed.totals(CountQuery(exact=exact), ANYONE)
                assert (total.value, total.unit, total.relation) == (visible, "events", "gte")


async def test_categories_that_the_server_does_not_implement_are_forbidden_not_failed() -> None:
    async with world(subnoto=SubnotoOptions(events=100)) as one:
        feed = one.gateway(SUBNOTO_CATEGORIES="envelope,team,user,dataroom")
        page = await ask(feed, limit=1000)
        assert page.sources[0].status == "forbidden"
        assert "user" in (page.sources[0].reason or "")
        assert "dataroom" in (page.sources[0].reason or "")
        assert [describe(record) for record in page.records][::-1] == last_30_days(one)


async def test_the_deadline_is_a_timeout() -> None:
    async with small() as one:
        one.taktikal.latency = 4
        page = await ask(one.gateway(deadline=2), partial=True)
        found = {status.name: (status.status, status.error and status.error.code) for status in page.sources}
        assert found == {"subnoto": ("ok", None), "taktikal": ("failed", "source_timeout")}


async def test_a_failure_is_not_hidden_behind_a_forbidden_category(monkeypatch: pytest.MonkeyPatch) -> None:
    """The envelope stream fails before the team stream is forbidden."""
    read = SubnotoReader.read

    async def fail(reader: SubnotoReader, want: int, max_calls: int) -> Batch:
        if reader.walk.calls.query.category == "envelope":
            raise SourceFailed("broken")
        await read(reader, want, max_calls)
        raise SourceForbidden("refused")

    monkeypatch.setattr(SubnotoReader, "read", fail)
    async with world(subnoto=SubnotoOptions(events=100), taktikal=TaktikalOptions(events=50)) as one:
        page = await ask(one.gateway(), partial=True)
        assert {status.name: status.status for status in page.sources}["subnoto"] == "failed"
        assert page.next_cursor is not None


class Slow(MemorySource):
    """A source whose totals never return."""

    async def total(self, *_: Any) -> Any:
        await asyncio.Event().wait()


def feed_of(*sources: MemorySource) -> Feed:
    return Feed(sources, FeedSettings((SECRET,)))


@pytest.mark.parametrize("partial", ["true", "false"])
async def test_a_page_that_fails_does_not_wait_for_its_total(partial: str) -> None:
    north = Slow("north", history("north", 30))
    north.error = SourceUnavailable("paused for a while", retry_after=30.0)
    query = read_query(EventQuery, [("since", "2026-04-30"), ("include", "total"), ("partial", partial)])
    async with asyncio.timeout(5):
        with pytest.raises(SourcesFailed, match="paused"):
            await feed_of(north).page(query, ANYONE)


async def test_failed_sources_are_named_in_the_order_of_their_names() -> None:
    sources = [MemorySource(f"account-{number}", []) for number in range(9)]
    for source in sources:
        source.error = SourceTimeout(f"{source.name} is slow")
    with pytest.raises(SourcesFailed) as error:
        await feed_of(*sources).page(read_query(EventQuery, [("partial", "true")]), ANYONE)
    assert [one.source for one in error.value.errors] == [source.name for source in sources]


@pytest.mark.parametrize("iterations", [(400,), (400, 4)], ids=["once", "twice"])
async def test_cancelled_calls_leave_no_connection_in_use(iterations: tuple[int, ...]) -> None:
    """`iterations`: of the event loop, at most, before each cancellation."""
    rng = random.Random(1)
    async with world(taktikal=TaktikalOptions(events=200), subnoto=SubnotoOptions(events=200)) as one:
        feed = one.gateway(deadline=10, TAKTIKAL_CONCURRENCY="2", SUBNOTO_CONCURRENCY="2")
        for _ in range(100):
            call = asyncio.create_task(ask(feed))
            for most in iterations:
                for _ in range(rng.randrange(most)):
                    await asyncio.sleep(0)
                call.cancel()
            await asyncio.wait([call])
        page = await ask(feed)
        assert [source.status for source in page.sources] == ["ok", "ok"]
        assert page.records
