"""Subnoto's reader over logs that change while they are read, with wrong times and wrong totals: cold and warm
processes return each record that is not removed once, or the page fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import SourceFailed
from app.domain.query import Query
from app.domain.times import DAY, SECOND
from app.providers.base import CallBudget, CommonSettings, Hint, ReadRequest
from app.providers.subnoto.client import LogQuery
from app.providers.subnoto.gaps import LOST_TIES, UNSORTED
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.reader import SubnotoReader
from app.providers.subnoto.settings import SubnotoSettings
from app.providers.subnoto.source import SubnotoSource
from app.providers.subnoto.time_index import TimeIndex
from app.providers.subnoto.wire import EARLIEST, LogPage, decode_page

NOW = 1_780_000_000 * SECOND
WRONG = {"ahead": 600, "old": -7200, "days old": -3 * 86_400, "future": 2_290_000_000, "past": -1_780_000_000}


@dataclass
class FakeLog:
    """A client that lists a log. Between two responses, also of one round, `by` of the oldest rows, or of any
    (`anywhere`), are removed and as many new ones appended (`is_ring`). A row is (time in µs, number)."""

    rows: list[tuple[int, int]]
    rng: random.Random
    every: int = 0
    by: int = 0
    is_ring: bool = False
    anywhere: bool = False
    only_once: bool = False
    off: int = 0
    cap: int | None = None
    size: int = 50  #: maximal number of rows in a response
    growth: int = 0  #: rows that are appended with each `every`-th call
    late: int = 0  #: µs by which the times of new rows are too old
    has_next: bool | None = None
    beyond: str = "empty"  #: a page after the end: "empty", the "last" one again, or "refused"
    #: Sorting by time is "honoured", with ties in any order, "ignored", "refused", or the "only" order.
    order: str = "honoured"
    newest_first: bool = False  #: `sortOrder` is ignored
    cut: float = 0  #: probability that a page is truncated
    cuts: int | None = None  #: number of pages still to be truncated; None for no limit
    lack: int = 0  #: rows missing from the last page of several, instead of `cut`
    claims_shown: bool = False  #: totals count the rows up to the response's page
    claims_next: bool = False  #: and one more
    calls: int = 0
    sorted_calls: int = 0  #: calls in the order of time
    removed: list[tuple[int, int]] = field(default_factory=list)

    async def list_logs(
        self, query: LogQuery, pages: Sequence[int], limit: int, spent: CallBudget
    ) -> list[tuple[int, LogPage]]:
        made: dict[int, Any] = {}
        for page in self.rng.sample(list(pages), len(pages)):
            spent.calls += 1
            self._move()
            limit = min(limit, self.size)
            log = self.rows
            self.sorted_calls += query.by_time
            if query.by_time and self.order == "refused":
                raise SourceFailed("refused")
            if self.order == "only" or (query.by_time and self.order == "honoured"):
                log = sorted(log, key=lambda row: (row[0], self.rng.random()))
            if self.newest_first:
                log = log[::-1]
            rows = log[(page - 1) * limit : page * limit]
            if not rows and self.beyond == "last":
                rows = log[max(0, len(self.rows) - 1) // limit * limit :]
            if self.lack and self.cuts and len(rows) > self.lack and page * limit >= len(log):
                rows, self.cuts = rows[: -self.lack], self.cuts - 1
            if self.cut and len(rows) > 1 and self.cuts != 0 and self.rng.random() < self.cut:
                rows, self.cuts = rows[: self.rng.randrange(1, len(rows))], None if self.cuts is None else self.cuts - 1
            shown = (page - 1) * limit + len(rows) + self.claims_next
            total = shown if self.claims_shown else max(0, len(self.rows) + self.off)
            total = min(total, len(self.rows)) if self.claims_next else total
            logs = [{"eventType": "X", "timestamp": time / SECOND, "eventData": {"n": n}} for time, n in rows]
            body = {"logs": logs, "totalCount": total if self.cap is None else min(total, self.cap)}
            if self.has_next:
                follows = page + 1 if page * limit < len(self.rows) else None
                body = {"logs": logs, "pagination": {"totalRecords": body["totalCount"], "nextPage": follows}}
            made[page] = decode_page(msgspec.json.encode(body), NOW)
            if self.beyond == "refused" and page > 1 and not rows:
                made[page] = LogPage([], 0, "", refusal=SourceFailed("refused"))
        return [(page, made[page]) for page in pages]

    def _append(self, count: int) -> None:
        newest = self.rows[-1][1] + 1 if self.rows else 10**6
        self.rows += [(NOW + n - self.late, n) for n in range(newest, newest + count)]

    def _move(self) -> None:
        self.calls += 1
        if self.growth and self.calls % (self.every or 2) == 0:
            self._append(self.growth)
        if self.by and self.every and self.calls % self.every == 0 and not (self.only_once and self.removed):
            self.rows, count = list(self.rows), min(self.by, len(self.rows))
            for _ in range(count):
                self.removed.append(self.rows.pop(self.rng.randrange(len(self.rows)) if self.anywhere else 0))
            if self.is_ring:
                self._append(count)


@st.composite
def logs(draw: st.DrawFn) -> tuple[FakeLog, set[int]]:
    """Draw a log and the numbers of its rows with a wrong time."""
    rng = random.Random(draw(st.integers(0, 1 << 16)))
    count, span = draw(st.sampled_from([1, 49, 50, 51, 120, 500, 1200])), draw(st.sampled_from([3600, 86_400 * 30]))
    jitter, burst = draw(st.sampled_from([0, 2, 100])), draw(st.sampled_from([1, 1, 40]))
    times = sorted(NOW - rng.randrange(1, span * 1000) * 1000 for _ in range(-(-count // burst))) * burst
    times = [time - rng.randrange(jitter * 1000 + 1) * 1000 for time in sorted(times)[:count]]
    wrong = draw(st.lists(st.tuples(st.sampled_from([-1, -2, -16, count // 2]), st.sampled_from([*WRONG])), max_size=1))
    for at, kind in wrong:
        if -count <= at < count:
            times[at] += WRONG[kind] * SECOND
    log = FakeLog([*zip(times, range(count), strict=True)], rng)
    if draw(st.booleans()):
        log.every, log.by = (
            draw(st.sampled_from([1, 2, 3, 5, 11])),
            draw(st.sampled_from([1, 3, 49, 50, 75, 400])),
        )
        log.is_ring, log.only_once, log.anywhere = (draw(st.booleans()) for _ in range(3))
    if draw(st.booleans()):
        log.growth = draw(st.sampled_from([1, 1, 2, 20]))
    log.beyond = draw(st.sampled_from(["empty", "last", "refused"]))
    log.size, log.has_next = draw(st.sampled_from([50, 50, 20])), draw(st.booleans())
    if draw(st.booleans()):
        log.off, log.cap = draw(st.sampled_from([(1, None), (-1, None), (-50, None), (50, None), (0, 100)]))
    return log, {at % count for at, _ in wrong if -count <= at < count}


def rows_of(count: int, step: int) -> list[tuple[int, int]]:
    """Return rows whose times are `step` µs apart, up to `step` before NOW."""
    return [(NOW - (count - n) * step, n) for n in range(count)]


def random_times(rng: random.Random, count: int) -> list[int]:
    return sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(count))


def cold_state() -> tuple[AccountObservations, TimeIndex]:
    """Return the state of a process that has not read the log."""
    return AccountObservations(lambda: NOW), TimeIndex()


def reader_of(log: Any, span: ReadRequest, facts: AccountObservations, index: TimeIndex) -> SubnotoReader:
    return SubnotoReader(
        LogRequest(log, LogQuery("envelope"), span, CallBudget(), "s", 120 * SECOND, NOW, facts, index)
    )


async def walk(
    log: FakeLog, query: Query, since: int, until: int, limits: Sequence[int], state_of_page: Any, pages: Any = None,
    begin: int | None = None,
) -> list[int]:  # fmt: skip
    """Return the numbers of the records of all pages. `state_of_page` returns a page's state; `pages` receives the last
    batch of each page; `begin`: the time to begin at, within the window."""
    position: Any = (begin,) if begin is not None else (since,) if query.ascending else (until,)
    hint: Hint = None
    got: list[int] = []
    while True:
        limit, (facts, index) = log.rng.choice(limits), state_of_page()
        reader = reader_of(log, ReadRequest(query, since, until, position, hint), facts, index)
        found: list[Any] = []
        has_ended = False
        while not has_ended and len(found) <= limit:
            batch = await reader.read(limit + 1 - len(found), 64)
            found += batch.records
            has_ended = batch.ended
        page = found[:limit]
        if pages is not None:
            pages.append(batch)
        got += [record.event().data["n"] for record in page]
        if len(found) <= limit:
            return got
        position = page[-1].key
        hint = reader.hint(position)


def read(
    log: FakeLog, order: Any, limits: Sequence[int], since: int = 0, until: int = NOW, *, may_fail: bool = False
) -> tuple[list[int], list[str]]:
    """Return the numbers of the records of a walk by cold processes, and its reasons. `may_fail`: a failure is a
    reason."""
    batches: list[Any] = []
    try:
        got = asyncio.run(walk(log, Query(order=order), since, until, limits, cold_state, batches))
    except SourceFailed as error:
        if not may_fail:
            raise
        return [], [str(error)]
    return got, [batch.reason for batch in batches if batch.reason]


@given(logs(), st.sampled_from(["asc", "desc"]), st.sampled_from([(7, 30), (100,), (1000,)]), st.booleans(), st.data())
def test_each_remaining_record_is_read_once_or_the_page_fails(
    drawn: tuple[FakeLog, set[int]], order: Any, limits: Sequence[int], warm: bool, data: st.DataObject
) -> None:
    log, wrong = drawn
    times = sorted(time for time, number in log.rows if number not in wrong) or [NOW - DAY]
    since = data.draw(st.sampled_from([times[0], times[len(times) // 2], times[-1]]))
    until = data.draw(st.sampled_from([NOW, max(since + 1, times[-1]), max(since + 1, times[len(times) // 2])]))
    state, pages = cold_state(), list[Any]()

    state_of_page = (lambda: state) if warm else cold_state
    before: list[tuple[int, int]] = []
    try:
        for _ in range(1 + warm):
            before = list(log.rows)
            pages.clear()
            got = asyncio.run(walk(log, Query(order=order), since, until, limits, state_of_page, pages))
    except SourceFailed:
        assert log.by or log.cap or abs(log.off) > 1, "a total off by one fails no page"
        return
    stays = {n for time, n in log.rows if since <= time < until and n not in wrong}
    assert stays & {n for _, n in before} <= set(got)
    # A page that ended within a tie which then lost records is repeated, because the tie's order is unknown.
    assert len(got) == len(set(got)) or any(LOST_TIES in (page.reason or "") for page in pages)


@pytest.mark.parametrize("seed", range(60))
def test_a_last_page_that_is_truncated_while_rows_are_removed_hides_no_row(seed: int) -> None:
    rng = random.Random(seed)
    rows = [(NOW - DAY + n * SECOND, n) for n in range(rng.choice([45, 90, 400]))]
    log = FakeLog(rows, rng, every=rng.choice([1, 2, 3]), by=1, cut=0.3, off=rng.choice([0, 0, -50, 50]))
    got, reasons = read(log, rng.choice(["asc", "desc"]), (100,), may_fail=True)
    assert {n for _, n in log.rows} <= set(got) or reasons


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("ties", [60, 130, 300])
def test_an_order_of_equal_times_that_changes_with_each_call_is_reported(ties: int, seed: int) -> None:
    rng = random.Random(seed)
    times = sorted(NOW - rng.randrange(1, 86_400) * SECOND for _ in range(600))
    begin = rng.randrange(600 - ties)
    times[begin : begin + ties] = [times[begin]] * ties
    growth, by = rng.choice([(0, 0), (0, 0), (1, 0), (0, 1)])
    log = FakeLog([*zip(times, range(600), strict=True)], rng, order="only", every=3, growth=growth, by=by)
    got, reasons = read(log, rng.choice(["asc", "desc"]), (1000,), may_fail=True)
    stay = {n for _, n in log.rows if n < 600}
    assert (stay <= set(got) and len(got) == len(set(got))) or reasons


@pytest.mark.parametrize("seed", range(60))
def test_an_order_of_a_few_equal_times_that_changes_between_pages_changes_nothing(order: Any, seed: int) -> None:
    """All rows are in one response, so that only the cursor's ties show the change."""
    rng = random.Random(seed)
    ties = rng.choice([2, 3, 4, 6, 12])
    rows = [(NOW - (3600 if n < ties else 60 * (20 - n)) * SECOND, n) for n in range(rng.choice([ties, 16]))]
    got, reasons = read(FakeLog(rows, rng, order="only"), order, (1, 2, 3))
    assert (sorted(got), reasons) == ([*range(len(rows))], [])


