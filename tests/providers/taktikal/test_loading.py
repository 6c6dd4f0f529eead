"""`RangeLoader` returns all processes of a range: a response is accepted only if it cannot be truncated."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from app.domain.errors import SourceFailed, SourceUnavailable
from app.domain.times import DAY, SECOND
from app.providers.base import CallBudget
from app.providers.taktikal.calibration import calibrate
from app.providers.taktikal.client import WHOLE, DateRange, Filters, TaktikalClient
from app.providers.taktikal.list_calls import _HALVES
from app.providers.taktikal.observations import AccountObservations
from app.providers.taktikal.range_loader import RangeLoader, TooMany
from app.providers.taktikal.wire import ActivityPage, decode_activity
from sandbox.taktikal import Emulator, EmulatorOptions, Entry, Process
from tests.providers import inside

BASE = inside.NOW_MICROS - DAY


def company(count: int, apart: int = 0, **options: Any) -> Emulator:
    """Return an account of `count` processes, each with an entry 0.6 s and 1.2 s after BASE, and each `apart` µs before
    the previous one."""
    processes = []
    for number in range(count):
        key = f"sp{number:03d}"
        times = [(BASE - number * apart + after) * 10 for after in (600_000, 1_200_000)]
        log = [Entry(key, status, time) for status, time in zip(("Reminder", "SigneeSigned"), times, strict=True)]
        processes.append((Process(key), log))
    return Emulator(EmulatorOptions(**options), clock=lambda: inside.NOW, processes=processes)


def loader(emulator: Emulator, selects: Any = "activity", whole: bool | None = None) -> RangeLoader:
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set(selects, whole)
    return RangeLoader(TaktikalClient(inside.taktikal(emulator)), {}, facts, CallBudget())


@pytest.mark.parametrize("times", [1.1, 3, 10])
async def test_a_list_larger_than_a_response_may_be_is_read_in_parts(times: float) -> None:
    """Many small processes, so that the bound on large ones does not apply."""
    count = 1500
    emulator = company(count)
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set("activity", None)
    whole = await loader(emulator)._fetch(WHOLE, count)
    emulator.calls.reset()
    http = inside.taktikal(emulator, max_answer_bytes=int(whole.size / times))
    parts = RangeLoader(TaktikalClient(http), {}, facts, CallBudget())
    assert len(keys(await parts.everything(WHOLE))) == count
    assert emulator.calls.total <= 300


def keys(found: Any) -> list[str]:
    assert not isinstance(found, TooMany)
    return sorted(process.key for process in found)


@pytest.mark.parametrize("order", ["newest", "shuffled"])
@pytest.mark.parametrize("cap", [None, 1, 3, 9, 10, 11])
@pytest.mark.parametrize("selects", ["activity", "creation", None])
@pytest.mark.parametrize("beyond", ["cut", "refused", "default"])
async def test_all_processes_are_loaded_with_any_cap(cap: int | None, order: Any, selects: Any, beyond: Any) -> None:
    emulator = company(10, max_take=cap, order=order, range_selects=selects or "activity", take_beyond=beyond)
    found = loader(emulator, selects)
    for _ in range(2):  # cold and warm
        assert keys(await found.everything(WHOLE)) == [f"sp{number:03d}" for number in range(10)]
    assert emulator.calls.refused == []


@pytest.mark.parametrize("split", ["by_process", "by_item"])
async def test_the_unit_of_take_is_determined_once(split: Any) -> None:
    emulator = company(200, split_items=split)
    found = loader(emulator)
    for calls in (4, 3):  # one more call at first, for a single process
        emulator.calls.reset()
        assert len(await found.everything(WHOLE)) == 200
        assert emulator.calls.total == calls
    assert found.facts.counts_items == (split == "by_item")


@pytest.mark.parametrize("body", [b"{}", b"null", b""])
@pytest.mark.parametrize("cap", [None, 1, 9, 10, 11])
@pytest.mark.parametrize("selects", ["activity", None])
async def test_all_processes_are_loaded_without_a_total(cap: int | None, selects: Any, body: bytes) -> None:
    emulator = company(10, max_take=cap)
    emulator.faults.answer(200, times=1000, body=body, path="/total")
    found = loader(emulator, selects)
    assert keys(await found.everything(WHOLE)) == [f"sp{number:03d}" for number in range(10)]
    assert await found.count_up_to(WHOLE, 4) == min(4, cap or 4)
    assert not found.facts.totals_contradicted


async def test_a_truncated_response_is_not_accepted() -> None:
    emulator = company(30, max_take=12)
    found = loader(emulator)
    for cap in (None, 12):  # a single response may be inconsistent
        result = await found.attempt(WHOLE, 100)
        assert isinstance(result, TooMany)
        assert result.total == 30
        assert found.facts.cap == cap
    assert found.most == 12


async def test_a_cap_is_used_for_ten_minutes_after_two_truncated_responses() -> None:
    """Regression: after one response with one process, every page requested one at a time until a restart."""
    emulator, now = company(30), inside.NOW_MICROS
    facts = AccountObservations(lambda: now)
    facts.set("activity", True)
    found = RangeLoader(TaktikalClient(inside.taktikal(emulator)), {}, facts, CallBudget())
    for most in (10_000, 1):
        emulator.faults.answer(200, body=b'[{"processKey": "sp000"}]', path="/signing/activity")
        assert isinstance(await found.attempt(WHOLE, 30), TooMany)
        assert found.most == most
    assert len(await found.everything(WHOLE)) == 30
    now += 11 * 60 * SECOND
    emulator.calls.reset()
    assert len(await found.everything(WHOLE)) == 30
    assert emulator.calls.total <= 4
    facts.cut(ActivityPage([], Counter(), length=1))
    assert facts.cap == 1, "an earlier cap that is observed again is not used"


async def test_the_length_of_truncated_responses_bounds_those_accepted_without_a_count() -> None:
    """A server may begin to truncate at less than it once honoured."""
    found = loader(company(30, max_take=12))
    found.facts.answered(ActivityPage([], Counter(), length=100, size=1 << 20), 200)
    found.facts.cut(ActivityPage([], Counter(), length=12, size=12 << 10))
    assert isinstance(await found.attempt(WHOLE, 100), TooMany)


@pytest.mark.parametrize("selects", ["activity", None])
async def test_a_process_created_between_count_and_list_hides_no_other(
    selects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count equals the server's cap, which has not been observed yet."""
    emulator, send, late = company(12, max_take=12), TaktikalClient.activity, iter(["sp900"])

    async def activity(client: TaktikalClient, *args: Any, **options: Any) -> ActivityPage:
        for key in late:
            emulator.history.add_process(Process(key))
            emulator.history.append(key, "Reminder", at=(BASE + 5_000_000) * 10)
        return await send(client, *args, **options)

    monkeypatch.setattr(TaktikalClient, "activity", activity)
    found = keys(await loader(emulator, selects).everything(WHOLE))
    assert {f"sp{number:03d}" for number in range(12)} <= set(found)


