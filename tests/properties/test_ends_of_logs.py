"""Subnoto's reader where one response alone shows the end of a log or its order: truncated pages whose totals equal
their lengths, recent rows, and logs in descending order with small pages."""

import asyncio
import random
from typing import Any

import pytest

from app.domain.errors import SourceFailed
from app.domain.query import Query
from app.domain.times import SECOND
from tests.properties.test_moving_logs import NOW, FakeLog, cold_state, read, rows_of, total_of, walk

HOUR = 3600 * SECOND


@pytest.mark.parametrize("limit", [7, 1000])
@pytest.mark.parametrize("step", [SECOND, HOUR])
@pytest.mark.parametrize("claims_shown", [True, False])
@pytest.mark.parametrize("count", [2, 8, 49, 80, 130])
def test_one_truncated_response_hides_no_row(count: int, claims_shown: bool, step: int, limit: int, order: Any) -> None:
    for seed in range(4):
        log = FakeLog(rows_of(count, step), random.Random(seed), cut=1, cuts=1, claims_shown=claims_shown)
        got, reasons = read(log, order, (limit,))
        assert (sorted(got), reasons) == ([*range(count)], [])
        log.cuts = 1
        assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("lack", [1, 5])
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("count", [30, 80, 130, 330])
def test_totals_that_lack_the_rows_of_a_truncated_page_hide_none(count: int, warm: bool, lack: int, order: Any) -> None:
    """Several responses have the same low total."""
    log, state = FakeLog(rows_of(count, HOUR), random.Random(1), off=-lack, lack=lack), cold_state()
    for cuts in (0, 1) if warm else (1,):
        log.cuts = cuts
        got = asyncio.run(walk(log, Query(order=order), 0, NOW, (7, 1000), lambda: state))
        assert sorted(got) == [*range(count)]
    log.cuts = 1
    assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("seed", range(40))
def test_responses_truncated_now_and_then_hide_no_row(seed: int, order: Any) -> None:
    rng = random.Random(seed)
    count = rng.choice([2, 8, 30, 80, 130])
    log = FakeLog(rows_of(count, rng.choice([SECOND, HOUR])), rng, cut=rng.choice([0.1, 0.3]), claims_shown=True)
    got, reasons = read(log, order, (rng.choice([7, 1000]),), may_fail=True)
    assert (len(got) == len(set(got)) and sorted(got) == [*range(count)]) or reasons
    try:
        value, relation = total_of(log, 0, NOW)
        assert value == count or relation == "estimate"
    except SourceFailed:
        pass


