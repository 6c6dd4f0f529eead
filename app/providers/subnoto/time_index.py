"""Where in this account's log which times stand, as far as it was read lately.

The log has no dates, so a walk first searches the place of its time, in several calls one after the other. The search
is short between rows that earlier walks have read; at the end, where dashboards read, a walk begins at once. Both are
hints: the walk checks them, and finds the place anew if the log has moved.
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
_FEW = 2 * PAGE_SIZE  #: rows that may have come since the log was read
_AROUND = 4  #: known rows by which density is judged
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

    def rows_in(self, span: int) -> int:
        """About how many rows there are in `span` µs, by the last ones that are known."""
        first = max(0, len(self.times) - 1 - _AROUND)
        rows, time = self.numbers[-1] - self.numbers[first], self.times[-1] - self.times[first]
        return rows * span // time if time > 0 else _MOST_SLACK

    def ends_here(self, now: int) -> bool:
        """Whether its last rows are known, and few can have come since."""
        return self.numbers[-1] == self.total - 1 and self.rows_in(max(0, now - self.seen)) <= _FEW


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
        """A hint for a `PositionReader` from `start`, where that is behind all rows and few came since: between known
        rows, a search from `around` costs no more."""
        log = self._logs.get(query)
        edge = start - skew if ascending else start + skew
        if log is None or not log.times or edge <= log.times[-1] or not log.ends_here(now):
            return None
        return [log.numbers[-1], min(_MOST_SLACK, log.rows_in(skew) + 1)]
