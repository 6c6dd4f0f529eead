"""Subnoto's reader over logs that move while they are read, with wrong times and wrong totals: page after page, on cold
and on warm processes, each record that stays comes once, or the page is an error."""

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
class Moving:
    """A log as a client lists it. Between two responses, also of one round, `by` of the oldest rows, or of any
    (`anywhere`), may be removed and as many new ones put at the end (`is_ring`). Row: (time in µs, number)."""

    rows: list[tuple[int, int]]
    rng: random.Random
    every: int = 0
    by: int = 0
    is_ring: bool = False
    anywhere: bool = False
    only_once: bool = False
    off: int = 0
    cap: int | None = None
    size: int = 50  #: rows of a response, at the most
    growth: int = 0  #: rows that are put at the end with each `every`-th call
    late: int = 0  #: µs by which the times of new rows are too old
    has_next: bool | None = None
    beyond: str = "empty"  #: a page after the end: "empty", the "last" one again, or "refused"
    #: Sorting by time is "honoured", with ties in any order, "ignored", "refused", or the "only" order.
    order: str = "honoured"
    newest_first: bool = False  #: `sortOrder` is ignored
    cut: float = 0  #: probability that a page lacks its last rows
    cuts: int | None = None  #: pages that may lack them, by now; None for all
    lack: int = 0  #: rows that the last page of several lacks, instead
    claims_shown: bool = False  #: a total is that of the rows up to its page
    claims_next: bool = False  #: and of the next one
    calls: int = 0
    sorted_calls: int = 0  #: those in the order of time
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
def logs(draw: st.DrawFn) -> tuple[Moving, set[int]]:
    """A log, and the numbers of rows with a wrong time."""
    rng = random.Random(draw(st.integers(0, 1 << 16)))
    count, span = draw(st.sampled_from([1, 49, 50, 51, 120, 500, 1200])), draw(st.sampled_from([3600, 86_400 * 30]))
    jitter, burst = draw(st.sampled_from([0, 2, 100])), draw(st.sampled_from([1, 1, 40]))
    times = sorted(NOW - rng.randrange(1, span * 1000) * 1000 for _ in range(-(-count // burst))) * burst
    times = [time - rng.randrange(jitter * 1000 + 1) * 1000 for time in sorted(times)[:count]]
    wrong = draw(st.lists(st.tuples(st.sampled_from([-1, -2, -16, count // 2]), st.sampled_from([*WRONG])), max_size=1))
    for at, kind in wrong:
        if -count <= at < count:
            times[at] += WRONG[kind] * SECOND
    moving = Moving([*zip(times, range(count), strict=True)], rng)
    if draw(st.booleans()):
        moving.every, moving.by = (
            draw(st.sampled_from([1, 2, 3, 5, 11])),
            draw(st.sampled_from([1, 3, 49, 50, 75, 400])),
        )
        moving.is_ring, moving.only_once, moving.anywhere = (draw(st.booleans()) for _ in range(3))
    if draw(st.booleans()):
        moving.growth = draw(st.sampled_from([1, 1, 2, 20]))
    moving.beyond = draw(st.sampled_from(["empty", "last", "refused"]))
    moving.size, moving.has_next = draw(st.sampled_from([50, 50, 20])), draw(st.booleans())
    if draw(st.booleans()):
        moving.off, moving.cap = draw(st.sampled_from([(1, None), (-1, None), (-50, None), (50, None), (0, 100)]))
    return moving, {at % count for at, _ in wrong if -count <= at < count}


def fresh() -> tuple[AccountObservations, TimeIndex]:
    """What a process that starts knows of a log."""
    return AccountObservations(lambda: NOW), TimeIndex()


def reader_of(log: Any, span: ReadRequest, facts: AccountObservations, index: TimeIndex) -> SubnotoReader:
    return SubnotoReader(
        LogRequest(log, LogQuery("envelope"), span, CallBudget(), "s", 120 * SECOND, NOW, facts, index)
    )


async def walk(
    log: Moving, query: Query, since: int, until: int, limits: Sequence[int], memories: Any, pages: Any = None,
    begin: int | None = None,
) -> list[int]:  # fmt: skip
    """The numbers of the records that pages deliver. `pages` receives the last batch of each page; `begin`: the time to
    begin at, within the window."""
    position: Any = (begin,) if begin is not None else (since,) if query.ascending else (until,)
    hint: Hint = None
    got: list[int] = []
    while True:
        limit, (facts, index) = log.rng.choice(limits), memories()
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
    log: Moving, order: Any, limits: Sequence[int], since: int = 0, until: int = NOW, *, may_fail: bool = False
) -> tuple[list[int], list[str]]:
    """The numbers of the records of a walk on cold processes, and its reasons. `may_fail`: a failure is a reason."""
    batches: list[Any] = []
    try:
        got = asyncio.run(walk(log, Query(order=order), since, until, limits, fresh, batches))
    except SourceFailed as error:
        if not may_fail:
            raise
        return [], [str(error)]
    return got, [batch.reason for batch in batches if batch.reason]


@given(logs(), st.sampled_from(["asc", "desc"]), st.sampled_from([(7, 30), (100,), (1000,)]), st.booleans(), st.data())
def test_a_log_that_moves_or_lies_is_read_once_or_not_at_all(
    log: tuple[Moving, set[int]], order: Any, limits: Sequence[int], warm: bool, data: st.DataObject
) -> None:
    moving, wrong = log
    times = sorted(time for time, number in moving.rows if number not in wrong) or [NOW - DAY]
    since = data.draw(st.sampled_from([times[0], times[len(times) // 2], times[-1]]))
    until = data.draw(st.sampled_from([NOW, max(since + 1, times[-1]), max(since + 1, times[len(times) // 2])]))
    known, pages = fresh(), list[Any]()

    memories = (lambda: known) if warm else fresh
    before: list[tuple[int, int]] = []
    try:
        for _ in range(1 + warm):
            before = list(moving.rows)
            pages.clear()
            got = asyncio.run(walk(moving, Query(order=order), since, until, limits, memories, pages))
    except SourceFailed:
        assert moving.by or moving.cap or abs(moving.off) > 1, "a total off by one fails no page"
        return
    stays = {n for time, n in moving.rows if since <= time < until and n not in wrong}
    assert stays & {n for _, n in before} <= set(got)
    # Of a tie that lost records, within which a page ended, no order is left: it comes once more.
    assert len(got) == len(set(got)) or any(LOST_TIES in (page.reason or "") for page in pages)


@pytest.mark.parametrize("seed", range(60))
def test_a_last_page_that_is_truncated_while_rows_are_removed_hides_no_row(seed: int) -> None:
    rng = random.Random(seed)
    rows = [(NOW - DAY + n * SECOND, n) for n in range(rng.choice([45, 90, 400]))]
    moving = Moving(rows, rng, every=rng.choice([1, 2, 3]), by=1, cut=0.3, off=rng.choice([0, 0, -50, 50]))
    got, reasons = read(moving, rng.choice(["asc", "desc"]), (100,), may_fail=True)
    assert {n for _, n in moving.rows} <= set(got) or reasons


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("ties", [60, 130, 300])
def test_an_order_of_equal_times_that_changes_with_each_call_is_said(ties: int, seed: int) -> None:
    rng = random.Random(seed)
    times = sorted(NOW - rng.randrange(1, 86_400) * SECOND for _ in range(600))
    begin = rng.randrange(600 - ties)
    times[begin : begin + ties] = [times[begin]] * ties
    growth, by = rng.choice([(0, 0), (0, 0), (1, 0), (0, 1)])
    moving = Moving([*zip(times, range(600), strict=True)], rng, order="only", every=3, growth=growth, by=by)
    got, reasons = read(moving, rng.choice(["asc", "desc"]), (1000,), may_fail=True)
    stay = {n for _, n in moving.rows if n < 600}
    assert (stay <= set(got) and len(got) == len(set(got))) or reasons


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_an_order_of_a_few_equal_times_that_changes_between_pages_changes_nothing(order: Any, seed: int) -> None:
    """All rows are on one page of the provider, so that only the cursor's ties show it."""
    rng = random.Random(seed)
    ties = rng.choice([2, 3, 4, 6, 12])
    rows = [(NOW - (3600 if n < ties else 60 * (20 - n)) * SECOND, n) for n in range(rng.choice([ties, 16]))]
    got, reasons = read(Moving(rows, rng, order="only"), order, (1, 2, 3))
    assert (sorted(got), reasons) == ([*range(len(rows))], [])


@pytest.mark.parametrize("ties", [18, 40, 49])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_an_order_of_many_equal_times_that_changes_between_pages_repeats_the_first_page_alone(
    order: Any, ties: int
) -> None:
    rows = [(NOW - (3600 if n < ties else 60) * SECOND, n) for n in range(ties + 1)]
    got, reasons = read(Moving(rows, random.Random(ties), order="only"), order, (3,))
    assert set(got) == {*range(len(rows))}
    assert len(got) - len(set(got)) <= 3
    assert len(reasons) == 1


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_records_removed_from_a_tie_hide_none_of_the_others(order: Any, seed: int) -> None:
    rng = random.Random(seed)
    ties = rng.choice([7, 20, 40])
    rows = [(NOW - 60 * SECOND, n) for n in range(ties)]
    moving = Moving(rows, rng, every=rng.choice([4, 7]), by=1, anywhere=True)
    got, reasons = read(moving, order, (1, 2, 3))
    assert {n for _, n in moving.rows} <= set(got)
    assert len(got) == len(set(got)) or reasons
    assert len(got) <= 2 * ties


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("size", [25, 50])
def test_a_growing_log_that_comes_newest_first_is_said(size: int, seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted((NOW - rng.randrange(1, 400) * SECOND, n) for n in range(400))
    rows = [(time - rng.randrange(60) * SECOND, n) for time, n in rows]
    moving = Moving(rows, rng, size=size, growth=1, every=rng.choice([2, 3]), newest_first=True)
    since = NOW - rng.randrange(120, 360) * SECOND
    order, limits = rng.choice(["asc", "desc"]), rng.choice([(100,), (1000,)])
    got, reasons = read(moving, order, limits, since, since + rng.choice([60, 300]) * SECOND, may_fail=True)
    assert {n for time, n in rows if since <= time < since + 60 * SECOND} <= set(got) or reasons


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_last_page_that_grows_and_is_repeated_fails_no_page(order: Any, seed: int) -> None:
    rng = random.Random(seed)
    count, size = rng.choice([2, 4, 6, 11, 24, 51]), rng.choice([5, 25])
    rows = [(NOW - (count - n) * SECOND, n) for n in range(count)]
    got, reasons = read(Moving(rows, rng, size=size, growth=1, every=2, beyond="last"), order, (100,))
    assert (sorted(got), reasons) == ([*range(count)], [])


@pytest.mark.parametrize("seed", range(20))
def test_twins_and_moves_are_no_change_of_order(seed: int) -> None:
    rng = random.Random(seed)
    times = sorted(NOW - rng.randrange(1, 86_400) * SECOND for _ in range(600))
    begin = rng.randrange(470)
    times[begin : begin + 130] = [times[begin]] * 130
    rows = [*zip(times, range(600), strict=True)]
    for twin in rng.sample(range(begin + 60, begin + 130), 5):
        rows[twin] = rows[twin - rng.choice([1, 5, 55])]
    moving = Moving(rows, rng, every=3, growth=rng.choice([0, 1]), by=rng.choice([0, 0, 1]))
    got, reasons = read(moving, rng.choice(["asc", "desc"]), (1000,))
    assert {n for time, n in moving.rows if time < NOW} <= set(got)
    assert reasons == []


@pytest.mark.parametrize(("count", "off"), [(0, 1), (0, 50), (0, 1000), (1, 1), (1, 50), (50, 1), (100, 1), (100, 50)])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("beyond", ["empty", "last", "refused"])
def test_a_total_that_is_too_high_fails_no_page(order: Any, beyond: str, count: int, off: int) -> None:
    rows = [(NOW - (count - n) * SECOND, n) for n in range(count)]
    moving = Moving(rows, random.Random(1), off=off, beyond=beyond if off <= 50 else "empty")
    assert sorted(read(moving, order, (7, 100))[0]) == list(range(count))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [7, 100, 1000])
@pytest.mark.parametrize("count", [49, 400, 401])
@pytest.mark.parametrize(("since", "until", "off"), [(60, 0, 0), (180, 100, 0), (600, 115, 0), (600, 100, -50)])
def test_a_newest_row_of_a_wrong_time_is_in_its_window(
    order: Any, limit: int, count: int, since: int, until: int, off: int
) -> None:
    """No search for its time comes by the end of the log; cold, and warm once it was seen."""
    rows = [(NOW - (count - n) * 60 * SECOND, n) for n in range(count)]
    rows[-1] = (NOW - 7201 * SECOND, count - 1)
    moving, known = Moving(rows, random.Random(1), off=off), fresh()
    begin, end = NOW - since * 60 * SECOND, NOW - until * 60 * SECOND
    inside = [n for _, n in sorted(row for row in rows if begin <= row[0] < end)]

    for memories in (fresh, lambda: known, lambda: known):
        got = asyncio.run(walk(moving, Query(order=order), begin, end, (limit,), memories))
        assert got == (inside if order == "asc" else inside[::-1])


@pytest.mark.parametrize("query", [Query(order="asc"), Query(order="desc")], ids=["asc", "desc"])
@pytest.mark.parametrize("ahead", [7200, -7200, 600, -600, 40_000, -3 * 86_400])
@pytest.mark.parametrize(("back", "on"), [(1, 1), (300, 300), (1200, 1200), (9000, 100), (100, 90_000)])
@pytest.mark.parametrize(("sorting", "growth"), [("honoured", 0), ("honoured", 2), ("ignored", 0), ("refused", 0)])
def test_a_wrong_time_far_from_its_place_is_found_or_said(
    query: Query, ahead: int, back: int, on: int, sorting: str, growth: int
) -> None:
    """In windows of 0 to 400 rows around its time, of which no search comes by its place. Without it, nothing is
    said; that costs one call for up to 48 rows and for a window up to now, and else two."""
    rng = random.Random(ahead)
    times = sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(400))
    at = 150 if ahead > 0 else 250
    wrong = times[at] + ahead * SECOND
    since, until = wrong - back * SECOND, min(NOW, wrong + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until}
        moving = Moving(rows, rng, order=sorting, growth=growth)
        got, batches = asyncio.run(first_page(moving, query, since, until))
        assert set(got) <= inside
        is_said = any(batch.bad_records and "SUBNOTO_MAX_TIME_SKEW" in (batch.reason or "") for batch in batches)
        if is_wrong and sorting == "honoured":
            assert set(got) == inside or is_said
        if is_wrong and sorting == "refused":
            assert set(got) == inside or any(UNSORTED in (batch.reason or "") for batch in batches)
        if not is_wrong:
            assert (set(got), is_said) == (inside, False)
            fewest = 0 if since < times[0] and until > times[-1] else 1 + (until < NOW and len(inside) > 48)
            assert moving.sorted_calls <= fewest


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("ahead", [7200, -7200, 600, 40_000, -3 * 86_400])
@pytest.mark.parametrize(("back", "on"), [(3000, 3000), (12_000, 12_000), (9000, 100), (100, 90_000), (86_400, 86_400)])
@pytest.mark.parametrize(
    ("limit", "growth", "by"), [(7, 0, 0), (30, 0, 0), (100, 0, 0), (30, 2, 0), (30, 0, 40), (30, 1, 1)]
)
def test_a_wrong_time_in_a_window_of_several_pages_is_found_or_said(
    order: Any, ahead: int, back: int, on: int, limit: int, growth: int, by: int
) -> None:
    """At the latest by the last page, with a call on the first and the last page. `by`: records that are removed, 40
    of them once: then perhaps nothing is seen, and nothing is said that is not so."""
    rng = random.Random(ahead)
    times = sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(600))
    at = 250 if ahead > 0 else 350
    wrong = times[at] + ahead * SECOND
    since, until = wrong - back * SECOND, min(NOW, wrong + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until}
        moving = Moving(rows, rng, growth=growth, by=by, every=12 if by > 1 else 5, is_ring=by == 1, only_once=by > 1)
        got, reasons = read(moving, order, (limit,), since, until)
        assert len(got) == len(set(got))
        said = [reason for reason in reasons if "SUBNOTO_MAX_TIME_SKEW" in reason]
        removed = {n for _, n in moving.removed}
        if is_wrong and not by:
            assert inside - removed <= set(got) or said
        if not is_wrong:
            assert inside - removed <= set(got)
            assert not said
            assert by or moving.sorted_calls <= 3


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("window", [(0, 600), (100, 600), (100, 500)])
@pytest.mark.parametrize("left", [1, 20, 60, 200])
@pytest.mark.parametrize("jitter", [0, 40])
def test_a_walk_that_begins_within_its_window_misses_nothing(
    order: Any, window: tuple[int, int], left: int, jitter: int
) -> None:
    """As an export does that was cut off, with `left` rows to read, among equal times and unsorted ones."""
    rng = random.Random(left)
    times = [NOW - (600 - n) // 5 * 5 * SECOND - rng.randrange(jitter + 1) * SECOND for n in range(600)]
    rows = [*zip(times, range(600), strict=True)]
    since, until = min(times[window[0] :]), NOW if window[1] == 600 else times[window[1]]
    ordered = sorted((time, n) for time, n in rows if since <= time < until)
    begin = ordered[-left][0] if order == "asc" else ordered[left - 1][0] + 1
    got, batches = asyncio.run(first_page(Moving(rows, rng), Query(order=order), since, until, begin))
    assert set(got) == {n for time, n in ordered if (time >= begin) == (order == "asc")}
    assert [batch.reason for batch in batches if batch.reason] == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("ahead", [7200, -7200, 20_000, -20_000])
@pytest.mark.parametrize("left", [20, 90])
def test_a_wrong_time_in_the_rest_of_an_export_is_found_or_said(left: int, ahead: int, order: Any) -> None:
    """An export that is resumed with the time of its last event, `left` records before its end."""
    rng = random.Random(ahead)
    times = sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(600))
    at = 250 if ahead > 0 else 350
    wrong = times[at] + ahead * SECOND
    before, after = ([time for time in times if (time < wrong) == is_earlier] for is_earlier in (True, False))
    begin, since, until = (
        (before[-left], before[0], after[9]) if order == "asc" else (after[left], before[-9], after[-1])
    )
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        inside = {n for time, n in rows if since <= time < until and (time >= begin) == (order == "asc")}
        got, batches = asyncio.run(first_page(Moving(rows, rng), Query(order=order), since, until, begin))
        is_said = any("SUBNOTO_MAX_TIME_SKEW" in (batch.reason or "") for batch in batches)
        assert set(got) == inside or (is_wrong and is_said)
        assert is_wrong or not is_said


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("ahead", [7200, -7200, 20_000, -20_000])
@pytest.mark.parametrize("sorting", ["honoured", "refused"])
@pytest.mark.parametrize("limit", [60, 100])
def test_a_wrong_time_in_the_rest_of_a_long_export_is_found_or_said(
    limit: int, sorting: str, ahead: int, order: Any
) -> None:
    """An export of several pages that is resumed with the time of its last event, 150 records before the place of the
    one with a wrong time."""
    rng = random.Random(ahead)
    times = sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(600))
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
        moving = Moving(rows, rng, order=sorting)
        got = asyncio.run(walk(moving, Query(order=order), since, until, (limit,), fresh, pages, begin))
        reasons = [page.reason for page in pages if page.reason]
        assert len(pages) > 1
        assert set(got) - {at} == inside - {at}
        assert set(got) == inside or reasons
        if not is_wrong:
            assert set(reasons) == ({UNSORTED} if sorting == "refused" else set())


async def first_page(
    log: Moving, query: Query, since: int, until: int, begin: int | None = None
) -> tuple[list[int], list[Any]]:
    """The numbers of the records of one page that ends its window, and the batches that it read. `begin`: the time to
    begin at, within the window."""
    edge = since if query.ascending else until
    position = (edge if begin is None else begin,)
    reader = reader_of(log, ReadRequest(query, since, until, position), *fresh())
    batches = [await reader.read(1001, 64)]
    while not batches[-1].ended:
        batches.append(await reader.read(1001, 64))
    return [record.event().data["n"] for batch in batches for record in batch.records], batches


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize(("at", "ahead"), [(49, 7200), (50, -7200)])
@pytest.mark.parametrize("window", [(45, 60), (30, 49), (51, 70)])
def test_a_wrong_time_at_the_edge_of_a_page_hides_no_other(
    order: Any, limit: int, at: int, ahead: int, window: tuple[int, int]
) -> None:
    rows = [(NOW - (101 - n) * 60 * SECOND + ahead * SECOND * (n == at), n) for n in range(101)]
    since, until = (NOW - (101 - n) * 60 * SECOND for n in window)
    moving, known = Moving(rows, random.Random(1)), fresh()
    for _ in range(2):
        got = asyncio.run(walk(moving, Query(order=order), since, until, (limit,), lambda: known))
        assert set(range(*window)) - {at} <= set(got)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("count", "growth", "size", "off"),
    [(49, 1, 20, -50), (50, 20, 20, -50), (1200, 1, 50, -1), (1500, 1, 20, -50), (8, 0, 7, -1), (120, 0, 20, -50)],
)
def test_a_total_that_is_too_low_and_grows_hides_nothing(
    order: Any, count: int, growth: int, size: int, off: int
) -> None:
    """It comes to fit a full page by chance."""
    known = fresh()
    for seed in range(4):
        rows = [(NOW - (count - n) * SECOND, n) for n in range(count)]
        moving = Moving(rows, random.Random(seed), every=2 + seed, growth=growth, size=size, off=off)
        got = asyncio.run(walk(moving, Query(order=order), 0, NOW, (333,), lambda: known))
        assert sorted(got) == list(range(count))


@pytest.mark.parametrize("off", [0, 1, 50, -1, -50])
@pytest.mark.parametrize("count", [3, 49, 400])
def test_a_count_has_no_record_that_is_new_and_before_its_window(count: int, off: int) -> None:
    rows = [(NOW - (count - n) * SECOND, n) for n in range(count)]
    moving = Moving(rows, random.Random(1), growth=2, off=off)
    since = NOW + SECOND  # the new ones are a few µs after NOW
    assert counted(moving, since, since + SECOND) == (0, "eq")
    assert counted(moving, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("ahead", [7200, -7200, 600, -600, 3 * 86_400, 3 * 10**9, -(10**9)])
@pytest.mark.parametrize(("back", "on"), [(1, 1), (300, 300), (1200, 1200), (9000, 100), (100, 90_000)])
@pytest.mark.parametrize("place", ["its time", "its neighbours"])
@pytest.mark.parametrize("order", ["honoured", "ignored", "refused"])
def test_a_count_with_a_row_far_from_its_place_is_an_estimate(
    ahead: int, back: int, on: int, place: str, order: str
) -> None:
    """It is counted where its neighbours are. Windows with or without unread rows behind their ends. A server that
    refuses to sort by time shows no such row: all its counts are estimates."""
    rng = random.Random(ahead)
    times = sorted(NOW - rng.randrange(1, 20_000_000) * 5000 for _ in range(400))
    at = 150 if ahead > 0 else 250
    wrong = times[at] + ahead * SECOND
    centre = wrong if place == "its time" and EARLIEST < wrong < NOW else times[at]
    since, until = centre - back * SECOND, min(NOW, centre + on * SECOND)
    for is_wrong in (True, False):
        rows = [(wrong if n == at and is_wrong else time, n) for n, time in enumerate(times)]
        truth = sum(since <= time < until for time, _ in rows)
        value, relation = counted(Moving(rows, rng, order=order), since, until)
        if order == "refused":
            assert relation == "estimate"
        if not is_wrong:
            assert value == truth
            assert relation == ("estimate" if order == "refused" else "eq")
        elif order == "honoured":
            assert value == truth or relation == "estimate"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_too_short_to_compare_fail_nothing(size: int) -> None:
    rows = [(NOW - (60 - n) * 60 * SECOND, n) for n in range(60)]
    for since in (0, 20, 21, 22, 59):
        moving = Moving(list(rows), random.Random(1), size=size)
        assert counted(moving, rows[since][0], NOW)[0] == 60 - since
        got, batches = asyncio.run(first_page(moving, Query(order="asc"), rows[since][0], NOW))
        assert (got, batches[-1].reason) == (list(range(since, 60)), None)


def counted(log: Moving, since: int, until: int) -> tuple[int, str]:
    settings = SubnotoSettings.model_validate({"base_url": "http://log.example", "access_key": "a", "secret_key": "b"})
    source = SubnotoSource("s", settings, CommonSettings(clock=lambda: NOW))
    source._client = log  # type: ignore[assignment]
    total = asyncio.run(source.total(Query(category=("envelope",)), since, until, CallBudget()))
    return total.value, total.relation


@pytest.mark.parametrize("size", [5, 50])
def test_an_unreadable_row_that_only_the_order_of_time_shows_makes_a_count_an_estimate(size: int) -> None:
    rows = [(NOW - DAY + n * SECOND, n) for n in range(400)]
    assert counted(Moving(rows, random.Random(1), size=size), NOW - 2 * DAY, NOW) == (400, "eq")
    rows[150] = (0, 150)
    assert counted(Moving(rows, random.Random(1), size=size), NOW - 2 * DAY, NOW)[1] == "estimate"


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [30, 1000])
@pytest.mark.parametrize("is_ring", [True, False])
@pytest.mark.parametrize("anywhere", [True, False])
@pytest.mark.parametrize(("every", "by", "size"), [(1, 1, 50), (7, 40, 50), (7, 5, 20)])
def test_a_log_that_moves_all_the_time_is_read(
    order: Any, limit: int, is_ring: bool, anywhere: bool, every: int, by: int, size: int
) -> None:
    """No page fails, though all rows that one page has to be certain of never are of one state."""
    rows = [(NOW - (700 - n) * SECOND // 2 - n % 7 * 9 * SECOND, n) for n in range(700)]
    moving = Moving(rows, random.Random(limit), every=every, by=by, is_ring=is_ring, size=size)
    moving.anywhere = anywhere
    known = fresh()
    got = asyncio.run(walk(moving, Query(order=order), 0, NOW, (limit,), lambda: known))
    stays = {n for _, n in rows} - {n for _, n in moving.removed}
    assert stays <= set(got)
    assert len(got) == len(set(got))