@pytest.mark.parametrize("count", [1, 49, 80, 300])
@pytest.mark.parametrize("step", [SECOND // 100, SECOND])
def test_totals_of_the_rows_up_to_the_page_hide_no_recent_row(step: int, count: int, order: Any) -> None:
    log = FakeLog(rows_of(count, step), random.Random(1), claims_shown=True)
    got, reasons = read(log, order, (100,))
    assert (sorted(got), reasons) == ([*range(count)], [])
    assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("sorting", ["honoured", "ignored", "refused"])
@pytest.mark.parametrize("jitter", [0, HOUR])
@pytest.mark.parametrize("size", [2, 3, 5, 6, 7, 20, 50])
def test_a_log_in_descending_order_is_reported(size: int, jitter: int, sorting: str) -> None:
    """For any number of rows a page, and any window."""
    for seed in range(4):
        rng = random.Random(seed)
        count = rng.choice([20, 80, 300])
        rows = [(time - rng.randrange(jitter + 1), n) for time, n in rows_of(count, HOUR)]
        since = rng.choice(rows)[0]
        until = rng.choice([since + 1, since + 5 * HOUR, NOW])
        inside = {n for time, n in rows if since <= time < until}
        log = FakeLog(rows, rng, size=size, order=sorting, newest_first=True)
        for order in ("asc", "desc"):
            got, reasons = read(log, order, (1000,), since, until)
            assert set(got) == inside or reasons
        value, relation = total_of(log, since, until)
        assert value == len(inside) or relation == "estimate"


@pytest.mark.parametrize("seed", range(30))
def test_a_few_rows_out_of_order_are_not_reported(seed: int) -> None:
    rng = random.Random(seed)
    rows = [(NOW - HOUR - rng.randrange(100) * SECOND, n) for n in range(rng.choice([2, 3, 5, 50, 120]))]
    log = FakeLog(rows, rng, size=rng.choice([3, 7, 50]))
    for order in ("asc", "desc"):
        got, reasons = read(log, order, (1000,))
        assert (len(got), reasons) == (len(rows), [])
    assert total_of(log, 0, NOW) == (len(rows), "eq")


@pytest.mark.parametrize("remove_at", [0, 1])
def test_a_count_is_never_negative(remove_at: int) -> None:
    """Rows are removed between the two ends of its window."""
    rows = rows_of(300, HOUR)
    for seed in range(10):
        log = FakeLog(list(rows), random.Random(seed), every=2 + remove_at, by=100, only_once=True)
        try:
            value, relation = total_of(log, rows[250][0], rows[251][0])
        except SourceFailed:
            continue
        assert value >= 0
        assert value == 1 or relation == "estimate"


@pytest.mark.parametrize("off", [1, 50, 100])
@pytest.mark.parametrize("count", [30, 80, 100])
def test_a_repeated_last_page_that_a_total_includes_is_not_counted(count: int, off: int, order: Any) -> None:
    """Neither by a cold nor by a warm process."""
    log, state = FakeLog(rows_of(count, HOUR), random.Random(1), off=off, beyond="last"), cold_state()
    for limit in (7, 100, 1000):
        got = asyncio.run(walk(log, Query(order=order), 0, NOW, (limit,), lambda: state))
        assert sorted(got) == [*range(count)]
        assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("off", [-50, -1, 0, 1, 50])
@pytest.mark.parametrize(
    ("size", "late", "beyond"),
    [
        (7, 0, "empty"),
        (7, 0, "refused"),
        *((50, late, kind) for late in (0, 20) for kind in ("empty", "last", "refused")),
    ],
)
def test_totals_of_a_growing_log_fail_no_page(size: int, late: int, beyond: str, off: int, order: Any) -> None:
    """`late`: seconds by which the times of new records are too old."""
    for seed in range(4):
        log = FakeLog(rows_of(150, SECOND), random.Random(seed), size=size, off=off, beyond=beyond, growth=1, every=3)
        log.late = late * SECOND
        got, _ = read(log, order, (1000,))
        assert set(range(150)) <= set(got)
        assert len(got) == len(set(got))


@pytest.mark.parametrize(("lack", "off"), [(1, 0), (5, 0), (1, -1), (20, 1)])
@pytest.mark.parametrize(("count", "size"), [(49, 50), (80, 50), (130, 50), (130, 20)])
def test_a_last_page_that_stays_truncated_is_completed(count: int, size: int, lack: int, off: int, order: Any) -> None:
    for limit in (7, 1000):
        log = FakeLog(rows_of(count, HOUR), random.Random(1), size=size, off=off, lack=lack, cuts=1 << 30)
        got, reasons = read(log, order, (limit,))
        assert (sorted(got), reasons) == ([*range(count)], [])
    assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("count", [1, 8, 49, 60])
@pytest.mark.parametrize("jitter", [0, 100])
def test_pages_of_one_row_with_a_repeated_last_page_are_read(jitter: int, count: int, order: Any) -> None:
    rng = random.Random(count)
    rows = [(time - rng.randrange(jitter + 1) * SECOND, n) for time, n in rows_of(count, SECOND)]
    log = FakeLog(rows, rng, size=1, beyond="last")
    got, reasons = read(log, order, (100,))
    assert (sorted(got), reasons) == ([*range(count)], [])
    assert total_of(log, 0, NOW) == (count, "eq")


@pytest.mark.parametrize("limit", [3, 1000])
@pytest.mark.parametrize("beyond", ["empty", "last", "refused"])
@pytest.mark.parametrize(
    ("count", "size", "lack"), [(2, 50, 1), (8, 1, 0), (49, 50, 20), (50, 7, 0), (60, 20, 1), (130, 50, 5)]
)
@pytest.mark.parametrize(("claims_shown", "off"), [(True, 0), (False, 0), (False, 1), (False, -50)])
def test_twins_at_the_end_are_read_or_reported(
    claims_shown: bool, off: int, count: int, size: int, lack: int, beyond: str, limit: int, order: Any
) -> None:
    """Equal records are not mistaken for a repeated page, even if the page is truncated or small."""
    first = rows_of(count, HOUR)[: count - 55] if count > 55 else []
    rows = [*first, *[(NOW - HOUR, count)] * (count - len(first))]
    log = FakeLog(rows, random.Random(1), size=size, lack=lack, cuts=1 << 30, beyond=beyond, claims_shown=claims_shown)
    log.off = off
    got, reasons = read(log, order, (limit,))
    assert len(got) == count or reasons
    value, relation = total_of(log, 0, NOW)
    assert value == count or relation == "estimate"


def test_recent_rows_behind_the_total_of_another_page_are_read_by_a_warm_process(order: Any) -> None:
    """Each total counts the rows up to its page and one more; the last page is truncated."""
    rows = [(NOW - (601 if n < 2 else 1) * SECOND, n) for n in range(8)]
    log, state = (
        FakeLog(rows, random.Random(1), lack=5, cuts=1 << 30, beyond="last", claims_shown=True),
        cold_state(),
    )
    log.claims_next = True
    for _ in range(2):
        got = asyncio.run(walk(log, Query(order=order), 0, NOW, (7,), lambda: state))
        assert sorted(got) == [*range(8)]


@pytest.mark.parametrize("seed", range(40))
def test_empty_or_truncated_responses_among_twins_raise_only_source_errors(seed: int, order: Any) -> None:
    rng = random.Random(seed)
    rows = [(NOW - HOUR, rng.choice([1, 1, 2])) for _ in range(rng.choice([1, 2, 8, 49, 51]))]
    log = FakeLog(rows, rng, size=rng.choice([1, 7, 50]), cut=0.4, beyond=rng.choice(["empty", "last", "refused"]))
    log.off, log.claims_shown = rng.choice([-50, 0, 1]), rng.choice([True, False])
    read(log, order, (7, 1000), may_fail=True)
