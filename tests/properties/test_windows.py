"""Taktikal's time windows never skip a microsecond and never overlap, for any observed density."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from app.domain.times import SECOND
from app.paging.windows import WindowSizer, next_window

TIMES = st.integers(-(10**16), 10**16)
SEEDS = st.integers(0, 1 << 16)


@given(TIMES, st.integers(1, 400 * 86_400 * SECOND), st.booleans(), SEEDS, st.sampled_from([0.0, 1e-9, 1e-7, 1e-5]))
def test_windows_join_without_gap_or_overlap(
    since: int, length: int, ascending: bool, seed: int, density: float
) -> None:
    rng = random.Random(seed)
    until = since + length
    frontier, stop = (since, until) if ascending else (until, since)
    sizer = WindowSizer(rng.choice([None, [5000, 2500], [10**15, 1], [1, 10**6], [0, 0], [7]]))
    covered = 0
    for _ in range(5000):
        target = sizer.target(rng.choice((1, 101, 1001)), rng.choice((1, 40, 8000)))
        width = sizer.width(target) if sizer.knows_density else rng.randrange(1, length + 2)
        window = next_window(frontier, stop, width, ascending=ascending)
        assert window.start < window.end
        assert since <= window.start
        assert window.end <= until
        assert (window.start if ascending else window.end) == frontier
        far = window.end if ascending else window.start
        assert far == stop or far % SECOND == 0
        assert window.width <= max(width, SECOND)
        covered += window.width
        items = int(window.width * density * rng.random())
        if rng.random() < 0.3:
            sizer.counted(window.width, items)
        sizer.read(window.width, items, rng.randrange(0, 3 * items + 1))
        if rng.random() < 0.3:
            sizer = WindowSizer(sizer.hint())
        frontier = far
        if frontier == stop:
            break
        if rng.random() < 0.02 and sizer.knows_density:
            sizer.read(length, 1, 1)  # widens the next windows, so that the walk ends
    else:
        return  # thousands of windows of a second each
    assert covered == length


@given(
    st.integers(1, 10**13), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 2000), st.integers(1, 10**4)
)
def test_widths_are_whole_seconds_and_grow_by_at_most_eight(
    width: int, items: int, events: int, want: int, most: int
) -> None:
    sizer = WindowSizer([1000, 2500])
    sizer.read(width, items, events)
    target = sizer.target(want, most)
    assert 1 <= target <= most
    found = sizer.width(target)
    assert found >= SECOND
    assert found % SECOND == 0
    assert found <= max(width, SECOND) * 8


@given(st.integers(1, 10**13), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_hint_restores_the_density(width: int, items: int, events: int) -> None:
    sizer = WindowSizer()
    assert sizer.hint() is None
    assert not sizer.knows_density
    sizer.read(width, items, events)
    again = WindowSizer(sizer.hint())
    assert again.knows_density
    one, other = sizer.target(100, 10**6), again.target(100, 10**6)
    assert abs(one - other) <= 1 + max(one, other) // 50
