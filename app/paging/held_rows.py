"""Rows that a walk has read but not returned yet."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Generic

from app.paging.position_log import NEVER
from app.paging.rows import R


class HeldRows(Generic[R]):
    """Rows with `given` <= v < `stop`, by v and then by x (see `PositionLog`). Everything below `given` was returned.

    `peak` is the largest v read, without the last `support` rows: a wrong time among those would falsely prove that
    nothing earlier follows."""

    def __init__(self, given: int, stop: int, support: int) -> None:
        self.given, self.peak = given, NEVER
        self._stop, self._support = stop, support
        self._last: deque[int] = deque()
        self._rows: list[tuple[int, int, R]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Drop the rows that were not returned."""
        self.peak = NEVER
        self._last.clear()
        self._rows.clear()

    def add(self, x: int, row: R, v: int | None) -> None:
        """Add the next row; `v` None if it has no valid time: it counts at the time of its neighbours. Call `sort`
        after the last one."""
        if v is None:
            v = self._last[-1] if self._last else max(self.peak, self.given)
        else:
            self._last.append(v)
            if len(self._last) > self._support:
                self.peak = max(self.peak, self._last.popleft())
        if self.given <= v < self._stop:
            self._rows.append((v, x, row))

    def sort(self) -> None:
        """Sort the rows."""
        # Each x is unique, so that rows themselves are never compared.
        self._rows.sort()

    def ready(self, sure: int) -> int:
        """Return the number of rows below `sure`."""
        return bisect_left(self._rows, sure, key=lambda held: held[0])

    def take(self, sure: int) -> list[tuple[int, R]]:
        """Remove and return the rows below `sure` as (x, row)."""
        ready = self.ready(sure)
        rows = [(x, row) for _, x, row in self._rows[:ready]]
        del self._rows[:ready]
        self.given = max(self.given, sure)
        return rows