@pytest.mark.parametrize("cap", [1, 20, 40])
@pytest.mark.parametrize("beyond", ["refused", "refused_unnamed"])
async def test_a_refused_take_is_halved_and_no_larger_one_is_sent_again(cap: int, beyond: Any) -> None:
    emulator = company(30, max_take=cap, take_beyond=beyond)
    found = loader(emulator)
    assert len(await found.everything(WHOLE)) == 30
    assert cap / 2 <= found.most <= cap
    assert [fact["value"] for fact in found.facts.describe() if fact["name"] == "take_cap"] == [found.most]
    assert [call.status for call in emulator.calls.calls].count(400) <= 7
    emulator.calls.reset()
    assert len(await found.everything(WHOLE)) == 30
    assert {call.status for call in emulator.calls.calls} == {200}


async def test_a_server_that_refuses_a_take_of_one_is_a_failure() -> None:
    emulator = company(30, max_take=0, take_beyond="refused")
    with pytest.raises(SourceFailed, match="LessThanOrEqual"):
        await loader(emulator).everything(WHOLE)


async def test_a_short_response_takes_one_call_after_a_longer_one_was_accepted() -> None:
    emulator = company(30)
    found = loader(emulator)
    assert len(keys(await found.attempt(WHOLE, 100))) == 30
    before = emulator.calls.total
    narrow = DateRange.around(BASE - 10 * DAY, BASE - 9 * DAY)
    assert keys(await found.attempt(narrow, 100)) == []
    assert emulator.calls.total - before == 1


