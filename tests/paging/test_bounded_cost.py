"""The cost of a page at the providers, counted by the emulators: calls, records, concurrency."""

from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

import pytest

from app.domain.times import DAY, format_micros
from app.feed.service import Feed
from benchmarks.calls import accounts, row
from sandbox.subnoto import Emulator as SubnotoEmulator
from sandbox.subnoto import Record
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, ask, walk, window, world

ACCOUNTS = tuple(accounts(1))


def smooth(clock: Clock, count: int, days: int) -> SubnotoEmulator:
    """Return an emulator with `count` envelope records, spread evenly over `days`."""
    begin = int((clock() - timedelta(days=days)).timestamp() * 1000)
    step = days * 86_400_000 / count
    author = {"id": 7, "uuid": "00000000-0000-4000-8000-000000000007", "email": "a@example.com", "name": "A"}
    envelope = "11111111-1111-4111-8111-%012d"
    records = [
        Record(
            "envelope", "ENVELOPE_OPENED", begin + int(number * step), {}, author, envelope % (number // 6),
            "22222222-2222-4222-8222-222222222222",
        )
        for number in range(count)
    ]  # fmt: skip
    return SubnotoEmulator(SubnotoOptions(), clock=clock, records=records)


async def test_a_window_in_a_smooth_history_is_found_in_few_calls(order: str) -> None:
    clock = Clock()
    async with world(subnoto=smooth(clock, 50_000, 120), clock=clock) as one:
        feed = one.gateway()
        for back in (3, 77, 110):
            one.reset_calls()
            page = await ask(feed, **window(one, back + 5, 5), order=order, category="envelope")
            assert len(page.records) == 100
            # An ascending page reads one page again at the end, to see whether the log moved. A new process also
            # reads behind the log's last page, because that is full.
            assert one.calls() <= (6 if order == "desc" else 7) + (back == 3)
            for limit in (100, 50, 1000):
                one.reset_calls()
                page = await ask(feed, cursor=page.next_cursor, limit=limit)
                assert len(page.records) == limit
                assert one.calls() <= ceil(limit / 50) + 2


async def test_a_first_page_costs_less_after_other_pages_of_the_log() -> None:
    """Other pages show roughly which positions have which times, and how the two categories share a page."""
    async with world(subnoto=SubnotoOptions(events=20_000)) as one:
        since = format_micros(one.now - 60 * DAY)
        ends = [format_micros(one.now - days * DAY) for days in (9, 21, 33, 45)]

        async def cost(feed: Feed, until: str, limit: int) -> int:
            one.reset_calls()
            page = await ask(feed, until=until, since=since, limit=limit)
            assert len(page.records) == limit
            return one.calls()

        for limit, fewer in ((100, 3), (1000, 1)):
            feed = one.gateway()
            await cost(feed, ends[0], limit)
            after = [await cost(feed, end, limit) for end in ends[1:]]
            alone = [await cost(one.gateway(), end, limit) for end in ends[1:]]
            assert sum(after) <= sum(alone) - fewer * len(after)


@pytest.mark.parametrize("limit", [10, 100, 1000])
async def test_a_follower_without_new_events_costs_one_call_a_stream(limit: int) -> None:
    async with world(subnoto=SubnotoOptions(events=20_000), taktikal=TaktikalOptions(events=2_000)) as one:
        feed = one.gateway()
        since = format_micros(one.now - DAY // 24)
        page = await ask(feed, follow="true", order="asc", since=since, limit=1000)
        for _ in range(5):
            one.clock.advance(seconds=1)
            one.reset_calls()
            page = await ask(feed, cursor=page.next_cursor, limit=limit)
            assert page.records == []
            assert (one.subnoto.calls.total, one.taktikal.calls.total) == (2, 1)


async def test_the_calls_of_a_large_page_are_concurrent() -> None:
    clock = Clock()
    async with world(subnoto=smooth(clock, 20_000, 60), clock=clock) as one:
        one.subnoto.latency = 0.05
        page = await ask(one.gateway(), category="envelope", limit=1000)
        assert len(page.records) == 1000
        assert one.subnoto.calls.most_in_flight >= 20


async def test_taktikal_loads_few_processes_beyond_those_of_a_page() -> None:
    clock = Clock(datetime(2026, 5, 20, 15, tzinfo=UTC))
    async with world(taktikal=TaktikalOptions(events=11_000, days=20), clock=clock) as one:
        processes, _ = one.taktikal.history.size()
        assert 850 < processes < 1100
        feed = one.gateway()
        since = format_micros(one.now - 20 * DAY)
        page = await ask(feed, since=since, limit=100)
        assert len(page.records) == 100
        assert one.taktikal.calls.records <= 200  # 50 of them for the calibration

        one.reset_calls()
        found = await walk(feed, since=since, limits=1000)
        assert len(found.records) > 10_000
        assert one.taktikal.calls.records <= 3 * processes
        assert max(status.calls for page in found.pages for status in page.sources) <= 4
        assert one.calls() <= 3 * len(found.pages)


DOCUMENTED = Path("docs/performance.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("size", [1_000, 10_000])
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_the_documented_numbers_of_calls_are_current(account: str, size: int) -> None:
    assert await row(account, size) in DOCUMENTED, "run `make bench-calls`"


async def test_subnotos_cost_grows_with_the_logarithm_of_the_history() -> None:
    large = await row("Subnoto", 100_000)
    assert large in DOCUMENTED
    small = next(line for line in DOCUMENTED if line.startswith("| Subnoto | 1,000 |"))
    first = [int(line.split("|")[3].split("/")[0].replace(",", "")) for line in (small, large)]
    assert first[1] - first[0] <= 2 * 3.33 * 2  # two streams, two calls for each doubling
