"""`PositionReader` over arbitrary histories: complete, in order, once, at bounded cost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import log2
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.paging.position_reader import ENDS, LogMoved, OddPages, PositionReader, Response
from tests.properties.logs import HISTORY, STEPS, Log, Reading, Row, logs

SEEDS = st.integers(0, 1 << 16)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    log = draw(logs())
    times = sorted({row.time for row in log.rows}) or [0]
    edge = st.sampled_from(times).flatmap(lambda time: st.integers(time - 1, time + 1))
    since = draw(st.one_of(edge, st.integers(-300, times[-1] + 300)))
    until = draw(st.one_of(edge, st.integers(since + 1, times[-1] + 600)))
    assume(until > since)
    return Reading(log, draw(st.booleans()), since, until, now=draw(st.sampled_from([0, until, times[-1], 10**16])))


@given(readings(), SEEDS)
def test_every_row_once_and_in_order(reading: Reading, seed: int) -> None:
    assert reading.walk(random.Random(seed)) == reading.truth(reading.log.rows)


#: Its last row is older than the two before it.
STEP_BACK = Log(skew=1, page_size=1, rows=[Row(time, number) for number, time in enumerate((0, 0, 0, 0, 1, 1, 0))])


@given(readings(), SEEDS, st.lists(STEPS, max_size=6))
@example(Reading(STEP_BACK, ascending=True, since=0, until=1), 2, [])
def test_growth_between_pages_hides_nothing(reading: Reading, seed: int, growth: list[list[tuple[int, int]]]) -> None:
    """Rows that exist when the first page is read are returned once, in order; appended ones may be."""
    before = list(reading.log.rows)
    parts = iter(growth)
    got = reading.walk(random.Random(seed), between=lambda: reading.log.append(next(parts, [])))
    assert len(set(got)) == len(got)
    assert got == reading.truth(got)
    assert set(reading.truth(before)) <= set(got)


WRONG = st.one_of(
    st.none(),
    st.lists(st.integers(-5, 400), min_size=2, max_size=2),
    st.just([10**9, 10**9]),
    st.just([7]),
    st.just([]),
)


@given(readings(), SEEDS, st.lists(WRONG, min_size=1, max_size=5))
def test_wrong_hints_change_no_result(reading: Reading, seed: int, wrong: list[list[int] | None]) -> None:
    rng = random.Random(seed)
    got = reading.walk(rng, hints=lambda hint: hint if rng.random() < 0.3 else rng.choice(wrong))
    assert got == reading.truth(reading.log.rows)


@given(readings(), SEEDS)
def test_hints_of_older_cursors_are_accepted(reading: Reading, seed: int) -> None:
    got = reading.walk(random.Random(seed), hints=lambda hint: hint and [*hint[:2], hint[2] % ENDS, *hint[3:]])
    assert got == reading.truth(reading.log.rows)


MARKS = st.lists(st.tuples(st.integers(0, 400), st.integers(-300, 30_000)), max_size=4)


@given(readings(), SEEDS, st.lists(MARKS, min_size=1, max_size=5))
def test_wrong_marks_change_no_result(reading: Reading, seed: int, wrong: list[list[tuple[int, int]]]) -> None:
    rng = random.Random(seed)

    def marks() -> list[tuple[int, int]]:
        right = [(number, row.time) for number, row in enumerate(reading.log.rows) if rng.random() < 0.05]
        return right if rng.random() < 0.3 else rng.choice(wrong)

    limits = (1, 2, 3, 10, 60, 400)  # the pages of many rows are requested before their position is certain
    assert reading.walk(rng, limits=limits, marks=marks) == reading.truth(reading.log.rows)


@given(readings(), SEEDS, st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_rows_that_retention_keeps_are_returned_once(reading: Reading, seed: int, deleted: list[int]) -> None:
    """The oldest rows are deleted between pages, which shifts all positions."""
    numbers = iter(deleted)
    before = reading.truth(reading.log.rows)
    got = reading.walk(random.Random(seed), between=lambda: reading.log.delete_oldest(next(numbers, 0)))
    assert len(set(got)) == len(got)
    assert got == reading.truth(got)
    assert set(got) <= set(before)
    assert {row for row in before if row in reading.log.rows} <= set(got)


@given(logs(), st.booleans(), SEEDS, MARKS)
def test_the_first_page_costs_at_most_twice_a_binary_search(
    log: Log, ascending: bool, seed: int, marks: list[tuple[int, int]]
) -> None:
    """2·log2(n/size) + 4 pages, plus those with rows within one skew of the edge and one on either side, the log's last
    page, and one more with marks, even wrong ones."""
    assume(log.rows)
    rng = random.Random(seed)
    times = [row.time for row in log.rows]
    start = rng.choice(times) + rng.choice((-1, 0, 1))
    now, most = rng.choice((0, max(times), start)), rng.choice((1, 2))
    check_bound(log, ascending, start, min(times) - 1, max(times) + 1, now, most)
    check_bound(log, ascending, start, min(times) - 1, max(times) + 1, now, most, marks)
    if log.page_size >= 5:  # with smaller pages, a round requests more of them than the bound allows for guesses
        check_bound(log, ascending, start, min(times) - 1, max(times) + 1, now, 16, marks, count=2 * log.page_size)


def check_bound(
    log: Log,
    ascending: bool,
    start: int,
    low: int,
    high: int,
    now: int,
    most: int = 1,
    marks: Sequence[tuple[int, int]] = (),
    count: int = 1,
) -> None:
    walk: PositionReader[Row] = PositionReader(
        ascending=ascending, start=start, stop=high if ascending else low, skew=log.skew,
        page_size=log.page_size, now=now, marks=marks,
    )  # fmt: skip
    requested: list[int] = []
    while wanted := walk.wanted(count, most):
        requested += wanted
        walk.add([log.page(page) for page in wanted])
    assert len(set(requested)) == len(requested)
    # Any search must read from one skew before the edge, because times run back, to one skew behind the last wanted
    # row. The edge itself is one skew before the start.
    sign = 1 if ascending else -1
    beyond = [row.time * sign for row in log.rows if row.time * sign >= start * sign]
    last = min(sorted(beyond)[:count][-1:], default=start * sign) + log.skew
    near = {row.number // log.page_size for row in log.rows if start * sign - 2 * log.skew <= row.time * sign <= last}
    # For several rows, a round requests as many pages again as are uncertain.
    read = len(near) if count == 1 else 2 * len(near) + 2
    pages = max(1.0, len(log.rows) / log.page_size)
    assert len(requested) <= 2 * log2(pages) + 4 + read + 2 + 1 + bool(marks)  # one: the last page


@given(HISTORY, st.integers(3, 60), st.booleans(), SEEDS)
def test_the_bound_holds_for_long_uneven_histories(
    pattern: list[tuple[int, int]], times: int, up: bool, seed: int
) -> None:
    log = Log(skew=3, page_size=5)
    rng = random.Random(seed)
    for _ in range(times):
        log.append([(step * rng.choice((0, 1, 1, 30)), behind) for step, behind in pattern])
    assume(log.rows)
    for _ in range(4):
        start = rng.choice(log.rows).time
        check_bound(log, up, start, -1, log.peak + 1, rng.choice((0, log.peak)))


@given(readings(), SEEDS, st.lists(st.integers(0, 90), min_size=1, max_size=6), st.booleans(), st.integers(2, 9))
def test_rows_that_retention_keeps_during_a_round_are_returned_once(
    reading: Reading, seed: int, deleted: list[int], is_ring: bool, every: int
) -> None:
    """The oldest rows are deleted between any two responses, also of one round; in a ring as many are appended."""
    rng = random.Random(seed)
    before, numbers = reading.truth(reading.log.rows), iter(deleted)

    def during() -> None:
        if rng.randrange(every) == 0:
            count = min(next(numbers, 0), len(reading.log.rows))
            reading.log.delete_oldest(count)
            if is_ring:
                reading.log.append([(rng.choice((0, 1, 40)), 0)] * count)

    reading.during, reading.restarts = during, 20
    got = reading.walk(rng)
    assert len(set(got)) == len(got)
    assert got == reading.truth(got)
    assert {row for row in before if row in reading.log.rows} <= set(got)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("size", [1, 5, 50])
def test_the_search_does_not_step_through_a_burst_page_by_page(size: int, ascending: bool) -> None:
    """A bulk import, then months with few rows: interpolation points just behind each page of the burst."""
    times = [5] * (3 * size) + [10] * (600 * size) + [10_000]
    if not ascending:
        times = [10_010 - time for time in reversed(times)]
    log = Log(skew=0, page_size=size, rows=[Row(time, number) for number, time in enumerate(times)])
    start = 11 if ascending else 9_999
    check_bound(log, ascending, start, -1, 20_000, times[-1])


def test_pages_smaller_than_requested_are_detected() -> None:
    walk: PositionReader[Row] = PositionReader(ascending=True, start=0, stop=100, skew=0, page_size=50, now=0)
    walk.add([Response(1, [Row(n, n) for n in range(20)], 90)])
    assert walk.wanted(10, 1) == [2]
    walk.add([Response(2, [Row(n, n) for n in range(20, 40)], 90)])
    with pytest.raises(OddPages) as odd:
        walk.wanted(10, 1)
    assert odd.value.page_size == 20


@pytest.mark.parametrize(
    ("longest", "has_next", "wanted"), [(7, None, []), (7, False, []), (8, None, []), (8, True, [2])]
)
def test_a_page_that_is_not_full_does_not_prove_the_end(longest: int, has_next: bool | None, wanted: list[int]) -> None:
    """The server's pages may be that small, and its total too low. The next page, or a page of one row, proves it."""
    walk: PositionReader[Row] = PositionReader(
        ascending=True, start=0, stop=100, skew=0, page_size=50, now=0, longest=longest
    )
    walk.add([Response(1, [Row(n, n) for n in range(7)], 7, has_next)])
    assert walk.wanted(10, 1) == wanted
    assert wanted or walk.unproven() == 7


