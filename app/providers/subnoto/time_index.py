"""Index of recently read positions and times of an account's log.

The log has no dates, so a walk first searches its start in several sequential calls. The search is short between rows
that earlier walks have read; at the end, where dashboards read, a walk begins immediately. Both are hints: the walk
checks them, and searches again if the log has moved.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from cachetools import LRUCache

from app.providers.subnoto.client import PAGE_SIZE, LogQuery
from app.providers.subnoto.wire import LogRow

_MOST_LOGS = 64
_MOST_ROWS = 8192  #: known rows of one log
_FEW = 2 * PAGE_SIZE  #: rows that may have been added since the log was read
_AROUND = 4  #: known rows for the density
_MOST_SLACK = 10 * PAGE_SIZE
_MOST_STRAYS = 4


class _Log:
    """The first and the last row of each page of one log: ascending numbers, and times in µs. `total`: rows at the last
    read, at the time `seen`."""

    def __init__(self) -> None:
        self.numbers, self.times = array("q"), array("q")
        self.total = self.seen = 0
        self.is_longer = False  #: whether lists have exceeded totals
        self.strays: dict[int, int] = {}  #: number and time of the latest rows much older than an earlier one

    def add(self, number: int, time: int) -> None:
        at = bisect_left(self.numbers, number)
        known = at < len(self.numbers) and self.numbers[at] == number
        if known and self.times[at] == time:
            return
        if known or len(self.numbers) >= _MOST_ROWS:
            # Rows and their numbers do not change: a known one of another time is of another log.
            del self.numbers[:], self.times[:]
            at = 0
        self.numbers.insert(at, number)
        self.times.insert(at, time)

    def note_strays(self, number: int, rows: Sequence[LogRow], skew: int) -> None:
        """Record the rows of a page and its known neighbours that are older than an earlier one by more than `skew`."""
        for at in [at for at in self.strays if number <= at < number + len(rows)]:
            del self.strays[at]
        times = [(at, row.time) for at, row in enumerate(rows, number) if row.time is not None and not row.bad]
        first, last = bisect_left(self.numbers, number), bisect_left(self.numbers, number + len(rows))
        near = slice(max(0, first - 1), first), slice(last, last + 1)
        before, after = (list(zip(self.numbers[at], self.times[at], strict=True)) for at in near)
        newest = 0
        for at, time in [*before, *times, *after]:
            if time < newest - skew:
                self.strays[at] = time
            newest = time if time > newest else newest
        for at in list(self.strays)[:-_MOST_STRAYS]:
            del self.strays[at]

    def rows_in(self, span: int) -> int:
        """Return the approximate number of rows in `span` µs, from the last known ones."""
        first = max(0, len(self.times) - 1 - _AROUND)
        rows, time = self.numbers[-1] - self.numbers[first], self.times[-1] - self.times[first]
        return rows * span // time if time > 0 else _MOST_SLACK


class TimeIndex:
    """Index of one account, in this process. Times and `skew` in µs."""

    def __init__(self) -> None:
        self._logs: LRUCache[LogQuery, _Log] = LRUCache(_MOST_LOGS)

    def learn(
        self, query: LogQuery, number: int, rows: Sequence[LogRow], total: int, now: int, skew: int | None = None
    ) -> int:
        """Add a page: its rows, the `number` of the first one, and the log's total.

        Returns the least lateness of a row in µs: its age when the log was last read without it."""
        log = self._logs.setdefault(query, _Log())
        log.is_longer |= number + len(rows) > total
        # Servers may repeat rows beyond the end.
        rows = rows[: max(0, total - number)]
        new = rows[max(0, log.total - number) :] if log.seen else ()
        late = max((log.seen - row.time for row in new if row.time is not None), default=0)
        log.total, log.seen = total, now
        # An envelope's log is too short; unreadable rows have no time.
        for place in (0, len(rows) - 1) if rows and query.envelope is None else ():
            row = rows[place]
            if row.time is not None and not row.bad:
                log.add(number + place, row.time)
        if skew is not None:
            log.note_strays(number, rows, skew)
        return max(0, late)

    def strays(self, query: LogQuery, since: int, until: int) -> list[int]:
        """Return the numbers of rows of [since, until) that are far after their times in the log, which no search
        finds."""
        log = self._logs.get(query)
        return [] if log is None else [number for number, time in log.strays.items() if since <= time < until]

    def forget(self, query: LogQuery) -> None:
        """Drop a log's rows, which have proved wrong."""
        self._logs.pop(query, None)

    def total(self, query: LogQuery) -> int | None:
        """Return the number of rows of a log at its last read; None if its end is unknown."""
        log = self._logs.get(query)
        return None if log is None or log.is_longer else log.total

    def around(self, query: LogQuery, start: int, skew: int, *, ascending: bool) -> list[tuple[int, int]]:
        """Return (number, time) of the last known row before a walk's `start`, and of the first after it; fewer at an
        end of the known rows."""
        log = self._logs.get(query)
        if log is None:
            return []
        after = bisect_left(log.times, start - skew if ascending else start + skew)
        near = slice(max(0, after - 1), after + 1)
        return list(zip(log.numbers[near], log.times[near], strict=True))

    def near(self, query: LogQuery, start: int, now: int, skew: int, *, ascending: bool) -> list[int] | None:
        """Return a hint for a `PositionReader` from `start`, if that is after all rows and few were added since.
        Between known rows, a search from `around` costs no more."""
        log = self._logs.get(query)
        edge = start - skew if ascending else start + skew
        if log is None or not log.times or edge <= log.times[-1]:
            return None
        if log.numbers[-1] != log.total - 1 or log.rows_in(max(0, now - log.seen)) > _FEW:
            return None
        return [log.numbers[-1], min(_MOST_SLACK, log.rows_in(skew) + 1)]
