"""Several of Taktikal's faults at a time: with any of its emulator's switches, each walk is complete, fails, or has a
reason; it has none without misleading responses. Warm and cold gateways return the same ids in both orders."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import SourcesFailed
from app.domain.times import DAY, format_micros
from app.feed.model import FeedSettings
from app.feed.service import Feed
from app.providers.base import CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.taktikal.client import TaktikalClient
from app.providers.taktikal.settings import TaktikalSettings
from app.providers.taktikal.source import TaktikalSource
from sandbox.taktikal import Emulator, EmulatorOptions
from tests.providers.inside import TaktikalDirect
from tests.worlds import ANYONE, SECRET, Clock, Walk, World, micros, walk

COMMON = CommonSettings()
SWITCHES: dict[str, list[Any]] = {
    "generation": ["older"], "entry_ids": ["company", "none"], "created_precision": ["milliseconds", "seconds"],
    "split_items": ["by_process", "by_item"], "tied_entries": ["shuffled"],
    "range_selects": ["creation", "last_update"], "logs": ["trimmed"],
    "order": ["oldest", "shuffled_stable", "shuffled"], "end_inclusive": [True], "start_exclusive": [True],
    "query_precision": ["seconds", "minutes", "days"], "max_take": [1, 2, 3, 10],
    "take_beyond": ["refused", "refused_unnamed", "default"],
    "max_skip": [0, 1, 3], "beyond_the_end": ["refused", "fails"], "max_bytes": [1500, 6000],
    "key_dates": ["ignored"], "key_case": ["honoured"],
    "total_lag_seconds": [10.0, 200_000.0], "total_offset": [-50, -1, 1, 50], "total_cap": [1, 2, 10],
    "totals": ["absent"], "lag_seconds": [0.0, 30.0], "year_one": ["refused"],
    "wrong_times": ["year_one", "epoch", "future"],
}  # fmt: skip

#: Switches that make responses seem complete that are not.
MISLEADING = {"generation", "max_take", "max_skip", "max_bytes", "split_items", "total_lag_seconds", "total_offset",
              "total_cap", "totals"}  # fmt: skip


def options_of(rng: random.Random) -> dict[str, Any]:
    """Choose two to four switches, and a small history."""
    options = {name: rng.choice(SWITCHES[name]) for name in rng.sample(sorted(SWITCHES), rng.choice((2, 3, 3, 4)))}
    if options.get("generation") == "older":
        options["entry_ids"] = "none"
    if "split_items" in options:
        options["twins"] = 0.0  # twins, one in each item, cannot be distinguished from one entry in both
    if options.get("split_items") == "by_process":
        options.pop("max_bytes", None)  # the rest of a process truncated between its items cannot be requested
    if "max_skip" in options:
        options["skip_beyond"] = rng.choice(("empty", "first"))
    if options.get("wrong_times") == "year_one":
        options.pop("year_one", None)  # such a server's processes cannot be requested
    history = {"events": rng.choice((6, 16, 25)), "days": rng.choice((0.001, 0.2, 25)), "seed": rng.randrange(1000)}
    return {"tie_burst": rng.choice((0, 0, 3)), "twins": rng.choice((0.0, 0.2)), **history, **options}


def gateway(emulator: Emulator, clock: Clock) -> Feed:
    keys: Any = {"company_key": emulator.options.company_key, "api_key": emulator.options.api_key}
    common = msgspec.structs.replace(COMMON, clock=lambda: micros(clock()))
    source = TaktikalSource("taktikal", TaktikalSettings(**keys), common)
    http = ProviderHttp("http://emulator/api", common, name="taktikal", transport=TaktikalDirect(emulator))
    source._client = TaktikalClient(http)
    return Feed([source], FeedSettings((SECRET,), clock=lambda: micros(clock())))


async def check(options: dict[str, Any], rng: random.Random, lengths: Sequence[int] = ()) -> None:
    """`lengths`: numbers of entries of further logs, beside the history of the options."""
    clock = Clock()
    one = World(clock, emulator := Emulator(EmulatorOptions(**options), clock=clock), None, {})
    for number, length in enumerate(lengths):
        begin = options["days"] * (1 - number / len(lengths))
        for day in sorted((rng.uniform(0, begin) for _ in range(length)), reverse=True):
            at = clock() - timedelta(days=day)
            emulator.history.append(f"sp{number:032x}", rng.choice(("Created", "SigneeSigned")), at=at)
    now = micros(clock())
    clock.advance(seconds=options.get("lag_seconds", 1.0))  # entries that arrive later are not in the truth
    since = now - rng.choice((int(options["days"] * DAY), 30 * DAY, int(options["days"] * DAY * rng.random()) + 1))
    until = now - rng.choice((0, 0, int((now - since) * rng.random())))
    truth = one.truth(since, until)
    keys = sorted({row[3] for row in truth})
    window = {"since": format_micros(since), "until": format_micros(until)}
    warm, ids = gateway(emulator, clock), dict[str, list[str]]()
    for order, feed, named in (
        ("desc", warm, []),
        ("asc", gateway(emulator, clock), keys[:2]),
        ("asc", gateway(emulator, clock), []),
        ("desc", warm, []),
    ):
        limit = rng.choice((3, 7, 20, 1000))
        query = {**window, "order": order} | ({"envelope_id": named} if named else {})
        try:
            found = await walk(feed, limits=limit, between=lambda: clock.advance(minutes=3), **query)
        except SourcesFailed:
            continue
        calls = max(source.calls for page in found.pages for source in page.sources)
        assert calls <= 250 + 12 * len(emulator.history.logs()), "more calls than the contents of a page need"
        if any(source.reason for page in found.pages for source in page.sources):
            assert options.keys() & MISLEADING, "a reason without a misleading response"
            assert len(set(found.ids)) == len(found.ids)
            continue
        rows = found.rows if order == "asc" else found.rows[::-1]
        # Entries of one microsecond and process without ids are ordered by their content.
        assert sorted(map(repr, rows)) == sorted(repr(row) for row in truth if not named or row[3] in named)
        assert [row[:4] for row in rows] == sorted(row[:4] for row in rows)
        assert len(set(found.ids)) == len(found.ids)
        if not named:
            up = found.ids if order == "asc" else found.ids[::-1]
            assert ids.setdefault("ids", up) == up


SMALL = {"events": 30, "days": 5, "seed": 3}


@given(st.integers(0, 1 << 32))
def test_combined_faults_lose_nothing_without_a_reason(seed: int) -> None:
    rng = random.Random(seed)
    asyncio.run(check(options_of(rng), rng))


@settings(max_examples=20)
@given(
    st.sampled_from(
        [
            {"total_offset": -1, "max_take": 3},
            {"total_cap": 2, "max_take": 2},
            {"max_bytes": 1500, "max_skip": 2, "total_offset": -50},
            {"max_bytes": 1500, "max_skip": 1, "max_take": 2, "range_selects": "creation", "total_lag_seconds": 9e6},
            {"total_cap": 2, "max_take": 2, "order": "shuffled"},
            {"split_items": "by_item", "max_take": 1},
            {"logs": "trimmed", "max_bytes": 6000, "total_cap": 3},
            *({"max_bytes": 6000, "events": 60, "seed": seed} for seed in (6, 7, 8)),
            {"max_bytes": 6000, "events": 60, "logs": "trimmed", "total_offset": -50},
            {"max_bytes": 6000, "events": 40, "range_selects": "creation", "seed": 145},
            {"split_items": "by_item", "max_take": 3, "order": "shuffled"},
        ]
    ),
    st.integers(0, 3),
)
def test_faults_that_confirm_each_other_lose_nothing_without_a_reason(faults: dict[str, Any], seed: int) -> None:
    """Regressions: a total that is low by as much as the response is truncated; half a process in each response; a
    truncated window that was read again without end."""
    asyncio.run(check({**SMALL, **faults}, random.Random(seed)))


@settings(max_examples=20)
@given(st.integers(0, 1 << 32))
def test_equal_limits_of_a_small_account_lose_nothing_without_a_reason(seed: int) -> None:
    """The total, `Skip` and the size of a response end at the same process, before others that are larger."""
    rng = random.Random(seed)
    limits = {"max_skip": 1, "total_cap": 2, "max_take": 3, "max_bytes": 1500, "order": "oldest"}
    selects = rng.choice(("activity", "creation", "last_update"))
    options = {"events": 0, "days": rng.choice((0.001, 0.2, 25)), "range_selects": selects, **limits}
    lengths = [1, rng.choice((1, 2)), *rng.choices((1, 20, 50), k=rng.choice((0, 1, 2)))]
    asyncio.run(check(options, rng, lengths))


async def test_a_cold_process_reports_entries_truncated_by_bytes() -> None:
    """A query for the envelope has a reason, and one for a missing event fails."""
    clock, options = Clock(), {**SMALL, "events": 60, "split_items": "by_process", "twins": 0.0}
    whole = Emulator(EmulatorOptions(**options), clock=clock)
    cut = Emulator(EmulatorOptions(**options, max_bytes=1500), clock=clock)
    lacking, failed = 0, 0
    for key in sorted({entry["processKey"] for entry in whole.history.truth()}):
        truth = await walk(gateway(whole, clock), envelope_id=key)
        found = await walk(gateway(cut, clock), envelope_id=key)
        lost = sorted(set(truth.ids) - set(found.ids))
        lacking += len(lost)
        assert not lost or found.pages[0].sources[0].reason
        for event_id in lost:
            with pytest.raises(SourcesFailed):
                await gateway(cut, clock).event(event_id, ANYONE)
            failed += 1
    assert lacking == failed > 0


async def read(options: dict[str, Any], order: str) -> tuple[Walk, list[tuple[Any, ...]]]:
    """A walk over a history of a month, and the truth."""
    clock = Clock()
    emulator = Emulator(EmulatorOptions(**{"events": 200, "days": 20, "tie_burst": 3, **options}), clock=clock)
    since, until = micros(clock()) - 30 * DAY, micros(clock())
    clock.advance(seconds=1)
    window = {"since": format_micros(since), "until": format_micros(until)}
    truth = [row for row in World(clock, emulator, None, {}).truth() if since <= row[0] < until]
    return await walk(gateway(emulator, clock), limits=50, order=order, **window), truth


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "options",
    [
        {"split_items": "by_item", "max_take": 10, "max_skip": 20, "range_selects": "last_update"},
        {"split_items": "by_item", "max_take": 10, "max_skip": 10, "take_beyond": "refused"},
        {"split_items": "by_item", "max_take": 10, "max_skip": 0},
        {"split_items": "by_process", "max_bytes": 20_000, "logs": "trimmed", "total_offset": 3, "seed": 0},
        {"split_items": "by_process", "max_bytes": 60_000, "logs": "trimmed", "total_offset": 3, "seed": 2},
        {"split_items": "by_process", "max_bytes": 30_000, "seed": 3},
    ],
)
async def test_a_strange_server_is_read_whole(options: dict[str, Any], order: str) -> None:
    """Totals and `Take` of items, a `Skip` that begins again, and items cut off at the end of a full response."""
    found, truth = await read({"skip_beyond": "first", **options}, order)
    assert sorted(map(repr, found.rows)) == sorted(map(repr, truth))


async def test_a_server_that_returns_only_first_parts_fails() -> None:
    """Found by a campaign: half of all events were lost, with a reason."""
    with pytest.raises(SourcesFailed, match="part of an envelope"):
        await read({"split_items": "by_process", "max_bytes": 1500, "seed": 0}, "desc")


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_envelopes_that_only_narrower_ranges_return_contradict_the_end_of_a_list(order: str) -> None:
    """Found by a campaign: all events but those of two envelopes were lost, with a reason."""
    limits = {"max_take": 3, "take_beyond": "default", "max_skip": 1, "totals": "absent"}
    with pytest.raises(SourcesFailed, match="contradict each other"):
        await read({**limits, "seed": 4}, order)


async def test_twins_with_one_id_in_two_parts_are_a_reason() -> None:
    """Found by a campaign: one of two was lost silently."""
    found, truth = await read({"split_items": "by_process", "twins": 0.1}, "desc")
    assert len(found.rows) < len(truth)
    assert all("of one id" in (page.sources[0].reason or "") for page in found.pages)


async def test_unknown_ranges_are_named_as_unknown() -> None:
    """The reason said that ranges do not select by activity, although no response had shown it."""
    options = {"query_precision": "minutes", "key_dates": "ignored", "max_take": 3, "days": 1}
    found, truth = await read({**options, "events": 900}, "desc")
    assert len(found.rows) == len(truth)
    assert any("are not known to select by activity" in (page.sources[0].reason or "") for page in found.pages)