def page_of(length: int) -> ActivityPage:
    items = (b'{"processKey": "%d", "activityLog": [{"id": 1}]}' % number for number in range(length))
    return decode_activity(b"[%s]" % b",".join(items))


async def test_a_short_response_is_not_proven_for_a_larger_take_or_after_truncation_at_several_lengths() -> None:
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.answered(page_of(100), 128)
    assert [facts.is_whole(page_of(2), take) for take in (64, 128, 256)] == [True, True, False]
    assert [facts.is_whole(page_of(length), 128) for length in (85, 95)] == [True, False], "no room for a large process"
    for length, known in ((12, False), (12, True), (9, False)):  # by count, or by bytes before a large process
        facts.cut(page_of(length))
        assert facts.is_whole(page_of(2), 128) == known


@pytest.mark.parametrize("beyond", ["empty", "first"])
@pytest.mark.parametrize("cap", [None, 120])
async def test_an_end_behind_the_largest_skip_is_not_accepted(cap: Any, beyond: Any) -> None:
    emulator = company(150, max_take=cap, max_skip=100, skip_beyond=beyond)
    found = loader(emulator)
    if cap is None:  # only the total shows the end
        assert len(await found.everything(WHOLE)) == 150
        assert found.doubts
    else:
        with pytest.raises(SourceFailed, match="narrower"):
            await found.everything(WHOLE)
    assert emulator.calls.total < 250


@pytest.mark.parametrize("cap", [5, 20, 100])
@pytest.mark.parametrize("selects", ["activity", "creation"])
async def test_without_skip_and_totals_a_truncated_list_is_read_in_parts(cap: int, selects: Any) -> None:
    """Regression: it failed, because each list of several processes seemed to be truncated."""
    one = [(Process(f"sp{n:02}"), [Entry(f"sp{n:02}", "Reminder", (BASE + n * SECOND) * 10)]) for n in range(40)]
    options = EmulatorOptions(
        max_take=cap, max_skip=0, skip_beyond="first", totals="absent", range_selects=selects, order="oldest"
    )
    found = loader(Emulator(options, clock=lambda: inside.NOW, processes=one), selects, True)
    within = DateRange.around(BASE, BASE + 40 * SECOND)
    assert len(await found.everything(within)) == 40
    assert found.doubts


@pytest.mark.parametrize(("cut", "split"), [(1, "no"), (3, "by_process")])
async def test_truncated_responses_may_lack_parts(cut: int, split: Any) -> None:
    """A truncated process cannot be detected if each response contains an item of it, or if `Skip` counts processes."""
    emulator = company(4, split_items=split)
    emulator._bytes_allow = lambda items: min(cut, len(items))  # type: ignore[method-assign]
    found = loader(emulator)
    assert len(await found.everything(WHOLE)) == 4
    assert any("in parts" in doubt for doubt in found.doubts)


async def test_parts_that_share_entries_without_ids_are_a_reason() -> None:
    """Regression: entries in both parts of their process were returned twice."""
    found = loader(company(1))

    async def in_parts(*args: Any, **given: Any) -> ActivityPage:
        log = [{"status": "Reminder", "createdAt": f"2026-01-01T00:00:0{n}Z"} for n in range(3)]
        return decode_activity(
            msgspec.json.encode([{"processKey": "sp0", "activityLog": log[n : n + 2]} for n in (0, 1)])
        )

    found.client.activity = in_parts  # type: ignore[method-assign]
    await found._fetch(WHOLE, 10)
    assert any("without ids" in doubt for doubt in found.doubts)


async def test_a_response_that_a_calibration_finds_truncated_may_lack_parts() -> None:
    """Regression: the first page after the calibration lost the rest of a process, without a reason."""
    emulator = company(40, split_items="by_process")
    found = loader(emulator, None)
    emulator._bytes_allow = lambda items: min(3, len(items))  # type: ignore[method-assign]
    await calibrate(found.client, WHOLE, found.facts, found.spent)
    await found._fetch(DateRange.around(BASE, BASE + SECOND), 10)
    assert any("in parts" in doubt for doubt in found.doubts)


@pytest.mark.parametrize("total_offset", [0, 50])
async def test_a_skip_that_never_takes_effect_proves_no_end(total_offset: int) -> None:
    emulator = company(30, max_take=20, max_skip=0, total_offset=total_offset)
    with pytest.raises(SourceFailed, match="narrower"):
        await loader(emulator).everything(WHOLE)


