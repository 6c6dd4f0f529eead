"""Where walks through this account's log began lately.

The log knows no dates, so a walk first has to find the place of its time, in several calls one after the other. Whoever
asks for about the same time again, as dashboards do, begins at the place that was found. It is a hint and nothing more:
the walk checks it, and finds the place anew if the log has moved.
"""

from __future__ import annotations

from cachetools import LRUCache

from app.domain.times import SECOND
from app.providers.subnoto.client import PAGE_SIZE, LogQuery

_MOST = 1024  #: places
_HOUR = 3600 * SECOND


class Places:
    """Of one account, in this process: the latest of each hour. Times and `skew` in µs."""

    def __init__(self, skew: int) -> None:
        self._skew = skew
        self._known: LRUCache[tuple[LogQuery, bool, int], tuple[int, list[int]]] = LRUCache(_MOST)

    def near(self, query: LogQuery, start: int, *, ascending: bool) -> list[int] | None:
        """A hint for a `PositionWalk` from `start`; None where no place is known that is likely to be less than a page
        away: to read at a wrong one costs more calls than to search."""
        start_then, hint = self._known.get((query, ascending, start // _HOUR), (start, None))
        if hint is None:
            return None
        rows_a_skew = max(1, hint[1])
        return hint if abs(start - start_then) * rows_a_skew <= self._skew * PAGE_SIZE else None

    def note(self, query: LogQuery, start: int, hint: list[int] | None, *, ascending: bool) -> None:
        """`hint` is what a walk from `start` has found (`PositionWalk.hint_at`); None: nothing."""
        if hint is not None:
            self._known[query, ascending, start // _HOUR] = start, hint
