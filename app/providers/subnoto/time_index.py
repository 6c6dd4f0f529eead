"""Where in this account's log which times stand, as far as it was read lately.

The log knows no dates, so a walk first has to find the place of its time, in several calls one after the other. Whoever
asks for a time in a stretch that was read before, or for the end, as dashboards do, begins there at once; whoever asks
for another begins to search between what is known on either side. It is a hint and nothing more: the walk checks it,
and finds the place anew if the log has moved.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from cachetools import LRUCache

from app.providers.subnoto.client import PAGE_SIZE, LogQuery
from app.providers.subnoto.wire import LogRow

_MOST_LOGS = 64
_MOST_ROWS = 8192  #: known of one log
_APART = 2 * PAGE_SIZE  #: rows at the most between two that are known, for what is between to be known as well
_AROUND = 4  #: known rows on either side by which density is judged
_MOST_SLACK = 10 * PAGE_SIZE
_MOST_STRAYS = 4


class _Log:
    """Rows of one log, the first and the last of each page: their numbers, growing, and their times in µs. `total`:
    rows when it was read last, at the time `seen`."""

    def __init__(self) -> None:
        self.numbers, self.times = array("q"), array("q")
        self.total = self.seen = 0
        self.strays: dict[int, int] = {}  #: number and time of rows much older than one before them, the last ones seen

    def add(self, number: int, time: int) -> None:
        at = bisect_left(self.numbers, number)
        known = at < len(self.numbers) and self.numbers[at] == number
        if known and self.times[at] == time:
            return
        if known or len(self.numbers) >= _MOST_ROWS:
            # A row does not change, nor its number: a known one of another time is of another log.
            del self.numbers[:], self.times[:]
            at = 0
        self.numbers.insert(at, number)
        self.times.insert(at, time)

    def note_strays(self, number: int, rows: Sequence[LogRow], skew: int) -> None:
        """Note which of a page's rows, and of its known neighbours', are older than one before them by more than
        `skew`."""
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
            newest = max(newest, time)
        for at in list(self.strays)[:-_MOST_STRAYS]:
            del self.strays[at]

    def rows_in(self, span: int, at: int) -> int:
        """About how many rows there are in `span` µs, by those around the `at`-th."""
        first, last = max(0, at - _AROUND), min(len(self.times) - 1, at + _AROUND)
        rows, time = self.numbers[last] - self.numbers[first], self.times[last] - self.times[first]
        return rows * span // time if time > 0 else _MOST_SLACK

    def ends_here(self, now: int) -> bool:
        """Whether its last rows are known, and few can have come since."""
        last = len(self.numbers) - 1
        return self.numbers[last] == self.total - 1 and self.rows_in(max(0, now - self.seen), last) <= _APART


class TimeIndex:
    """Of one account, in this process. Times and `skew` in µs."""

    def __init__(self) -> None:
        self._logs: LRUCache[LogQuery, _Log] = LRUCache(_MOST_LOGS)

    def learn(
        self, query: LogQuery, number: int, rows: Sequence[LogRow], total: int, now: int, skew: int | None = None
    ) -> int:
        """A page that was read: its rows, of which `number` is the first one's, and how many the log has.

        Returns by how many µs one of them came late, at least: so old it was when the log was read last, without it."""
        # Beyond the end some may repeat what is before it.
        rows = rows[: max(0, total - number)]
        log = self._logs.setdefault(query, _Log())
        new = rows[max(0, log.total - number) :] if log.seen else ()
        late = max((log.seen - row.time for row in new if row.time is not None), default=0)
        log.total, log.seen = total, now
        # An envelope's log is too short to be of use; what cannot be read has no time of its own.
        for place in (0, len(rows) - 1) if rows and query.envelope is None else ():
            row = rows[place]
            if row.time is not None and not row.bad:
                log.add(number + place, row.time)
        if skew is not None:
            log.note_strays(number, rows, skew)
        return max(0, late)

    def strays(self, query: LogQuery, since: int, until: int) -> list[int]:
        """Numbers of rows of [since, until) that stand far behind their times in the log, where no search comes by."""
        log = self._logs.get(query)
        return [] if log is None else [number for number, time in log.strays.items() if since <= time < until]

    def forget(self, query: LogQuery) -> None:
        """What is known of a log is wrong."""
        self._logs.pop(query, None)

    def total(self, query: LogQuery) -> int | None:
        """How many rows a log had when it was read last."""
        log = self._logs.get(query)
        return None if log is None else log.total

    def around(self, query: LogQuery, start: int, skew: int, *, ascending: bool) -> list[tuple[int, int]]:
        """(number, time) of the last row known before the place of a walk from `start`, and of the first after it; of
        fewer where it lies at an end of what is known."""
        log = self._logs.get(query)
        if log is None:
            return []
        after = bisect_left(log.times, start - skew if ascending else start + skew)
        near = slice(max(0, after - 1), after + 1)
        return list(zip(log.numbers[near], log.times[near], strict=True))

    def near(self, query: LogQuery, start: int, now: int, skew: int, *, ascending: bool) -> list[int] | None:
        """A hint for a `PositionReader` from `start`; None where its place is not known to a page or two: to read at a
        wrong one costs more calls than to search."""
        log = self._logs.get(query)
        if log is None or not log.numbers:
            return None
        edge = start - skew if ascending else start + skew
        after = bisect_left(log.times, edge)
        if after == len(log.numbers):
            if not log.ends_here(now):
                return None
            behind, between = log.numbers[-1], 0
        elif after == 0:
            if not (ascending and log.numbers[0] == 0):
                return None
            behind, between = 0, 0
        else:
            first, last = log.numbers[after - 1], log.numbers[after]
            begin, end = log.times[after - 1], log.times[after]
            if last - first > _APART or begin >= end:
                return None
            behind = first if ascending else last
            between = (last - first) * abs(edge - (begin if ascending else end)) // (end - begin)
        # The rows between are read on the way, and a hint's slack counts twice.
        return [behind, min(_MOST_SLACK, log.rows_in(skew, after) + 1 + (between + 1) // 2)]
