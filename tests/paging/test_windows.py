"""Sizing windows, case by case; `tests/properties/test_windows.py` has the arbitrary ones."""

from __future__ import annotations

import pytest

from app.domain.times import SECOND
from app.paging.windows import Window, WindowSizer, next_window


@pytest.mark.parametrize(
    ("frontier", "stop", "width", "ascending", "wanted"),
    [
        (0, 100 * SECOND, 10 * SECOND, True, (0, 10 * SECOND)),
        (5, 100 * SECOND, 10 * SECOND, True, (5, 10 * SECOND)),
        (5, 100 * SECOND, SECOND, True, (5, SECOND)),
        (5, 10 * SECOND + 1, 10 * SECOND, True, (5, 10 * SECOND + 1)),
        (95 * SECOND, 100 * SECOND, 10 * SECOND, True, (95 * SECOND, 100 * SECOND)),
        (99 * SECOND + 1, 99 * SECOND + 2, SECOND, True, (99 * SECOND + 1, 99 * SECOND + 2)),
        (100 * SECOND, 0, 10 * SECOND, False, (90 * SECOND, 100 * SECOND)),
        (100 * SECOND + 5, 0, 10 * SECOND, False, (91 * SECOND, 100 * SECOND + 5)),
        (100 * SECOND + 5, 0, SECOND, False, (100 * SECOND, 100 * SECOND + 5)),
        (5, 0, 10 * SECOND, False, (0, 5)),
        (-5, -SECOND * 9, SECOND, False, (-SECOND, -5)),
    ],
)
def test_next(frontier: int, stop: int, width: int, ascending: bool, wanted: tuple[int, int]) -> None:
    found = next_window(frontier, stop, width, ascending=ascending)
    assert (found.start, found.end) == wanted
    assert found == Window(*wanted)


def test_a_density_that_was_learnt_sizes_the_next_window() -> None:
    sizer = WindowSizer()
    sizer.counted(1000 * SECOND, 100)
    assert sizer.knows_density
    assert sizer.width(8) == 80 * SECOND
    sizer.read(80 * SECOND, 8, 40)
    # Five events an item: a page of a hundred needs a little more than twenty.
    assert 20 <= sizer.target(100, 10_000) <= 40
    assert sizer.target(100, 3) == 3
    assert sizer.target(1, 10_000) == 8


def test_nothing_found_makes_windows_grow() -> None:
    sizer = WindowSizer([SECOND, 1000])
    sizer.read(10 * SECOND, 0, 0)
    first = sizer.width(10)
    sizer.read(first, 0, 0)
    assert sizer.width(10) == 8 * first
