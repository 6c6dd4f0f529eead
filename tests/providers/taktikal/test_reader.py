"""Reading by time windows and by process, with unusual servers and histories."""

import asyncio
from typing import Any

import pytest

from app.domain.query import Query
from app.domain.times import DAY, SECOND
from app.paging.windows import Window
from app.providers.base import Batch, CallBudget, ReadRequest
from app.providers.http.response import Response
from app.providers.taktikal.client import DateRange, TaktikalClient
from app.providers.taktikal.observations import AccountObservations
from app.providers.taktikal.range_loader import RangeLoader
from app.providers.taktikal.reader import ProcessReader, WindowReader
from app.providers.taktikal.record import TaktikalRecord, records_of
from sandbox.taktikal import Emulator, EmulatorOptions, Entry, Process
from tests.providers import inside
from tests.providers.taktikal.items import process_of

BASE = inside.NOW_MICROS - 40 * DAY


def emulator_of(*moments: int, **options: Any) -> Emulator:
    """Return an emulator with one process created at each time (µs)."""
    processes = [(Process(f"sp{n:03d}"), [Entry(f"sp{n:03d}", "Created", at * 10)]) for n, at in enumerate(moments)]
    return Emulator(EmulatorOptions(**options), clock=lambda: inside.NOW, processes=processes)


def reader(emulator: Emulator, since: int, until: int, order: Any, selects: Any) -> WindowReader:
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set(selects, None)
    loader = RangeLoader(TaktikalClient(inside.taktikal(emulator)), {}, facts, CallBudget())
    span = ReadRequest(Query(order=order), since, until, (since,) if order == "asc" else (until,))

    async def prepare() -> None:
        return None

    return WindowReader("s", span, loader, prepare=prepare, max_age=120 * DAY)


async def times(found: WindowReader, want: int = 50) -> list[int]:
    got: list[int] = []
    for _ in range(200):
        batch: Batch = await found.read(want, 64)
        got += [record.key[0] for record in batch.records]
        if batch.ended:
            return got
    raise AssertionError("no end")


@pytest.mark.parametrize("selects", ["activity", "creation", None])
@pytest.mark.parametrize("end_inclusive", [True, False])
async def test_bounds_are_exact_to_the_microsecond(order: str, selects: Any, end_inclusive: bool) -> None:
    moments = [BASE - 1, BASE, BASE + 1, BASE + SECOND, BASE + SECOND + 1, BASE + 2 * SECOND - 1, BASE + 2 * SECOND]
    emulator = emulator_of(*moments, end_inclusive=end_inclusive, range_selects=selects or "activity")
    for since in moments:
        for until in (since + 1, BASE + SECOND, BASE + 2 * SECOND):
            if until > since:
                expected = [moment for moment in moments if since <= moment < until]
                found = await times(reader(emulator, since, until, order, selects))
                assert (found if order == "asc" else found[::-1]) == expected
    assert emulator.calls.refused == []


@pytest.mark.parametrize("selects", ["activity", "creation", None])
async def test_long_windows_without_events_take_few_calls(order: str, selects: Any) -> None:
    """Regression: a window back to 1970 was read thirty days at a time, beyond any deadline."""
    emulator = emulator_of(BASE, BASE + SECOND, range_selects=selects or "activity")
    assert sorted(await times(reader(emulator, 0, inside.NOW_MICROS, order, selects))) == [BASE, BASE + SECOND]
    assert emulator.calls.total <= 40
    emulator.calls.reset()
    assert await times(reader(emulator, 0, BASE - 300 * DAY, order, selects)) == []
    assert emulator.calls.total <= 12


