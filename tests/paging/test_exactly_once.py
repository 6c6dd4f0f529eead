"""Every event exactly once, in order, whatever the answers to the vendors' unknowns are."""

import itertools
import json
import os
import random
from typing import Any

import pytest

from app.domain.times import format_micros
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over
from tests.worlds import ANYONE, SECRET, World, any_limit, ask, describe, micros, served_world, walk, world

DAY = 86_400_000_000
FUZZ = "FUZZ_EXAMPLES" in os.environ  #: whether there is time for each with each, on histories twice as long
TWICE = 2 if FUZZ else 1

TAKTIKAL: dict[str, dict[str, Any]] = {
    f"{selects}-{logs}-{order}": {"range_selects": selects, "logs": logs, "order": order}
    for selects, logs, order in itertools.product(
        ("activity", "creation"), ("whole", "trimmed"), ("newest", "oldest", "shuffled_stable", "shuffled")
    )
} | {
    "inclusive-end": {"end_inclusive": True, "logs": "trimmed"},
    "seconds": {"query_precision": "seconds", "end_inclusive": True},
    "minutes": {"query_precision": "minutes"},
    "days": {"query_precision": "days"},
    "days-inclusive": {"query_precision": "days", "end_inclusive": True, "logs": "trimmed"},
    "days-creation": {"query_precision": "days", "range_selects": "creation"},
    "minutes-keys-ignore-dates": {"query_precision": "minutes", "key_dates": "ignored"},
    "older": {"generation": "older", "entry_ids": "none"},
    "older-trimmed": {"generation": "older", "entry_ids": "none", "logs": "trimmed", "order": "shuffled"},
    "company-ids": {"entry_ids": "company", "letter_case": "pascal"},
    "cap-15": {"max_take": 15, "order": "shuffled"},
    "refused-over-15": {"max_take": 15, "take_beyond": "refused", "order": "shuffled"},
    "refused-over-3-creation": {
        "max_take": 3, "take_beyond": "refused", "range_selects": "creation", "events": 100,
    },
    "cap-15-creation": {"max_take": 15, "order": "shuffled_stable", "range_selects": "creation"},
    "cap-15-creation-trimmed": {
        "max_take": 15, "order": "newest", "range_selects": "creation", "logs": "trimmed",
    },
    "keys-ignore-dates": {"key_dates": "ignored"},
    "keys-ignore-dates-creation": {"key_dates": "ignored", "range_selects": "creation"},
    **{
        f"last-update-{logs}-{order}": {"range_selects": "last_update", "logs": logs, "order": order}
        for logs, order in itertools.product(("whole", "trimmed"), ("newest", "shuffled"))
    },
    "cap-15-last-update": {"range_selects": "last_update", "max_take": 15, "order": "shuffled_stable"},
    "cut-by-bytes": {"max_bytes": 70_000},
    "cut-by-few-bytes": {"max_bytes": 40_000, "order": "shuffled"},
    "cut-by-bytes-creation": {"max_bytes": 70_000, "range_selects": "creation", "order": "oldest"},
    "split-by-process": {"split_items": "by_process"},
    "split-by-item-trimmed": {"split_items": "by_item", "logs": "trimmed", "order": "shuffled"},
    "split-creation": {"split_items": "by_item", "range_selects": "creation", "max_take": 15},
    "tied-entries": {"tied_entries": "shuffled", "entry_ids": "none", "created_precision": "seconds"},
    "tied-entries-split": {
        "tied_entries": "shuffled", "entry_ids": "none", "split_items": "by_process", "generation": "older",
        "created_precision": "milliseconds", "twins": 0.0,
    },
    "totals-lag": {"total_lag_seconds": 10.0},
    "totals-lag-by-days": {"total_lag_seconds": 200_000.0, "order": "shuffled"},
    **{f"totals-off-by-{off}": {"total_offset": off} for off in (-50, -1, 1, 50)},
    **{f"totals-off-by-{off}-creation": {"total_offset": off, "range_selects": "creation"} for off in (-50, 1)},
    "totals-capped": {"total_cap": 12},
    "totals-capped-as-answers": {"total_cap": 15, "max_take": 15},
    "totals-capped-creation": {"total_cap": 8, "max_take": 15, "range_selects": "creation", "order": "oldest"},
    "asp-net-dates": {"dates": "asp_net", "created_precision": "milliseconds"},
    "rfc-1123-dates": {"dates": "rfc_1123", "created_precision": "seconds"},
}  # fmt: skip