@pytest.mark.parametrize("exclusive", [{"start_exclusive": True}, {"end_inclusive": True}])
async def test_ranges_with_other_ends_are_read_whole(exclusive: Any) -> None:
    whole_second = BASE // SECOND * SECOND
    one = [(Process(f"sp{n}"), [Entry(f"sp{n}", "Reminder", (whole_second + n * SECOND) * 10)]) for n in range(8)]
    options = EmulatorOptions(max_take=2, **exclusive)
    found = loader(Emulator(options, clock=lambda: inside.NOW, processes=one))
    within = DateRange.around(whole_second, whole_second + 8 * SECOND)
    assert keys(await found.everything(within)) == [f"sp{n}" for n in range(8)]


async def test_a_shuffled_and_truncated_list_has_no_reason() -> None:
    """Regression: the process behind the end was compared with those of the last pass only."""
    emulator = company(40, max_take=15, order="shuffled")
    found = loader(emulator, "creation", False)
    for _ in range(4):
        assert len(await found.everything(WHOLE)) == 40
        assert not found.doubts


@pytest.mark.parametrize("cap", [1, 2, 5])
@pytest.mark.parametrize("order", ["newest", "shuffled"])
async def test_items_of_a_truncated_list_are_read_until_all_were_returned(cap: int, order: Any) -> None:
    """Regression: the number of processes never reached that of the items, so that 14 passes read the list."""
    emulator = company(30, split_items="by_item", max_take=cap, order=order, entry_ids="none")
    found = loader(emulator, "creation", False)
    processes = await found.everything(WHOLE)
    assert [len(process.entries) for process in processes] == [2] * 30
    passes = 1.5 if order == "newest" else 11
    assert emulator.calls.total <= passes * 60 / cap + 24


async def test_responses_that_contradict_each_other_are_a_failure_after_few_calls() -> None:
    """Each contains one of six processes, for any `Skip` and range."""
    emulator, number = company(6, max_take=1), 0
    found = loader(emulator, "activity", True)

    async def activity(within: Any, *args: Any, take: int, skip: int = 0) -> ActivityPage:
        nonlocal number
        number += 1
        return await TaktikalClient.activity(found.client, WHOLE, *args, take=take, skip=number * 5 % 6)

    found.client.activity = activity  # type: ignore[method-assign]
    with pytest.raises(SourceFailed, match="narrower"):
        await found.everything(DateRange.around(BASE - 30 * DAY, BASE + DAY))
    assert emulator.calls.total <= 310  # concurrent calls end after the failure


async def test_a_limit_of_processes_with_several_items_is_not_a_limit_of_bytes() -> None:
    """Regression: 428 of 489 events were missing, because one process in two items is longer than one process."""
    emulator = company(40, split_items="by_process", max_take=1, max_skip=20, skip_beyond="first", total_cap=2)
    with pytest.raises(SourceFailed, match="narrower"):
        await loader(emulator, None).everything(WHOLE)


async def test_a_total_that_is_far_too_high_takes_few_calls() -> None:
    emulator = company(30, max_take=10, total_offset=10**9)
    assert len(await loader(emulator).everything(WHOLE)) == 30
    assert emulator.calls.total <= 205