def test_rows_shifted_by_a_page_are_not_mistaken_for_a_repeated_last_page() -> None:
    rows = [Row(n, n) for n in range(50)]
    walk: PositionReader[Row] = PositionReader(ascending=True, start=0, stop=100, skew=100, page_size=10, now=0)
    for page, first in ((3, 20), (2, 20), (1, 10)):
        walk.add([Response(page, rows[first : first + 10], 40)])
    assert walk.wanted(40, 4) == [3]
    walk.add([Response(3, rows[30:40], 40)])
    with pytest.raises(LogMoved):
        walk.wanted(40, 4)


@given(logs(), SEEDS)
def test_rank_is_the_number_of_rows_before_a_time(log: Log, seed: int) -> None:
    rng = random.Random(seed)
    start = rng.choice([row.time for row in log.rows] or [0]) + rng.choice((-1, 0, 1))
    walk: PositionReader[Row] = PositionReader(
        ascending=True, start=start, stop=start + 1, skew=log.skew, page_size=log.page_size, now=log.peak
    )
    while wanted := walk.wanted(1, rng.choice((1, 4))):
        walk.add([log.page(page) for page in wanted])
    assume(walk.take().ended or log.rows == [])
    read = walk.consecutive()
    assert read is not None
    assert read.rank(start) == sum(row.time < start for row in log.rows)


