"""Where walks through this account's log began lately.

The log knows no dates, so a walk first has to find the place of its time, in several calls one after the other. Whoever
asks for about the same time again, as dashboards do, begins at the place that was found. It is a hint and nothing more:
the walk checks it, and finds the place anew if the log has moved.
"""

from __future__ import annotations

from cachetools import LRUCache

from app.domain.times import SECOND
from app.providers.subnoto.client import LogQuery

_MOST = 1024  #: places
_NEAR = 3600 * SECOND  #: µs; times in the same hour share a place


class Places:
    """Of one account, in this process. Times in µs since the epoch."""

    def __init__(self) -> None:
        self._known: LRUCache[tuple[LogQuery, bool, int], list[int]] = LRUCache(_MOST)

    def near(self, query: LogQuery, start: int, *, ascending: bool) -> list[int] | None:
        """A hint for `PositionWalk`, if there is one."""
        return self._known.get((query, ascending, start // _NEAR))

    def note(self, query: LogQuery, start: int, hint: list[int] | None, *, ascending: bool) -> None:
        """`hint` is what a walk from `start` has found; None: nothing."""
        if hint is not None:
            self._known[(query, ascending, start // _NEAR)] = hint
