"""Each event exactly once, in order, under every answer to the questions that the vendors' documents leave open."""

import itertools
import json
import os
import random
from typing import Any

import pytest

from app.domain.times import DAY, format_micros
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over
from tests.worlds import ANYONE, SECRET, World, any_limit, describe, served_world, walk, world

FUZZ = "FUZZ_EXAMPLES" in os.environ  #: all combinations, on histories twice as long
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
    "fails-over-120": {"max_take": 120, "take_beyond": "fails"},
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
    "refused-beyond-the-end": {"beyond_the_end": "refused"},
    "fails-beyond-the-end-of-pages": {"beyond_the_end": "fails", "max_take": 15},
    "refused-beyond-the-end-without-totals": {"beyond_the_end": "refused", "totals": "absent", "max_take": 15},
    "fails-beyond-the-end-creation": {"beyond_the_end": "fails", "totals": "absent", "range_selects": "creation"},
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

#: Logs that change while they are read, or contain a wrong time.
UNSTEADY: dict[str, dict[str, Any]] = {
    "ahead": {"wrong_time": "ahead"}, "future": {"wrong_time": "future", "wrong_time_at": 400},
    "epoch": {"wrong_time": "epoch", "wrong_time_at": 400}, "old": {"wrong_time": "old", "wrong_time_at": -1},
    # Rows appended at one time are equal: pages of such rows only have no order.
    "ring": {"removed_every": 7, "removed": 2, "ring": True}, "deletions": {"removed_every": 9, "removed": 17},
    "one-large-deletion": {"removed_every": 12, "removed": 200, "ring": True},
}  # fmt: skip


def in_log_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Sort the rows of one microsecond and process that have no ids, which are adjacent, by their status."""
    groups = itertools.groupby(rows, key=lambda row: (row[:4], row[5]))
    return [row for (_, number), group in groups for row in (sorted(group) if number is None else group)]


async def check(one: World, *, grow: Any = None) -> None:
    """Walk in both orders on two alternating replicas, with random limits and truncated pages, while `grow` is called
    between pages; then read single events and filtered pages."""
    now = one.now
    since, until = now - 30 * DAY - 12_345, now
    truth = one.truth(since, until)
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
        # Another replica with another secret has no state of the walk. (The envelope is as of now.)
        found = await other.event(record.event().id, ANYONE)
        assert (found.event().id, describe(found)) == (record.event().id, describe(record))
    narrow = await walk(replicas, limits=300, cuts=cuts, type=["recipient.*", "envelope.completed"], **window)
    kept = {e.id for e in down.events if e.type.startswith("recipient.") or e.type == "envelope.completed"}
    assert set(narrow.ids) == kept
    assert len(narrow.ids) == len(kept)
    assert one.refused() == []


@pytest.mark.parametrize("options", TAKTIKAL.values(), ids=TAKTIKAL.keys())
async def test_each_event_of_taktikal_exactly_once(options: dict[str, Any]) -> None:
    settings = {"events": 250 * TWICE, "twins": 0.03, "tie_burst": 3, **options}
    async with world(taktikal=TaktikalOptions(**settings)) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=3))


@pytest.mark.parametrize("options", SUBNOTO.values(), ids=SUBNOTO.keys())
async def test_each_event_of_subnoto_exactly_once(options: dict[str, Any]) -> None:
    settings = {"events": 600 * TWICE, "twins": 0.03, "tie_burst": 5, **options}
    async with world(subnoto=SubnotoOptions(**settings)) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=3))


@pytest.mark.parametrize("options", UNSTEADY.values(), ids=UNSTEADY.keys())
async def test_a_log_that_changes_or_has_a_wrong_time_loses_no_event(options: dict[str, Any], order: str) -> None:
    """A cold and a warm process return each record once that is not removed and has a time within the window."""
    async with world(subnoto=SubnotoOptions(events=800, tie_burst=5, **options)) as one:
        now = one.now
        since, feed = now - 30 * DAY, one.gateway()
        for limits in (100, 1000):
            before = {row for row in one.truth() if since <= row[0] < now}
            found = await walk(feed, limits=limits, since=format_micros(since), order=order)
            after = set(one.truth())
            assert len(set(found.ids)) == len(found.ids)
            assert (before & after) - set(found.rows) == set()


@pytest.mark.parametrize("cap", [0, 100])
@pytest.mark.parametrize("limit", [1, 50, 100, 1000])
async def test_a_full_last_page_that_is_repeated_beyond_a_low_total_is_read_once(
    limit: int, cap: int, order: str
) -> None:
    options: dict[str, Any] = {"total_cap": cap, "totals": "totalCount", "beyond_the_end": "last"}
    async with world(subnoto=SubnotoOptions(events=180 if limit == 1 else 700, tie_burst=5, **options)) as one:
        history, now = one.subnoto.history, one.now
        history.delete_oldest(sum(row[2] == "envelope" for row in one.truth()) % 50)
        since = format_micros(now - 3650 * DAY)
        found = await walk(one.gateway(), limits=limit, since=since, order=order, category="envelope")
        assert found.rows
        assert len(found.rows) % 50 == 0
        assert found.rows[:: 1 if order == "asc" else -1] == [row for row in one.truth() if row[2] == "envelope"]
        assert one.refused() == []


@pytest.mark.parametrize("kind", ["ahead", "future", "epoch", "old"])
async def test_a_newest_row_with_a_wrong_time_spoils_no_page_count_or_export(kind: Any) -> None:
    """In windows that begin before and after it, on a cold and a warm process. A row that is older than the skew allows
    is a reason that names the setting; an unreadable row makes a count an estimate."""
    options = SubnotoOptions(events=500, days=3, tie_burst=5, wrong_time=kind, wrong_time_at=-1)
    with served_world(None, options) as one:
        now = one.now
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


async def test_both_providers_together_while_both_grow() -> None:
    async with world(
        taktikal=TaktikalOptions(events=900, twins=0.02, logs="trimmed", order="shuffled"),
        subnoto=SubnotoOptions(events=900, twins=0.02, skew_seconds=90, unit="seconds"),
    ) as one:
        await check(one, grow=lambda: one.clock.advance(minutes=10))