SUBNOTO: dict[str, dict[str, Any]] = {
    f"{totals}-{author}-{unit}": {"totals": totals, "author": author, "unit": unit}
    for totals, author, unit in itertools.product(
        ("pagination", "totalCount"), ("uuid", "id"), ("milliseconds", "seconds", "float_seconds")
    )
    if FUZZ or (totals == "pagination") == (author == "uuid")
} | {
    "skew": {"skew_seconds": 119.0, "ties": "shuffled"},
    "skew-seconds": {"skew_seconds": 119.0, "unit": "seconds", "tie_burst": 40},
    "burst": {"tie_burst": 60, "ties": "reverse"},
    "no-newer-types": {"newer_types": False},
    "pages-of-7": {"max_limit": 7, "events": 400},
    "repeats-the-last-page": {"beyond_the_end": "last"},
    "refuses-pages-beyond-the-end": {"beyond_the_end": "refused"},
    "date-ahead": {"date_ahead_seconds": 3600.0},
    **{f"totals-off-by-{off}": {"total_offset": off} for off in (-50, -1, 1)},
    **{f"totals-differ-by-{off}": {"total_jitter": off} for off in (1, 50)},
    "totals-of-pages": {"total_of_page": True, "totals": "totalCount"},
    "totals-capped-as-pages": {"total_cap": 20, "max_limit": 20, "events": 400},
    "totals-capped": {"total_cap": 400, "totals": "totalCount"},
    "totals-capped-repeats": {"total_cap": 400, "totals": "totalCount", "beyond_the_end": "last"},
}

#: Logs that move while they are read, or hold a wrong time.
UNSTEADY: dict[str, dict[str, Any]] = {
    "ahead": {"wrong_time": "ahead"}, "future": {"wrong_time": "future", "wrong_time_at": 400},
    "epoch": {"wrong_time": "epoch", "wrong_time_at": 400}, "old": {"wrong_time": "old", "wrong_time_at": -1},
    # Rows put at the end in one instant are equal: pages of nothing else have no order.
    "ring": {"removed_every": 7, "removed": 2, "ring": True}, "deletions": {"removed_every": 9, "removed": 17},
    "one-large-deletion": {"removed_every": 12, "removed": 200, "ring": True},
}  # fmt: skip