@pytest.mark.parametrize("selects", ["creation", "last_update"])
async def test_a_constant_total_does_not_divide_ranges_into_seconds(
    selects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def total(*given: Any) -> int:
        assert emulator.calls.total <= 500
        return 1000

    monkeypatch.setattr(TaktikalClient, "total", total)
    options = EmulatorOptions(events=1500, days=60, range_selects=selects, max_take=7)
    emulator = Emulator(options, clock=lambda: inside.NOW)
    found = await loader(emulator, selects, True).everything(WHOLE)
    unlimited = Emulator(EmulatorOptions(events=1500, days=60), clock=lambda: inside.NOW)
    assert keys(found) == keys(await loader(unlimited, "activity", True).everything(WHOLE))
    assert emulator.calls.total <= 500


def with_totals(monkeypatch: pytest.MonkeyPatch, sent: Callable[[int], int]) -> None:
    """Replace each correct total by `sent` of it."""
    right = TaktikalClient.total

    async def total(*given: Any) -> int | None:
        found = await right(*given)
        return found and sent(found)

    monkeypatch.setattr(TaktikalClient, "total", total)


@pytest.mark.parametrize("sent", [lambda total: total + 1000, lambda total: total * 5])
@pytest.mark.parametrize("selects", ["activity", "creation", "last_update"])
async def test_totals_that_are_too_high_unless_zero_do_not_divide_ranges_into_seconds(
    selects: Any, sent: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: 9,712 calls for a page."""
    with_totals(monkeypatch, sent)
    options = EmulatorOptions(events=600, days=30, range_selects=selects, max_take=7)
    emulator = Emulator(options, clock=lambda: inside.NOW)
    found = loader(emulator, selects, True)
    unlimited = Emulator(EmulatorOptions(events=600, days=30), clock=lambda: inside.NOW)
    everything = keys(await loader(unlimited, "activity", True).everything(WHOLE))
    assert keys(await found.everything(WHOLE)) == everything
    assert emulator.calls.total <= 150


@pytest.mark.parametrize("totals", ["sent", "absent"])
@pytest.mark.parametrize("selects", ["activity", "creation"])
async def test_ranges_of_whole_days_are_not_divided_into_seconds(
    selects: Any, totals: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: 12 processes in 10 days, at most 2 in a response, took longer than a minute."""
    for name in ("activity", "total"):
        right = getattr(TaktikalClient, name)

        async def by_day(client: Any, within: DateRange, *args: Any, right: Any = right, **given: Any) -> Any:
            assert emulator.calls.total <= 1000
            days = DateRange(within.start // DAY * DAY, -(-within.end // DAY) * DAY)
            return await right(client, days, *args, **given)

        monkeypatch.setattr(TaktikalClient, name, by_day)
    one = [
        (Process(f"sp{n:02}"), [Entry(f"sp{n:02}", "Created", (BASE - n // 6 * DAY + n * SECOND) * 10)])
        for n in range(12)
    ]
    options = EmulatorOptions(range_selects=selects, max_take=2, order="shuffled", totals=totals)
    emulator = Emulator(options, clock=lambda: inside.NOW, processes=one)
    assert len(await loader(emulator, selects, True).everything(WHOLE)) == 12
    assert emulator.calls.total <= 400


@pytest.mark.parametrize("more", [1, 2, 1000])
async def test_totals_that_are_too_high_unless_zero_are_a_reason_not_a_failure(
    more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_totals(monkeypatch, lambda total: total + more)
    emulator = company(8)
    found = loader(emulator)
    assert len(await found.everything(WHOLE)) == 8
    assert found.doubts
    assert emulator.calls.total <= 16


@pytest.mark.parametrize("limits", [{"max_take": 10}, {"max_skip": 10}])
async def test_totals_that_are_too_high_for_some_processes_are_a_reason_not_a_failure(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each page failed, because the total of one process was correct."""
    with_totals(monkeypatch, lambda total: total * 4 // 3)
    monkeypatch.setattr(AccountObservations, "has_room", lambda *_: False)  # as if sizes were very different
    emulator = company(60, **limits)
    found = loader(emulator, "creation", False)
    assert len(await found.everything(WHOLE)) == 60
    assert found.doubts
    emulator.calls.reset()
    assert len(await found.everything(WHOLE)) == 60
    assert emulator.calls.total <= 25


@pytest.mark.parametrize("count", [2, 3])
async def test_the_list_of_a_small_account_is_accepted_despite_a_high_total(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total is too high for several processes only."""
    with_totals(monkeypatch, lambda total: total if total == 1 else total + 50)
    monkeypatch.setattr(AccountObservations, "has_room", lambda *_: False)  # as if sizes were very different
    found = loader(company(count), "creation", False)
    assert len(await found.page_through(WHOLE, count + 50)) == count
    assert found.doubts


async def test_a_process_that_is_removed_after_its_count_is_a_reason_not_a_failure() -> None:
    found = loader(company(8))
    assert len(await found.page_through(WHOLE, 9)) == 8
    assert found.doubts


@pytest.mark.parametrize(
    ("logs", "known"), [("whole", True), ("whole", None), ("trimmed", False), ("trimmed", None), ("whole", False)]
)
async def test_the_parts_of_a_log_in_both_halves_of_a_range_are_merged(logs: Any, known: bool | None) -> None:
    """Regression: of a trimmed log, the half with fewer entries was discarded."""
    emulator = company(25, max_take=10, logs=logs)
    found = loader(emulator, "activity", known)
    processes = await found.everything(DateRange.around(BASE, BASE + 2_000_000))
    assert len(processes) == 25
    assert all([entry.status for entry in p.entries] == ["Reminder", "SigneeSigned"] for p in processes)


async def test_an_end_that_cannot_be_proven_for_now_is_a_failure() -> None:
    """Regression: a short unavailability of the provider gave a page of 20 of 30 envelopes with a reason."""
    found, left = loader(company(30, max_take=20)), 2

    async def activity(within: Any, filters: Any, spent: CallBudget, *, take: int, skip: int = 0) -> ActivityPage:
        nonlocal left
        left -= skip > 0
        if skip and left >= 0:
            spent.calls += 1
            raise SourceUnavailable("the provider answered 503")
        return await TaktikalClient.activity(found.client, within, filters, spent, take=take, skip=skip)

    async def total(within: Any, filters: Any, spent: CallBudget) -> int:
        spent.calls += 1
        raise SourceUnavailable("the provider answered 503")

    found.client.activity, found.client.total = activity, total  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(SourceUnavailable):
            await found.everything(WHOLE)
    assert len(await found.everything(WHOLE)) == 30


@pytest.mark.parametrize("selects", ["activity", None])
async def test_with_a_limited_skip_all_processes_are_loaded_in_parts_of_the_range(selects: Any) -> None:
    emulator = company(40, apart=DAY // 3, max_take=5, max_skip=3)
    found = loader(emulator, selects, True)
    for calls in (180, 150):
        emulator.calls.reset()
        assert len(await found.everything(WHOLE)) == 40
        assert emulator.calls.total <= calls


async def test_a_total_that_is_too_high_is_a_reason_where_skip_is_ignored() -> None:
    """One process of 12 counts twice, as in a total of recipients."""
    emulator = company(12, apart=DAY // 3)
    found = loader(emulator, "activity", True)

    async def always_the_first(*args: Any, **given: Any) -> Any:
        return await TaktikalClient.activity(found.client, *args, **{**given, "skip": 0})

    async def twice(within: DateRange, *args: Any) -> int:
        total = await TaktikalClient.total(found.client, within, *args)
        return (total or 0) + (within.start <= BASE - DAY < within.end)

    found.client.activity, found.client.total = always_the_first, twice  # type: ignore[method-assign]
    for calls in (150, 20):
        emulator.calls.reset()
        assert len(await found.everything(WHOLE)) == 12
        assert emulator.calls.total <= calls
    assert found.doubts


async def test_processes_of_small_responses_are_paged_through_before_ranges_are_divided() -> None:
    emulator = company(40, apart=DAY // 3, max_take=2)
    found = loader(emulator, "creation", True)
    assert len(await found.everything(WHOLE)) == 40
    emulator.calls.reset()
    assert len(await found.everything(WHOLE)) == 40
    assert emulator.calls.total <= 90


async def test_a_provider_that_never_returns_all_processes_is_a_failure() -> None:
    emulator = company(6, max_take=2)
    found = loader(emulator, None)

    async def always_the_first(*args: Any, **given: Any) -> Any:
        return await TaktikalClient.activity(found.client, *args, **{**given, "skip": 0})

    found.client.activity = always_the_first  # type: ignore[method-assign]
    with pytest.raises(SourceFailed, match="narrower"):
        await found.everything(WHOLE)


def spoiled(client: TaktikalClient) -> Any:
    """Return `client.activity` that sends sp001 without its key, and sp007 with one that is too long."""

    async def activity(*args: Any, **given: Any) -> ActivityPage:
        page = await TaktikalClient.activity(client, *args, **given)
        sent = [process.sent for process in page.processes]
        for process in sent:
            if process["processKey"] == "sp001":
                del process["processKey"]
            elif process["processKey"] == "sp007":
                process["processKey"] *= 100
        return decode_activity(msgspec.json.encode(sent))

    return activity


@pytest.mark.parametrize("order", ["oldest", "shuffled"])
@pytest.mark.parametrize("take", [1, 3, 5])
async def test_unreadable_processes_on_several_pages_fail_no_list(order: Any, take: int) -> None:
    """Regression: of two pages with one each, one was counted, so that the range was never complete."""
    emulator = company(10, max_take=take, order=order)
    for _ in range(5):
        found = loader(emulator, "creation")
        found.client.activity = spoiled(found.client)  # type: ignore[method-assign]
        readable = keys(await found.everything(WHOLE))
        assert readable == [f"sp{number:03d}" for number in range(10) if number not in (1, 7)]
        assert found.unreadable.total() == 2


class InItems:
    """A server that sends the entries of each process in items of one or two, and truncates responses after `cut`
    items; `Skip` and `Take` count processes, or items."""

    def __init__(self, logs: list[list[list[int]]], *, cut: int, counts_items: bool = False) -> None:
        self._units: list[list[dict[str, Any]]] = []
        for number, parts in enumerate(logs):
            items = [{"processKey": f"sp{number:03d}", "activityLog": list(map(self._entry, part))} for part in parts]
            self._units += [[item] for item in items] if counts_items else [items]
        self._keys, self._cut = {f"sp{number:03d}" for number in range(len(logs))}, cut

    @staticmethod
    def _entry(second: int) -> dict[str, Any]:
        return {"status": "Reminder", "createdAt": f"2026-05-30T00:00:{second:02}Z"}

    async def activity(self, within: Any, filters: Filters, spent: Any, *, take: int, skip: int = 0) -> ActivityPage:
        key = filters.get("ProcessKey")
        units = [unit for unit in self._units if key in (None, unit[0]["processKey"])][skip : skip + take]
        return decode_activity(msgspec.json.encode([item for unit in units for item in unit][: self._cut]))

    async def total(self, within: Any, filters: Filters, spent: Any) -> int:
        return 1 if filters else len(self._keys)


async def entries_and_doubts(server: Any) -> tuple[list[int], set[str]]:
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set("creation", False)
    found = RangeLoader(server, {}, facts, CallBudget())
    return [len(process.entries) for process in await found.everything(WHOLE)], found.doubts


@pytest.mark.parametrize("cut", [2, 3, 4, 5])
async def test_a_process_truncated_between_its_items_is_completed(cut: int) -> None:
    """No earlier response contains a process of several items. A response of as many processes as requested may be
    truncated, too, which is a reason."""
    logs = [[[1]], [[1, 2], [3, 4]], [[1]], [[1]], [[2]], [[5], [6]]]
    entries, doubts = await entries_and_doubts(InItems(logs, cut=cut))
    assert entries == [1, 4, 1, 1, 1, 2] or (cut in (2, 4) and any("in parts" in doubt for doubt in doubts))


@pytest.mark.parametrize("logs", [[[[1]], [[1, 2], [3, 4]]], [[[1]], [[1]], [[3]], [[1, 2], [3]]]])
async def test_the_last_process_of_a_truncated_list_is_completed(logs: list[list[list[int]]]) -> None:
    entries, _ = await entries_and_doubts(InItems(logs, cut=len(logs)))
    assert entries == [sum(map(len, parts)) for parts in logs]


async def test_twins_on_two_pages_are_a_reason() -> None:
    """One is the last of its item, the other the first of the next item, on the next page."""
    logs = [[[9]], [[1, 2], [2, 3]], [[1, 2], [2, 3]], [[7]]]
    for counts_items in (False, True):
        entries, doubts = await entries_and_doubts(InItems(logs, cut=2, counts_items=counts_items))
        assert entries == [1, 4, 4, 1] or any("share entries without ids" in doubt for doubt in doubts)


async def test_truncated_responses_of_several_lengths_may_lack_a_part_of_a_process() -> None:
    """Also if only the pages of one list differ in length: a limit by count has one length."""
    processes = [
        (Process(key), [Entry(key, "Reminder", (BASE + number) * 10) for number in range(count)])
        for key, count in (("sp1", 1), ("sp2", 1), ("sp3", 40), ("sp4", 40))
    ]
    options = EmulatorOptions(split_items="by_process", max_bytes=2500, order="oldest")
    parts = loader(Emulator(options, clock=lambda: inside.NOW, processes=processes), "creation", False)
    found = await parts.everything(WHOLE)
    assert sum(len(one.entries) for one in found) == 42
    assert parts.doubts == {_HALVES}
