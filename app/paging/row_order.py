"""Which rows of a log contradict the order of the others."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

_MOST = 64  #: rows that are judged one by one


def wrong_rows(times: Sequence[int], tolerance: int) -> set[int]:
    """The indices of rows without which no row is older than an earlier one by more than `tolerance` µs: first those
    that contradict the most others."""
    wrong: set[int] = set()
    while True:
        left = [index for index in range(len(times)) if index not in wrong]
        against = _contradictions([times[index] for index in left], tolerance)
        if not any(against):
            return wrong
        if len(wrong) >= _MOST:
            return wrong | {index for index, others in zip(left, against, strict=True) if others}
        middle = sorted(times[index] for index in left)[len(left) // 2]
        _, _, worst = max((others, abs(times[at] - middle), at) for at, others in zip(left, against, strict=True))
        wrong.add(worst)


def _contradictions(times: Sequence[int], tolerance: int) -> list[int]:
    """For each row, the number of earlier ones that are younger, and of later ones that are older, beyond tolerance."""
    younger = _above(times, tolerance)
    older = _above([-time for time in reversed(times)], tolerance)
    return [before + after for before, after in zip(younger, reversed(older), strict=True)]


def _above(times: Iterable[int], tolerance: int) -> list[int]:
    seen: list[int] = []
    found = []
    for time in times:
        found.append(len(seen) - bisect_right(seen, time + tolerance))
        insort(seen, time)
    return found