@pytest.mark.parametrize("selects", ["activity", "creation", None])
@pytest.mark.parametrize("into", [1, SECOND // 2, SECOND - 1])
@pytest.mark.parametrize("count", [17, 40, 300])
async def test_a_burst_is_read_from_the_middle_of_a_second(order: str, selects: Any, into: int, count: int) -> None:
    """Regression: forty processes of one second, read from half a second beside it, were counted without end."""
    start = BASE // SECOND * SECOND
    moments = [start + n * SECOND // count for n in range(count)]
    emulator = emulator_of(*moments, range_selects=selects or "activity")
    for since, until in (
        (start - into, start + DAY),
        (start - DAY, start + 2 * SECOND - into),
        (start - into, start + into + SECOND),
    ):
        emulator.calls.reset()
        wanted = [moment for moment in moments if since <= moment < until]
        for want in (5, 100):
            found = await times(reader(emulator, since, until, order, selects), want)
            assert found == (wanted if order == "asc" else wanted[::-1])
        assert emulator.calls.total < 70


async def test_later_events_of_a_process_created_long_before_since_are_returned() -> None:
    old, late = BASE - 60 * DAY, BASE + 5
    log = [Entry("sp1", "Created", old * 10), Entry("sp1", "SigneeSigned", late * 10)]
    for logs in ("whole", "trimmed"):
        emulator = Emulator(
            EmulatorOptions(range_selects="creation", logs=logs), clock=lambda: inside.NOW,
            processes=[(Process("sp1"), log)],
        )  # fmt: skip
        for selects in ("creation", None):
            assert await times(reader(emulator, BASE, inside.NOW_MICROS, "desc", selects)) == [late]


CENTURY = 4_070_908_800 * SECOND  #: 2099


@pytest.mark.parametrize("logs", ["whole", "trimmed"])
@pytest.mark.parametrize("selects", ["creation", "last_update"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("edge", [BASE - 400 * DAY, 7 * SECOND, BASE + 39 * DAY, CENTURY])
async def test_neither_age_nor_wrong_times_hide_events_of_a_small_account(
    order: Any, logs: Any, selects: Any, known: bool, edge: int
) -> None:
    """Regression: a process created in 1970 or 2099, or updated a year later, was in no range."""
    log = [Entry("sp1", "Created", edge * 10), Entry("sp1", "Started", (BASE - 300 * DAY) * 10)]
    emulator = Emulator(
        EmulatorOptions(range_selects=selects, logs=logs), clock=lambda: inside.NOW, processes=[(Process("sp1"), log)]
    )
    window = BASE - 301 * DAY, BASE - 299 * DAY
    found = reader(emulator, *window, order, selects if known else None)
    assert await times(found) == [BASE - 300 * DAY]


@pytest.mark.parametrize("selects", ["creation", "last_update"])
@pytest.mark.parametrize("is_set", [True, False])
async def test_the_reason_for_a_large_account_names_the_setting_for_ages(
    selects: Any, is_set: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 3)
    created = BASE - 121 * DAY - DAY // 2
    log = [Entry("sp1", "Created", created * 10), Entry("sp1", "Started", (BASE - DAY) * 10)]
    others = [(Process(f"x{n}"), [Entry(f"x{n}", "Created", (BASE - 300 * DAY + n) * 10)]) for n in range(5)]
    emulator = Emulator(
        EmulatorOptions(range_selects=selects), clock=lambda: inside.NOW, processes=[(Process("sp1"), log), *others]
    )
    for day, expected, named in (
        (1, [BASE - DAY], True),
        (121, [created], True),
        (300, [BASE - 300 * DAY + n for n in range(5)], not is_set),
    ):
        found = reader(emulator, BASE - (day + 1) * DAY, BASE - (day - 1) * DAY, "asc", selects)
        found._is_age_set = is_set
        batch = await found.read(50, 64)
        assert [record.key[0] for record in batch.records] == expected
        assert ("TAKTIKAL_MAX_ENVELOPE_AGE" in (batch.reason or "")) == named


@pytest.mark.parametrize("selects", ["creation", "last_update"])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("days", [-300, 300])
async def test_a_wrong_but_plausible_time_is_read_and_reported(
    days: int, place: int, selects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any entry of the log may have it, although the setting excludes it."""
    monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 3)
    moments = [BASE - 400 * DAY + n * DAY for n in range(3)]
    moments[place] += days * DAY
    log = [
        Entry("sp1", status, at * 10) for status, at in zip(("Created", "Reminder", "Started"), moments, strict=True)
    ]
    others = [(Process(f"x{n}"), [Entry(f"x{n}", "Created", (BASE - 900 * DAY + n) * 10)]) for n in range(5)]
    options = EmulatorOptions(range_selects=selects)
    emulator = Emulator(options, clock=lambda: inside.NOW, processes=[(Process("sp1"), log), *others])
    for order in ("desc", "asc"):
        found = reader(emulator, BASE - 800 * DAY, inside.NOW_MICROS, order, selects)
        got = set(await times(found))
        batch = await found.read(50, 200)
        assert batch.assumes
        assert "TAKTIKAL_MAX_ENVELOPE_AGE" in (batch.reason or "")
        assert len(set(moments) - got) <= 1
        found = reader(emulator, BASE - 800 * DAY, inside.NOW_MICROS, order, selects)
        found._facts.longest_life = 303 * DAY  # as after the previous page
        assert sorted(await times(found)) == sorted(moments)


@pytest.mark.parametrize("times", ["year_one", "epoch", "future"])
@pytest.mark.parametrize("logs", ["whole", "trimmed"])
@pytest.mark.parametrize("selects", ["creation", "last_update"])
async def test_wrong_times_of_creation_or_update_hide_nothing_in_a_large_account(
    times: Any, selects: Any, logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Including a database that begins in 1753, and a query by key to a cold process."""
    monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 3)
    moments = [BASE + n * 977 * SECOND for n in range(40)]
    year_one = "accepted" if times == "year_one" else "refused"
    emulator = emulator_of(*moments, range_selects=selects, logs=logs, wrong_times=times, year_one=year_one)
    facts = AccountObservations(lambda: inside.NOW_MICROS)
    facts.set(selects, logs == "whole")
    for calls in (20, 6):  # without calls by key, of which trimmed logs need one for each process
        emulator.calls.reset()
        loader = RangeLoader(TaktikalClient(inside.taktikal(emulator)), {}, facts, CallBudget())
        span = ReadRequest(Query(), BASE, inside.NOW_MICROS, (inside.NOW_MICROS,))
        batch = await WindowReader("s", span, loader, prepare=nothing, max_age=120 * DAY).read(50, 64)
        assert [record.key[0] for record in batch.records] == moments[::-1]
        assert sum("ProcessKey" not in call.params for call in emulator.calls.calls) <= calls
        assert batch.reason is None
    loader = RangeLoader(TaktikalClient(inside.taktikal(emulator)), {}, facts, CallBudget())
    loader.facts = AccountObservations(lambda: inside.NOW_MICROS)
    assert [process.key for process in await loader.named(["sp003"])] == ["sp003"]


async def test_many_wrong_times_of_creation_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.providers.taktikal.reader._SMALL", 3)
    moments = [BASE + n for n in range(400)]
    found = reader(emulator_of(*moments, range_selects="creation", wrong_times="epoch"), BASE, BASE + DAY, "asc", None)
    batch = await found.read(500, 64)
    assert (len(batch.records), "before 2000" in (batch.reason or "")) == (360, True)


async def test_one_process_is_read_by_its_key() -> None:
    emulator = emulator_of(*range(BASE, BASE + 12), key_dates="honoured", logs="trimmed")
    client = TaktikalClient(inside.taktikal(emulator))
    spent = CallBudget()
    loader = RangeLoader(client, {}, AccountObservations(lambda: inside.NOW_MICROS), spent)
    span = ReadRequest(Query(), BASE, BASE + 2, (BASE + 2,))
    batch = await ProcessReader("s", span, loader, ["sp001"]).read(1, 1)
    assert [record.key[0] for record in batch.records] == [BASE + 1]
    assert batch.ended
    assert spent.as_of == inside.NOW_MICROS
    assert emulator.calls.total == 3, "not one call each for the process, the end, and a longer response"
    await loader.everything(DateRange.around(BASE, BASE + DAY))
    emulator.calls.reset()
    assert len((await ProcessReader("s", span, loader, ["sp001"]).read(1, 1)).records) == 1
    assert emulator.calls.total == 1


class Rounds:
    """A transport that responds to all waiting calls at once; `rounds` counts these times."""

    def __init__(self, emulator: Emulator) -> None:
        self._inner, self._waiting = inside.TaktikalDirect(emulator), list[asyncio.Future[None]]()
        self.rounds, self.bytes = 0, 0

    async def send(self, *request: Any) -> Response:
        self._waiting.append(asyncio.get_running_loop().create_future())
        if len(self._waiting) == 1:
            self._task = asyncio.ensure_future(self._release())
        await self._waiting[-1]
        response = await self._inner.send(*request)
        self.bytes += len(response.body)
        return response

    async def _release(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)
        self.rounds, waiting, self._waiting = self.rounds + 1, self._waiting, []
        for one in waiting:
            one.set_result(None)

    async def aclose(self) -> None:
        pass


class FirstPages:
    """First pages of an account of 8,000 events, whose newest days are a weekend. `transport` counts rounds."""

    def __init__(self) -> None:
        emulator = Emulator(EmulatorOptions(events=8000), clock=lambda: inside.NOW)
        self.http = inside.taktikal(emulator)
        self.http._transport = self.transport = Rounds(emulator)
        self.facts = AccountObservations(lambda: inside.NOW_MICROS + 60 * DAY)
        self.facts.set("activity", True)

    async def page(self, until: int, limit: int) -> int:
        """Read a first page, and return its rounds of calls."""
        loader = RangeLoader(TaktikalClient(self.http), {}, self.facts, CallBudget())
        span = ReadRequest(Query(), until - 30 * DAY, until, (until,))
        found = WindowReader("s", span, loader, prepare=nothing, max_age=DAY)
        records = self.transport.rounds = 0
        while records <= limit:
            records += len((await found.read(limit + 1 - records, 64)).records)
        return self.transport.rounds


async def nothing() -> None:
    pass


@pytest.mark.parametrize("limit", [100, 1000])
async def test_a_repeated_first_page_takes_one_round_of_calls_and_loads_few_other_events(limit: int) -> None:
    pages = FirstPages()
    for _ in range(3):
        await pages.page(inside.NOW_MICROS, limit)
    pages.transport.bytes = 0
    rounds = [await pages.page(inside.NOW_MICROS - minutes * 60 * SECOND, limit) for minutes in range(0, 200, 20)]
    assert sum(rounds) <= 12
    assert pages.transport.bytes <= 10 * (limit * 700 + 50_000)


@pytest.mark.parametrize("gap", [1, 5, 20])
async def test_a_window_without_recent_events_takes_few_rounds(gap: int) -> None:
    pages = FirstPages()
    for _ in range(2):
        await pages.page(inside.NOW_MICROS, 100)
    assert await pages.page(inside.NOW_MICROS + gap * DAY, 100) <= 4


@pytest.mark.parametrize("of_nothing", [0, 1000])
async def test_totals_that_are_too_high_do_not_divide_windows_into_seconds(
    order: str, of_nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: 110,802 calls for a page, one for each second of a window with few events."""
    right = TaktikalClient.total

    async def total(*given: Any) -> int | None:
        assert emulator.calls.total <= 200
        found = await right(*given)
        return found + 1000 if found else of_nothing

    monkeypatch.setattr(TaktikalClient, "total", total)
    moments = [BASE + hour * 3600 * SECOND for hour in range(1, 20)]
    emulator = emulator_of(*moments)
    found = reader(emulator, BASE, BASE + DAY, order, "activity")
    assert sorted(await times(found)) == moments
    assert emulator.calls.total <= 100


@pytest.mark.parametrize(("order", "most"), [("newest", 110), ("shuffled", 200)])
async def test_a_small_limit_of_responses_does_not_divide_windows_into_as_many(order: Any, most: int) -> None:
    """Regression: each window contained as many envelopes as a response, and took three calls."""
    moments = [BASE + hour * 3600 * SECOND for hour in range(150)]
    emulator = emulator_of(*moments, max_take=5, order=order)
    found = reader(emulator, BASE, BASE + 7 * DAY, "asc", "activity")
    assert await times(found, 200) == moments
    assert emulator.calls.total <= most


@pytest.mark.parametrize("ids", [True, False])
async def test_a_log_that_changes_where_a_page_ended_is_a_reason(ids: bool, order: Any) -> None:
    """Resumed at a position among entries of one time, or at an id, the next page could lack or repeat an event."""
    log = [{"status": status, "createdAt": "2026-05-01T00:00:00Z"} for status in ("Created", "Reminder", "Started")]
    log = [entry | {"id": number} for number, entry in enumerate(log)] if ids else log
    _, last, _ = sorted(records_of("s", process_of({"processKey": "sp1", "activityLog": log}))[0], key=key_of)
    renumbered = [entry | {"id": number + 10} for number, entry in enumerate(log)]
    for changed, is_named in ((log, False), (log[1:], not ids), ([*log, log[0] | {"status": "Auth"}], not ids),
                              (renumbered, True)):  # fmt: skip
        if changed[-1].get("status") == "Auth" and ids:
            changed[-1]["id"] = 9
        span = ReadRequest(Query(order=order), 0, inside.NOW_MICROS, last.key)
        facts = AccountObservations(lambda: inside.NOW_MICROS)
        loader = RangeLoader(TaktikalClient(inside.taktikal(emulator_of())), {}, facts, CallBudget())
        found = ProcessReader("s", span, loader, ["sp1"])
        records = await found.collect(
            [process_of({"processKey": "sp1", "activityLog": changed})], Window(0, inside.NOW_MICROS)
        )
        assert (found.batch(records, 0, True).reason is not None) == is_named


def key_of(record: TaktikalRecord) -> Any:
    return record.key