@pytest.mark.parametrize("ties", [18, 40, 49])
def test_an_order_of_many_equal_times_that_changes_between_pages_repeats_only_the_first_page(
    order: Any, ties: int
) -> None:
    rows = [(NOW - (3600 if n < ties else 60) * SECOND, n) for n in range(ties + 1)]
    got, reasons = read(FakeLog(rows, random.Random(ties), order="only"), order, (3,))
    assert set(got) == {*range(len(rows))}
    assert len(got) - len(set(got)) <= 3
    assert len(reasons) == 1


@pytest.mark.parametrize("seed", range(30))
def test_records_removed_from_a_tie_hide_no_other(order: Any, seed: int) -> None:
    rng = random.Random(seed)
    ties = rng.choice([7, 20, 40])
    rows = [(NOW - 60 * SECOND, n) for n in range(ties)]
    log = FakeLog(rows, rng, every=rng.choice([4, 7]), by=1, anywhere=True)
    got, reasons = read(log, order, (1, 2, 3))
    assert {n for _, n in log.rows} <= set(got)
    assert len(got) == len(set(got)) or reasons
    assert len(got) <= 2 * ties


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("size", [25, 50])
def test_a_growing_log_in_descending_order_is_reported(size: int, seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted((NOW - rng.randrange(1, 400) * SECOND, n) for n in range(400))
    rows = [(time - rng.randrange(60) * SECOND, n) for time, n in rows]
    log = FakeLog(rows, rng, size=size, growth=1, every=rng.choice([2, 3]), newest_first=True)
    since = NOW - rng.randrange(120, 360) * SECOND
    order, limits = rng.choice(["asc", "desc"]), rng.choice([(100,), (1000,)])
    got, reasons = read(log, order, limits, since, since + rng.choice([60, 300]) * SECOND, may_fail=True)
    assert {n for time, n in rows if since <= time < since + 60 * SECOND} <= set(got) or reasons


@pytest.mark.parametrize("seed", range(60))
def test_a_last_page_that_grows_and_is_repeated_fails_no_page(order: Any, seed: int) -> None:
    rng = random.Random(seed)
    count, size = rng.choice([2, 4, 6, 11, 24, 51]), rng.choice([5, 25])
    rows = rows_of(count, SECOND)
    got, reasons = read(FakeLog(rows, rng, size=size, growth=1, every=2, beyond="last"), order, (100,))
    assert (sorted(got), reasons) == ([*range(count)], [])


@pytest.mark.parametrize("seed", range(20))
def test_twins_and_removed_rows_are_not_reported_as_a_change_of_order(seed: int) -> None:
    rng = random.Random(seed)
    times = sorted(NOW - rng.randrange(1, 86_400) * SECOND for _ in range(600))
    begin = rng.randrange(470)
    times[begin : begin + 130] = [times[begin]] * 130
    rows = [*zip(times, range(600), strict=True)]
    for twin in rng.sample(range(begin + 60, begin + 130), 5):
        rows[twin] = rows[twin - rng.choice([1, 5, 55])]
    log = FakeLog(rows, rng, every=3, growth=rng.choice([0, 1]), by=rng.choice([0, 0, 1]))
    got, reasons = read(log, rng.choice(["asc", "desc"]), (1000,))
    assert {n for time, n in log.rows if time < NOW} <= set(got)
    assert reasons == []


@pytest.mark.parametrize(("count", "off"), [(0, 1), (0, 50), (0, 1000), (1, 1), (1, 50), (50, 1), (100, 1), (100, 50)])
@pytest.mark.parametrize("beyond", ["empty", "last", "refused"])
def test_a_total_that_is_too_high_fails_no_page(order: Any, beyond: str, count: int, off: int) -> None:
    rows = rows_of(count, SECOND)
    log = FakeLog(rows, random.Random(1), off=off, beyond=beyond if off <= 50 else "empty")
    assert sorted(read(log, order, (7, 100))[0]) == list(range(count))


@pytest.mark.parametrize("limit", [7, 100, 1000])
@pytest.mark.parametrize("count", [49, 400, 401])
@pytest.mark.parametrize(("since", "until", "off"), [(60, 0, 0), (180, 100, 0), (600, 115, 0), (600, 100, -50)])
def test_a_newest_row_with_a_wrong_time_is_in_the_window_of_that_time(
    order: Any, limit: int, count: int, since: int, until: int, off: int
) -> None:
    """A search for its time does not reach the end of the log. Read by a cold process, and twice by a warm one."""
    rows = rows_of(count, 60 * SECOND)
    rows[-1] = (NOW - 7201 * SECOND, count - 1)
    log, state = FakeLog(rows, random.Random(1), off=off), cold_state()
    begin, end = NOW - since * 60 * SECOND, NOW - until * 60 * SECOND
    inside = [n for _, n in sorted(row for row in rows if begin <= row[0] < end)]

    for state_of_page in (cold_state, lambda: state, lambda: state):
        got = asyncio.run(walk(log, Query(order=order), begin, end, (limit,), state_of_page))
        assert got == (inside if order == "asc" else inside[::-1])


@pytest.mark.parametrize("query", [Query(order="asc"), Query(order="desc")], ids=["asc", "desc"])
@pytest.mark.parametrize("ahead", [7200, -7200, 600, -600, 40_000, -3 * 86_400])
@pytest.mark.parametrize(("back", "on"), [(1, 1), (300, 300), (1200, 1200), (9000, 100), (100, 90_000)])
@pytest.mark.parametrize(("sorting", "growth"), [("honoured", 0), ("honoured", 2), ("ignored", 0), ("refused", 0)])
def test_a_wrong_time_far_from_its_position_is_read_or_reported(
    query: Query, ahead: int, back: int, on: int, sorting: str, growth: int
) -> None:
    """In windows of 0 to 400 rows around its time, of which no search reaches its position. Without a wrong time there
    is no reason; the check costs one call for up to 48 rows and for a window up to now, otherwise two."""
    rng = random.Random(ahead)
    times = random_times(rng, 400)
    at = 150 if ahead > 0 else 250
    wrong = times[at] + ahead * SECOND
    since, until = wrong - back * SECOND, min(NOW, wrong + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until}
        log = FakeLog(rows, rng, order=sorting, growth=growth)
        got, batches = asyncio.run(first_page(log, query, since, until))
        assert set(got) <= inside
        is_named = any(batch.bad_records and "SUBNOTO_MAX_TIME_SKEW" in (batch.reason or "") for batch in batches)
        if is_wrong and sorting == "honoured":
            assert set(got) == inside or is_named
        if is_wrong and sorting == "refused":
            assert set(got) == inside or any(UNSORTED in (batch.reason or "") for batch in batches)
        if not is_wrong:
            assert (set(got), is_named) == (inside, False)
            fewest = 0 if since < times[0] and until > times[-1] else 1 + (until < NOW and len(inside) > 48)
            assert log.sorted_calls <= fewest


@pytest.mark.parametrize("ahead", [7200, -7200, 600, 40_000, -3 * 86_400])
@pytest.mark.parametrize(("back", "on"), [(3000, 3000), (12_000, 12_000), (9000, 100), (100, 90_000), (86_400, 86_400)])
@pytest.mark.parametrize(
    ("limit", "growth", "by"), [(7, 0, 0), (30, 0, 0), (100, 0, 0), (30, 2, 0), (30, 0, 40), (30, 1, 1)]
)
def test_a_wrong_time_in_a_window_of_several_pages_is_read_or_reported(
    order: Any, ahead: int, back: int, on: int, limit: int, growth: int, by: int
) -> None:
    """The last page reports it at the latest; the check costs a call on the first and the last page. `by`: records that
    are removed, 40 of them once: the wrong time may then remain unnoticed, but none is reported without one."""
    rng = random.Random(ahead)
    times = random_times(rng, 600)
    at = 250 if ahead > 0 else 350
    wrong = times[at] + ahead * SECOND
    since, until = wrong - back * SECOND, min(NOW, wrong + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until}
        log = FakeLog(rows, rng, growth=growth, by=by, every=12 if by > 1 else 5, is_ring=by == 1, only_once=by > 1)
        got, reasons = read(log, order, (limit,), since, until)
        assert len(got) == len(set(got))
        named = [reason for reason in reasons if "SUBNOTO_MAX_TIME_SKEW" in reason]
        removed = {n for _, n in log.removed}
        if is_wrong and not by:
            assert inside - removed <= set(got) or named
        if not is_wrong:
            assert inside - removed <= set(got)
            assert not named
            assert by or log.sorted_calls <= 3


@pytest.mark.parametrize("window", [(0, 600), (100, 600), (100, 500)])
@pytest.mark.parametrize("left", [1, 20, 60, 200])
@pytest.mark.parametrize("jitter", [0, 40])
def test_a_walk_that_begins_within_its_window_misses_nothing(
    order: Any, window: tuple[int, int], left: int, jitter: int
) -> None:
    """A resumed export with `left` rows to read, among equal and unsorted times."""
    rng = random.Random(left)
    times = [NOW - (600 - n) // 5 * 5 * SECOND - rng.randrange(jitter + 1) * SECOND for n in range(600)]
    rows = [*zip(times, range(600), strict=True)]
    since, until = min(times[window[0] :]), NOW if window[1] == 600 else times[window[1]]
    ordered = sorted((time, n) for time, n in rows if since <= time < until)
    begin = ordered[-left][0] if order == "asc" else ordered[left - 1][0] + 1
    got, batches = asyncio.run(first_page(FakeLog(rows, rng), Query(order=order), since, until, begin))
    assert set(got) == {n for time, n in ordered if (time >= begin) == (order == "asc")}
    assert [batch.reason for batch in batches if batch.reason] == []


@pytest.mark.parametrize("ahead", [7200, -7200, 20_000, -20_000])
@pytest.mark.parametrize("left", [20, 90])
def test_a_wrong_time_in_the_rest_of_an_export_is_read_or_reported(left: int, ahead: int, order: Any) -> None:
    """The export resumes at the time of its last event, `left` records before its end."""
    rng = random.Random(ahead)
    times = random_times(rng, 600)
    at = 250 if ahead > 0 else 350
    wrong = times[at] + ahead * SECOND
    before, after = ([time for time in times if (time < wrong) == is_earlier] for is_earlier in (True, False))
    begin, since, until = (
        (before[-left], before[0], after[9]) if order == "asc" else (after[left], before[-9], after[-1])
    )
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until and (time >= begin) == (order == "asc")}
        got, batches = asyncio.run(first_page(FakeLog(rows, rng), Query(order=order), since, until, begin))
        is_named = any("SUBNOTO_MAX_TIME_SKEW" in (batch.reason or "") for batch in batches)
        assert set(got) == inside or (is_wrong and is_named)
        assert is_wrong or not is_named


@pytest.mark.parametrize("ahead", [7200, -7200, 20_000, -20_000])
@pytest.mark.parametrize("sorting", ["honoured", "refused"])
@pytest.mark.parametrize("limit", [60, 100])
def test_a_wrong_time_in_the_rest_of_a_long_export_is_read_or_reported(
    limit: int, sorting: str, ahead: int, order: Any
) -> None:
    """The export resumes at the time of its last event, several pages and 150 records before the wrong time."""
    rng = random.Random(ahead)
    times = random_times(rng, 600)
    at = 300
    wrong = times[at] + ahead * SECOND
    near = sum(time < wrong for time in times)
    begin = times[max(1, near - 150)] if order == "asc" else times[min(598, near + 150)]
    since, until = (times[0], times[min(599, near + 100)]) if order == "asc" else (times[max(0, near - 100)], times[-1])
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {
            n for time, n in rows if since <= time < until and (time >= begin if order == "asc" else time < begin)
        }
        pages: list[Any] = []
        log = FakeLog(rows, rng, order=sorting)
        got = asyncio.run(walk(log, Query(order=order), since, until, (limit,), cold_state, pages, begin))
        reasons = [page.reason for page in pages if page.reason]
        assert len(pages) > 1
        assert set(got) - {at} == inside - {at}
        assert set(got) == inside or reasons
        if not is_wrong:
            assert set(reasons) == ({UNSORTED} if sorting == "refused" else set())


async def first_page(
    log: FakeLog, query: Query, since: int, until: int, begin: int | None = None
) -> tuple[list[int], list[Any]]:
    """Return the numbers of the records of one page for the whole window, and its batches. `begin`: the time to begin
    at, within the window."""
    edge = since if query.ascending else until
    position = (edge if begin is None else begin,)
    reader = reader_of(log, ReadRequest(query, since, until, position), *cold_state())
    batches = [await reader.read(1001, 64)]
    while not batches[-1].ended:
        batches.append(await reader.read(1001, 64))
    return [record.event().data["n"] for batch in batches for record in batch.records], batches


@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize(("at", "ahead"), [(49, 7200), (50, -7200)])
@pytest.mark.parametrize("window", [(45, 60), (30, 49), (51, 70)])
def test_a_wrong_time_at_the_edge_of_a_page_hides_no_other_record(
    order: Any, limit: int, at: int, ahead: int, window: tuple[int, int]
) -> None:
    rows = [(NOW - (101 - n) * 60 * SECOND + ahead * SECOND * (n == at), n) for n in range(101)]
    since, until = (NOW - (101 - n) * 60 * SECOND for n in window)
    log, state = FakeLog(rows, random.Random(1)), cold_state()
    for _ in range(2):
        got = asyncio.run(walk(log, Query(order=order), since, until, (limit,), lambda: state))
        assert set(range(*window)) - {at} <= set(got)


@pytest.mark.parametrize(
    ("count", "growth", "size", "off"),
    [(49, 1, 20, -50), (50, 20, 20, -50), (1200, 1, 50, -1), (1500, 1, 20, -50), (8, 0, 7, -1), (120, 0, 20, -50)],
)
def test_a_total_that_is_too_low_and_grows_hides_nothing(
    order: Any, count: int, growth: int, size: int, off: int
) -> None:
    """At some time it equals the end of a full page."""
    state = cold_state()
    for seed in range(4):
        rows = rows_of(count, SECOND)
        log = FakeLog(rows, random.Random(seed), every=2 + seed, growth=growth, size=size, off=off)
        got = asyncio.run(walk(log, Query(order=order), 0, NOW, (333,), lambda: state))
        assert sorted(got) == list(range(count))


@pytest.mark.parametrize("off", [0, 1, 50, -1, -50])
@pytest.mark.parametrize("count", [3, 49, 400])
def test_a_count_excludes_new_records_before_its_window(count: int, off: int) -> None:
    rows = rows_of(count, SECOND)
    log = FakeLog(rows, random.Random(1), growth=2, off=off)
    since = NOW + SECOND  # the new ones are a few µs after NOW
    assert total_of(log, since, since + SECOND) == (0, "eq")
    assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("ahead", [7200, -7200, 600, -600, 3 * 86_400, 3 * 10**9, -(10**9)])
@pytest.mark.parametrize(("back", "on"), [(1, 1), (300, 300), (1200, 1200), (9000, 100), (100, 90_000)])
@pytest.mark.parametrize("place", ["its time", "its neighbours"])
@pytest.mark.parametrize("order", ["honoured", "ignored", "refused"])
def test_a_count_with_a_row_far_from_its_position_is_an_estimate(
    ahead: int, back: int, on: int, place: str, order: str
) -> None:
    """The row is total_of in the window of its neighbours. If the server refuses to sort by time, such rows cannot be
    detected, and all counts are estimates."""
    rng = random.Random(ahead)
    times = random_times(rng, 400)
    at = 150 if ahead > 0 else 250
    wrong = times[at] + ahead * SECOND
    centre = wrong if place == "its time" and EARLIEST < wrong < NOW else times[at]
    since, until = centre - back * SECOND, min(NOW, centre + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        truth = sum(since <= time < until for time, _ in rows)
        value, relation = total_of(FakeLog(rows, rng, order=order), since, until)
        if order == "refused":
            assert relation == "estimate"
        if not is_wrong:
            assert value == truth
            assert relation == ("estimate" if order == "refused" else "eq")
        elif order == "honoured":
            assert value == truth or relation == "estimate"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_too_short_to_compare_fail_no_count_or_page(size: int) -> None:
    rows = rows_of(60, 60 * SECOND)
    for since in (0, 20, 21, 22, 59):
        log = FakeLog(list(rows), random.Random(1), size=size)
        assert total_of(log, rows[since][0], NOW)[0] == 60 - since
        got, batches = asyncio.run(first_page(log, Query(order="asc"), rows[since][0], NOW))
        assert (got, batches[-1].reason) == (list(range(since, 60)), None)


def total_of(log: FakeLog, since: int, until: int) -> tuple[int, str]:
    settings = SubnotoSettings.model_validate({"base_url": "http://log.example", "access_key": "a", "secret_key": "b"})
    source = SubnotoSource("s", settings, CommonSettings(clock=lambda: NOW))
    source._client = log  # type: ignore[assignment]
    total = asyncio.run(source.total(Query(category=("envelope",)), since, until, CallBudget()))
    return total.value, total.relation


@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("count", [30, 130])
def test_rows_inserted_between_the_ends_of_a_count_make_it_an_estimate(count: int, call: int) -> None:
    """Ten old rows of one time, before the window and below its rows, as if they had been restored."""
    log = FakeLog(rows_of(count, DAY // 8), random.Random(1))
    since, old = log.rows[20][0], log.rows[3][0]

    def insert() -> None:
        log.calls += 1
        if log.calls == call:
            log.rows[4:4] = [(old, 1000 + n) for n in range(10)]

    log._move = insert  # type: ignore[method-assign]
    value, relation = total_of(log, since, since + 1)
    assert value == 1 or relation == "estimate"


@pytest.mark.parametrize("size", [5, 50])
def test_an_unreadable_row_outside_the_pages_read_makes_a_count_an_estimate(size: int) -> None:
    rows = [(NOW - DAY + n * SECOND, n) for n in range(400)]
    assert total_of(FakeLog(rows, random.Random(1), size=size), NOW - 2 * DAY, NOW) == (400, "eq")
    rows[150] = (0, 150)
    assert total_of(FakeLog(rows, random.Random(1), size=size), NOW - 2 * DAY, NOW)[1] == "estimate"


@pytest.mark.parametrize("limit", [30, 1000])
@pytest.mark.parametrize("is_ring", [True, False])
@pytest.mark.parametrize("anywhere", [True, False])
@pytest.mark.parametrize(("every", "by", "size"), [(1, 1, 50), (7, 40, 50), (7, 5, 20)])
def test_a_log_that_changes_with_each_call_is_read(
    order: Any, limit: int, is_ring: bool, anywhere: bool, every: int, by: int, size: int
) -> None:
    """No page fails, although its responses are never of one state of the log."""
    rows = [(NOW - (700 - n) * SECOND // 2 - n % 7 * 9 * SECOND, n) for n in range(700)]
    log = FakeLog(rows, random.Random(limit), every=every, by=by, is_ring=is_ring, size=size)
    log.anywhere = anywhere
    state = cold_state()
    got = asyncio.run(walk(log, Query(order=order), 0, NOW, (limit,), lambda: state))
    stays = {n for _, n in rows} - {n for _, n in log.removed}
    assert stays <= set(got)
    assert len(got) == len(set(got))