def in_log_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of one microsecond and process that have no ids, which stand next to each other, by their status."""
    groups = itertools.groupby(rows, key=lambda row: (row[:4], row[5]))
    return [row for (_, number), group in groups for row in (sorted(group) if number is None else group)]


async def check(one: World, *, grow: Any = None) -> None:
    """Walks up, down, on two replicas in turn, with changing limits, cut behind any event, while the history grows."""
    now = micros(one.clock())
    since, until = now - 30 * DAY - 12_345, now
    truth = [row for row in one.truth() if since <= row[0] < until]
    window = {"since": format_micros(since), "until": format_micros(until)}
    replicas = [one.gateway(), one.gateway()]
    down = await walk(replicas, limits=any_limit(1), between=grow, **window)
    assert in_log_order(down.rows[::-1]) == in_log_order(truth)
    assert len(set(down.ids)) == len(down.ids)
    cuts = random.Random(4)
    up = await walk(replicas, limits=any_limit(2), between=grow, order="asc", cuts=cuts, **window)
    assert in_log_order(up.rows) == in_log_order(truth)
    assert up.ids == down.ids[::-1]
    rng, other = random.Random(3), one.gateway(secret=SECRET[::-1])
    for record in rng.sample(down.records, min(12, len(down.records))):
        # Another replica with another secret: nothing of the walk is left to help. The envelope shows the present.
        found = await other.event(record.event().id, ANYONE)
        assert (found.event().id, describe(found)) == (record.event().id, describe(record))
    narrow = await walk(replicas, limits=300, cuts=cuts, type=["recipient.*", "envelope.completed"], **window)
    kept = {e.id for e in down.events if e.type.startswith("recipient.") or e.type == "envelope.completed"}
    assert set(narrow.ids) == kept
    assert len(narrow.ids) == len(kept)
    assert one.refused() == []


@pytest.mark.parametrize("options", TAKTIKAL.values(), ids=TAKTIKAL.keys())
async def test_taktikal_whatever_the_unknowns(options: dict[str, Any]) -> None:
    settings = {"events": 250 * TWICE, "twins": 0.03, "tie_burst": 3, **options}
    async with world(taktikal=TaktikalOptions(**settings)) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=3))


@pytest.mark.parametrize("options", SUBNOTO.values(), ids=SUBNOTO.keys())
async def test_subnoto_whatever_the_unknowns(options: dict[str, Any]) -> None:
    settings = {"events": 600 * TWICE, "twins": 0.03, "tie_burst": 5, **options}
    async with world(subnoto=SubnotoOptions(**settings)) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=3))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("options", UNSTEADY.values(), ids=UNSTEADY.keys())
async def test_subnoto_that_moves_or_errs(options: dict[str, Any], order: str) -> None:
    """What stays and has a time within the window comes once, on a cold and on a warm process."""
    async with world(subnoto=SubnotoOptions(events=800, tie_burst=5, **options)) as one:
        now = micros(one.clock())
        since, feed = now - 30 * DAY, one.gateway()
        for limits in (100, 1000):
            before = {row for row in one.truth() if since <= row[0] < now}
            found = await walk(feed, limits=limits, since=format_micros(since), order=order)
            after = set(one.truth())
            assert len(set(found.ids)) == len(found.ids)
            assert (before & after) - set(found.rows) == set()


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("cap", [0, 100])
@pytest.mark.parametrize("limit", [1, 50, 100, 1000])
async def test_a_full_last_page_that_comes_again_after_a_total_too_low(limit: int, cap: int, order: str) -> None:
    options: dict[str, Any] = {"total_cap": cap, "totals": "totalCount", "beyond_the_end": "last"}
    async with world(subnoto=SubnotoOptions(events=180 if limit == 1 else 700, tie_burst=5, **options)) as one:
        history, now = one.subnoto.history, micros(one.clock())
        history.delete_oldest(sum(row[2] == "envelope" for row in one.truth()) % 50)
        since = format_micros(now - 3650 * DAY)
        found = await walk(one.gateway(), limits=limit, since=since, order=order, category="envelope")
        assert found.rows
        assert len(found.rows) % 50 == 0
        assert found.rows[:: 1 if order == "asc" else -1] == [row for row in one.truth() if row[2] == "envelope"]
        assert one.refused() == []


@pytest.mark.parametrize("kind", ["ahead", "future", "epoch", "old"])
async def test_a_wrong_newest_row_spoils_no_page_count_or_export(kind: Any) -> None:
    """In windows that begin before and behind it, on a cold and on a warm process. Rows older than the skew allows for
    are named with the setting; rows that are no events make a count an estimate."""
    options = SubnotoOptions(events=500, days=3, tie_burst=5, wrong_time=kind, wrong_time_at=-1)
    with served_world(None, options) as one:
        now = micros(one.clock())
        for hours in ((1, 24), (24, 1)):
            async with opened(app_over(one, totals_ttl=0)) as client:
                for since in (now - number * DAY // 24 for number in hours):
                    true = [format_micros(row[0]) for row in one.truth() if since <= row[0] < now]
                    window = {"since": format_micros(since), "until": format_micros(now)}
                    for more in ({}, {"exact": "true"}, {"by": "category"}):
                        total = (await client.get("/events/count", params={**window, **more})).json()
                        assert total["value"] == len(true)
                        assert total["relation"] == ("estimate" if kind in ("future", "epoch") else "eq")
                    page = (await client.get("/events", params={**window, "limit": 1000})).json()
                    assert [event["occurred_at"] for event in page["data"]][::-1] == true
                    assert ("set SUBNOTO_MAX_TIME_SKEW=" in (page["sources"][0]["reason"] or "")) == (kind == "old")
                    export = await client.get("/events/export", params={**window, "unreadable": "skip"})
                    lines = list(map(json.loads, export.text.splitlines()))
                    assert [line["occurred_at"] for line in lines[:-1]] == true[::-1]


async def test_both_together_while_both_grow() -> None:
    async with world(
        taktikal=TaktikalOptions(events=900, twins=0.02, logs="trimmed", order="shuffled"),
        subnoto=SubnotoOptions(events=900, twins=0.02, skew_seconds=90, unit="seconds"),
    ) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=10))


async def test_the_default_window_is_the_last_thirty_days() -> None:
    async with world(subnoto=SubnotoOptions(events=500)) as one:
        now = micros(one.clock())
        page = await ask(one.gateway())
        assert (page.window.since, page.window.until) == (now - 30 * DAY, now)