@pytest.mark.parametrize("states_number", [True, False])
def test_equal_rows_after_the_end_are_no_twins_if_the_page_states_its_own_number(states_number: bool) -> None:
    """A server returns its last page for each later one. All rows are equal, so that only the number shows it."""
    rows = [Row(10, 1)] * 4
    walk: PositionReader[Row] = PositionReader(ascending=True, start=0, stop=100, skew=0, page_size=2, now=200)
    while wanted := walk.wanted(10, 4):
        sent = {page: min(page, 2) for page in wanted}
        walk.add(
            [
                Response(page, rows[2 * own - 2 : 2 * own], len(rows), number=own if states_number else None)
                for page, own in sent.items()
            ]
        )
    taken = walk.take()
    assert taken.ended
    assert walk.ending.may_be_twins is not states_number
    assert not states_number or [row for _, row in taken.rows] == rows


@pytest.mark.parametrize("count", [500, 5000])
def test_a_burst_of_twins_is_compared_in_linear_time(count: int) -> None:
    compared = 0

    class Twin(Row):
        def same_as(self, other: Any) -> bool:
            nonlocal compared
            compared += 1
            return super().same_as(other)

    walk: PositionReader[Row] = PositionReader(ascending=True, start=0, stop=100, skew=0, page_size=50, now=200)
    while wanted := walk.wanted(count, 40):
        rows = [Twin(10, 1)] * 50
        walk.add([Response(page, rows if page * 50 <= count else [], count) for page in wanted])
    assert len(walk.take().rows) == count
    assert compared <= 5 * count


def test_pages_larger_than_requested_are_detected() -> None:
    walk: PositionReader[Row] = PositionReader(ascending=True, start=0, stop=100, skew=0, page_size=2, now=0)
    with pytest.raises(OddPages) as odd:
        walk.add([Response(1, [Row(n, n) for n in range(3)], 90)])
    assert odd.value.page_size == 3
