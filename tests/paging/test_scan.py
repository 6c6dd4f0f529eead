"""Rare matches of the gateway's filters are found page by page (contract, section 5): bounded calls, `scanned_to`,
nothing lost."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.times import DAY, format_micros
from sandbox.subnoto import Record
from tests.filters.facts import facts, rows
from tests.worlds import SubnotoOptions, TaktikalOptions, World, walk, world

WORKSPACE = "22222222-2222-4222-8222-222222222222"
RARE_ADDRESS = "needle@example.com"
RARE = {"id": 77, "uuid": "77777777-7777-4777-8777-777777777777", "email": RARE_ADDRESS, "name": "Rare"}


def append_rare_events(one: World, count: int) -> None:
    for number in range(count):
        moment = one.clock() - timedelta(days=29 * number / count, minutes=number)
        one.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment, author=RARE)


async def test_all_rare_events_of_subnoto_are_found_within_the_budget(order: str) -> None:
    """`scanned_to` never moves back."""
    envelope = "11111111-1111-4111-8111-111111111111"
    plain = Record("envelope", "ENVELOPE_SENT", 0, envelope_uuid=envelope, workspace_uuid=WORKSPACE)
    rare = replace(plain, event_type="ENVELOPE_OPENED", author=RARE)
    async with world(subnoto=SubnotoOptions(events=0)) as one:
        begin = int((one.clock() - timedelta(days=30)).timestamp() * 1000)
        step = 30 * 86_400_000 // 3000
        made = (replace(rare if n % 700 == 10 else plain, timestamp=begin + n * step) for n in range(3000))
        one.subnoto.history.insert(made)
        since = one.now - 30 * DAY
        expected = rows(facts(one), since, one.now, lambda f: f.actor == RARE_ADDRESS)
        found = await walk(
            one.gateway(scan=6), limits=3, most=400, order=order, actor=RARE_ADDRESS, since=format_micros(since)
        )
        assert found.rows == (expected if order == "asc" else expected[::-1])
        marks = [page.scanned_to for page in found.pages if page.scanned_to is not None]
        assert marks, "no page reached its budget"
        assert marks == sorted(marks, reverse=order == "desc")
        assert found.pages[-1].scanned_to is None
        assert any(not page.records for page in found.pages)
        found = await walk(one.gateway(scan=6), limits=100, actor=RARE_ADDRESS, order=order)
        # The search for the first position is not bounded by the budget; other calls are.
        assert all(page.sources[0].calls <= 6 + 2 for page in found.pages[1:])
        assert one.refused() == []


@pytest.mark.parametrize("selects", ["activity", "creation"])
async def test_a_small_budget_loses_nothing_of_either_provider(order: str, selects: Any) -> None:
    async with world(
        taktikal=TaktikalOptions(events=1500, days=60, range_selects=selects),
        subnoto=SubnotoOptions(events=1200, days=60),
    ) as one:
        append_rare_events(one, 9)
        # The older ones are appended last, which exceeds the default skew.
        now = one.now
        feed = one.gateway(scan=3, SUBNOTO_MAX_TIME_SKEW="86400")
        known = facts(one)
        expected = [f for f in known if now - 30 * DAY <= f.time < now and f.type == "notification.failed"]
        found = await walk(feed, limits=20, most=400, order=order, type="notification.failed")
        assert found.rows == [f.row for f in (expected if order == "asc" else expected[::-1])]
        assert one.refused() == []


@pytest.mark.parametrize("scan", [1, 2, 10])
async def test_a_walk_passes_a_burst_larger_than_the_budget(order: str, scan: int) -> None:
    """One millisecond contains more records than a page may read."""
    size = 150 if scan < 3 else 700
    async with world(subnoto=SubnotoOptions(events=300, days=10, skew_seconds=0)) as one:
        burst = int((one.clock() - timedelta(minutes=5)).timestamp() * 1000)
        envelope = "11111111-1111-4111-8111-%012d"
        one.subnoto.history.insert(
            Record("envelope", "ENVELOPE_OPENED", burst + (n > size // 2), {"n": n},
                   RARE if n % 60 == 7 else one.subnoto.history.account.users[0], envelope % (n % 5), WORKSPACE)
            for n in range(size)
        )  # fmt: skip
        one.subnoto.history.append("ENVELOPE_SENT", author=RARE, timestamp=one.clock() - timedelta(minutes=1))
        expected = rows(facts(one), 0, one.now, lambda f: f.actor == RARE_ADDRESS)
        found = await walk(one.gateway(scan=scan), limits=4, most=150, order=order, actor=RARE_ADDRESS)
        assert found.rows == (expected if order == "asc" else expected[::-1])


async def test_a_walk_without_a_match_ends() -> None:
    async with world(taktikal=TaktikalOptions(events=900), subnoto=SubnotoOptions(events=1500)) as one:
        found = await walk(one.gateway(scan=2), most=200, actor="nobody@example.com")
        assert found.records == []
        assert len(found.pages) > 2
        assert found.pages[-1].next_cursor is None
