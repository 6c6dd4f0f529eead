"""Calibration: what a date range selects and whether logs are trimmed, determined from the account's responses; and
observations of other responses."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from app.domain.times import DAY, SECOND
from app.feed.service import Feed
from app.providers.base import CallBudget, ProbeResult
from app.providers.taktikal.calibration import calibrate, probe
from app.providers.taktikal.client import WHOLE, DateRange, Filters, TaktikalClient
from app.providers.taktikal.observations import AccountObservations, Selection
from app.providers.taktikal.wire import ActivityPage
from sandbox.taktikal import Emulator, EmulatorOptions, Entry, Process
from tests.providers import inside
from tests.worlds import ask, world

WITHIN = DateRange.around(inside.NOW_MICROS - 60 * DAY, inside.NOW_MICROS)
BASE = inside.NOW_MICROS - 20 * DAY + DAY // 2


async def calibrated(
    emulator: Emulator, selects: Selection | None = None, whole: bool | None = None
) -> AccountObservations:
    """Calibrate an account with these settings of the operator."""
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set(selects, whole)
    await calibrate(TaktikalClient(inside.taktikal(emulator)), WITHIN, facts, CallBudget())
    assert emulator.calls.total <= 10
    assert emulator.calls.refused == []
    return facts


@pytest.mark.parametrize(
    ("selects", "logs", "order"),
    list(
        itertools.product(
            ("activity", "creation", "last_update"), ("whole", "trimmed"), ("newest", "oldest", "shuffled")
        )
    ),
)
async def test_the_calibration_agrees_with_the_emulator(selects: Any, logs: Any, order: Any) -> None:
    options = EmulatorOptions(events=600, days=60, range_selects=selects, logs=logs, order=order)
    facts = await calibrated(Emulator(options, clock=lambda: inside.NOW))
    assert facts.selects == selects
    assert facts.whole == (logs == "whole")
    assert facts.splittable == (selects == "activity" or logs == "whole")


@pytest.mark.parametrize("selects", ["activity", "creation"])
@pytest.mark.parametrize("cap", [None, 3])
@pytest.mark.parametrize("end_inclusive", [True, False])
async def test_the_calibration_is_not_wrong_if_dates_are_ignored_beside_a_key(
    selects: Any, cap: int | None, end_inclusive: bool
) -> None:
    options = EmulatorOptions(
        events=600, days=60, range_selects=selects, key_dates="ignored", max_take=cap, end_inclusive=end_inclusive
    )
    facts = await calibrated(Emulator(options, clock=lambda: inside.NOW))
    assert facts.selects in (selects, None)


@pytest.mark.parametrize("cap", [1, 2])
async def test_a_truncated_sample_of_processes_with_one_entry_is_continued(cap: int) -> None:
    """Regression: each page read the whole account, because the only process of the sample had one entry."""
    times = {f"sp{n}": [BASE + n * SECOND] for n in range(4)} | {"sp9": [BASE + n * DAY for n in range(3)]}
    processes = [(Process(key), [Entry(key, "Started", at * 10) for at in own]) for key, own in times.items()]
    options = EmulatorOptions(max_take=cap, order="oldest")
    facts = await calibrated(Emulator(options, clock=lambda: inside.NOW, processes=processes))
    assert facts.selects == "activity"


async def test_a_truncated_control_proves_nothing() -> None:
    """With dates ignored, the control may lack the process only because its response is truncated."""
    log = [Entry("sp1", "Started", (BASE + n * DAY) * 10) for n in range(3)]
    processes = [(Process("sp1"), log), (Process("sp2"), [Entry("sp2", "Created", BASE * 10)])]
    emulator = Emulator(EmulatorOptions(), clock=lambda: inside.NOW, processes=processes)
    client, facts = TaktikalClient(inside.taktikal(emulator)), AccountObservations(lambda: inside.NOW_MICROS)
    control = (BASE + 2 * DAY) // SECOND * SECOND + SECOND
    right = client.activity

    async def activity(within: DateRange, filters: Filters, *args: Any, take: int, skip: int = 0) -> ActivityPage:
        page = await right(WHOLE, filters, *args, take=take)
        key = "sp2" if (skip or within.start > control) and not filters else "sp1"
        page.processes = [process for process in page.processes if process.key == key]
        page.length = page.items = 1
        return page

    client.activity = activity  # type: ignore[method-assign]
    await calibrate(client, WITHIN, facts, CallBudget())
    assert facts.selects is None


@pytest.mark.parametrize(
    "moments",
    [[], [BASE], [BASE, BASE + 1], [BASE, BASE + 900_000]],
    ids=["no process", "one entry", "two within a microsecond", "two within a second"],
)
async def test_without_evidence_the_calibration_has_no_result(moments: list[int]) -> None:
    log = [Entry("sp1", "Created", moment * 10) for moment in moments]
    processes = [(Process("sp1"), log)] if log else []
    facts = await calibrated(Emulator(clock=lambda: inside.NOW, processes=processes))
    assert (facts.selects, facts.whole) == (None, None)
    assert not facts.splittable
    assert not facts.wants_looking(WITHIN.end - WITHIN.start), "repeated for an equal range"
    assert facts.wants_looking(WITHIN.end - WITHIN.start + 1), "not repeated for a wider range"


async def test_ranges_select_by_activity_only_if_an_entry_in_the_middle_shows_it() -> None:
    """A range that selects by creation or last update returns such a process for both of its entries."""
    log = [Entry("sp1", "Created", BASE * 10), Entry("sp1", "Started", (BASE + DAY) * 10)]
    facts = await calibrated(Emulator(clock=lambda: inside.NOW, processes=[(Process("sp1"), log)]))
    assert (facts.selects, facts.whole) == (None, True)


@pytest.mark.parametrize("last", [-500_000, 500_000])
async def test_whole_days_near_midnight_do_not_look_like_activity(last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the ranges of all entries, but not the control, contained the day of creation."""
    right, midnight = TaktikalClient.activity, BASE + DAY // 2

    async def by_day(client: TaktikalClient, within: DateRange, *args: Any, **given: Any) -> ActivityPage:
        days = DateRange(within.start // DAY * DAY, -(-within.end // DAY) * DAY)
        return await right(client, days, *args, **given)

    monkeypatch.setattr(TaktikalClient, "activity", by_day)
    log = [Entry("sp1", "Created", (midnight - 20 * SECOND) * 10)]
    log += [Entry("sp1", "Started", (midnight + time) * 10) for time in (-10 * SECOND, last)]
    options = EmulatorOptions(range_selects="creation")
    facts = await calibrated(Emulator(options, clock=lambda: inside.NOW, processes=[(Process("sp1"), log)]))
    assert facts.selects != "activity"


async def test_a_calibration_with_a_result_is_not_repeated() -> None:
    facts = await calibrated(Emulator(EmulatorOptions(events=300, days=30), clock=lambda: inside.NOW))
    assert not facts.wants_looking(10**18)


@pytest.mark.parametrize(("selects", "whole"), [("creation", False), ("creation", None), (None, False)])
async def test_the_operators_settings_are_kept_and_others_are_calibrated(
    selects: Selection | None, whole: bool | None
) -> None:
    """Regression: the setting for logs was replaced; with one for ranges, logs were not calibrated."""
    width = WITHIN.end - WITHIN.start
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set(selects, whole)
    assert facts.wants_looking(width) == (selects is None or whole is None)
    emulator = Emulator(EmulatorOptions(events=300, days=30), clock=lambda: inside.NOW)
    facts = await calibrated(emulator, selects, whole)
    assert facts.selects == (selects or "activity")
    assert facts.whole == (whole is None)
    assert not facts.wants_looking(width)
    described = {fact["name"]: (fact["value"], fact["how"] == "set by the operator") for fact in facts.describe()}
    assert described["range_selects"] == (facts.selects, selects is not None)
    assert described["logs"] == ("whole" if facts.whole else "trimmed", whole is not None)


async def probed(**options: Any) -> dict[str, ProbeResult]:
    emulator = Emulator(EmulatorOptions(events=300, days=30, **options), clock=lambda: inside.NOW)
    client, facts = TaktikalClient(inside.taktikal(emulator)), AccountObservations(lambda: inside.NOW_MICROS)
    found = await probe(client, facts, CallBudget(), inside.NOW_MICROS, 120 * DAY)
    return {one.topic: one for one in found}


async def test_the_probe_reports_a_server_of_the_older_generation() -> None:
    found = await probed(calls="older")
    assert found.keys() == {"server"}
    assert found["server"].state == "failed"
    assert "older generation" in found["server"].found


async def test_the_probe_reports_ranges_by_last_update() -> None:
    found = await probed(range_selects="last_update")
    assert "last update" in found["date range"].found


def observations_of(feed: Feed) -> dict[str, Any]:
    return {fact["name"]: fact["value"] for fact in feed.sources["taktikal"].describe()["observations"]}


@pytest.mark.parametrize(
    ("entry_ids", "quality"),
    [
        ("per_process", "unique in its envelope only"),
        ("company", "unique"),
        ("none", "none: event ids are made of the content"),
    ],
)
@pytest.mark.parametrize(("precision", "digits"), [("ticks", 7), ("milliseconds", 3)])
async def test_pages_show_the_precision_of_times_and_the_quality_of_ids(
    entry_ids: Any, quality: str, precision: Any, digits: int
) -> None:
    async with world(taktikal=EmulatorOptions(events=600, entry_ids=entry_ids, created_precision=precision)) as one:
        feed = one.gateway()
        assert "time_digits" not in observations_of(feed)
        await ask(feed)
        assert (observations_of(feed)["time_digits"], observations_of(feed)["id_quality"]) == (digits, quality)


async def test_pages_show_how_late_entries_are_appended() -> None:
    async with world(taktikal=EmulatorOptions(events=600, lag_seconds=0)) as one:
        feed = one.gateway()
        await ask(feed)
        for late, known in ((0, None), (12, 12.0), (5, 12.0), (40, 40.0)):
            one.clock.advance(seconds=60)
            now = one.clock()
            key = f"sp-late-{late}"
            one.taktikal.history.append(key, "Created", at=now - timedelta(seconds=30))
            await ask(feed)
            one.clock.advance(seconds=1)
            one.taktikal.history.append(key, "Reminder", at=now - timedelta(seconds=late))
            await ask(feed, q="another question")
            await ask(feed, since="2026-06-01T00:00:00Z", until="2026-06-01T06:00:00Z")
            await ask(feed)
            assert observations_of(feed).get("lag_seconds") == known
