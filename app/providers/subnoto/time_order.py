"""Compare a window with the log in the provider's order of time.

A record with a wrong but plausible time is far from its place in the order of `id`, and a search by `id` for that time
never reads it. The vendor's API also sorts by `timestamp`, and that order shows the record among its neighbours in
time. It is no order to read by: the order of equal times is unknown and may change with each call. Therefore only the
numbers of records before a time are compared. A server that refuses or ignores the order shows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import ge

import msgspec

from app.domain.errors import SourceFailed, TemporaryFailure
from app.domain.times import SECOND
from app.paging.position_reader import Consecutive
from app.providers.base import CallBudget
from app.providers.http.concurrency import gather_all
from app.providers.subnoto.client import EventTypesRefused, LogQuery
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.wire import LogPage, LogRow

_UNKNOWN = 1 << 62
_FRESH = 30 * SECOND  #: duration of a walk, about

Bounds = tuple[int, int]  #: least and largest possible number of records before a time


class TimeOrder:
    """The log of `query`, in pages of at most `size` rows. `read`: its rows read in the order of `id`.

    `is_lacking`: whether the server refused to sort by time, failed or did not, although unread rows may have times
    that are compared."""

    def __init__(self, request: LogRequest, query: LogQuery, size: int, read: Consecutive[LogRow]) -> None:
        self._client, self._query = request.client, msgspec.structs.replace(query, by_time=True)
        self._observations, self._spent = request.observations, request.spent
        self._size, self._read = size, read
        self._total, self._shown = 0, list[LogRow]()  # rows of the log, and of all pages
        self.is_lacking = False

    async def missing(self, low: int, high: int, misplaced: Mapping[int, int], calls: int, settled: int) -> int:
        """Return how many records of [low, high) at least are not among the rows read, which contain all others of
        that window; 0 if unknown. `misplaced`: own times of rows known to be elsewhere, by number. Unreadable rows
        count as found, because the order of time has them, too. Rows that are added meanwhile are younger than
        `settled`. Makes at most `calls` calls (1 or 2) if none is missing, and none if more are needed or the whole log
        was read.

        Rows before the first one read are older than the window, and those after the last one newer, or have wrong
        times. Therefore only an edge with unread rows behind it is compared. If that shows more records than expected,
        the other edge is, too, because unreadable records may come first or last."""
        read = self._read
        times = {**{number: row.time for number, row in enumerate(read.rows, read.first)}, **misplaced}
        found = len([time for time in times.values() if time is not None and low <= time < high])
        expected = {low: read.rank(low), high: read.rank(high)}
        bounds = {edge: (rank, rank) for edge, rank in expected.items()}
        open_edges = [low] * (not read.from_start) + [high] * (not read.to_end)
        if not open_edges:
            return 0
        for edges in filter(None, (open_edges, [edge for edge in (low, high) if edge not in open_edges])):
            parts = [edges] if self._limit([expected[edge] for edge in edges]) else [[edge] for edge in edges]
            if edges is open_edges and len(parts) > calls:
                return 0
            for part in parts:
                if (found_bounds := await self.bounds(part)) is None:
                    return 0
                bounds |= zip(part, found_bounds, strict=True)
            missing = bounds[high][0] - bounds[low][1] - found - self._new(settled - _FRESH, high)
            if missing <= 0:
                return 0
        return missing

    def begin(self, edge: int, *, ascending: bool) -> int:
        """Return what `lacking` needs to know of the edge where a walk begins, as one number for a cursor: twice the
        number of records before it, and one more if unread ones are behind it."""
        return 2 * self._read.rank(edge) + (not (self._read.from_start if ascending else self._read.to_end))

    async def lacking(self, begun: int, first: int, last: int, settled: int) -> int:
        """Return how many records at least a walk of several pages has missed between `first`, the edge where it began
        (`begun`: see `begin`), and `last`, where it ends; 0 if unknown. Rows that are added meanwhile are younger than
        `settled`. Makes at most two calls, at once, if none is missing.

        If no record is missing, both orders have the same number between the edges. A record that was read although
        its time is outside is subtracted from one that is missing: not all that is missing is seen."""
        rank, is_open = divmod(begun, 2)
        low, high = sorted((first, last))
        ranks = {first: rank, last: self._read.rank(last)}
        is_last_open = not (self._read.to_end if last == high else self._read.from_start)
        open_edges, seen = [first] * is_open + [last] * is_last_open, dict(ranks)
        missing = 0
        # An edge without unread rows behind it is compared only if the other one shows more records than expected.
        for edges in (open_edges, [edge for edge in (first, last) if edge not in open_edges]):
            found = await gather_all(self.bounds([edge], [ranks[edge]]) for edge in edges)
            for edge, bounds in zip(edges, found, strict=True):
                if bounds is None:
                    return 0
                [(least, most)] = bounds
                seen[edge] = most if edge == low else least - self._new(settled - _FRESH, high)
            missing = seen[high] - ranks[high] - (seen[low] - ranks[low])
            if missing <= 0:
                return 0
        return missing

    async def agrees(self, time: int) -> bool | None:
        """Whether as many rows are before a time as were read, or behind them, by one call; None if unknown."""
        if (found := await self.bounds([time])) is None:
            return None
        [(least, most)] = found
        return least <= self._read.rank(time) <= most

    async def bounds(self, edges: Sequence[int], ranks: Sequence[int] = ()) -> list[Bounds] | None:
        """Return the bounds of the number of records before each of the times, which are near each other. `ranks`:
        where they are expected, if not by the rows read. None if the server does not have the order, or its pages are
        too short. Raises as `OptionalCalls.prove`."""
        expected = list(ranks) or [self._read.rank(edge) for edge in edges]
        if not (limit := self._limit(expected)):
            return None
        start = max(0, expected[0] - 1) // limit * limit
        is_needed = not (self._read.from_start and self._read.to_end)
        if (
            page := await self._observations.optional.prove(
                "order of time", self._spent, partial(self._get, start // limit + 1, limit)
            )
        ) is None:
            self.is_lacking = is_needed
            return None
        self._observations.learn(self._query.category, [page])
        if len(page.rows) > limit or page.number not in (None, start // limit + 1):
            return None
        self._total, self._shown = page.total, [*self._shown, *page.rows]
        if self._read.has_same(start, page.rows):
            return [(rank, rank) for rank in expected]
        times = [row.time for row in page.rows if row.time is not None and not row.bad]
        if not all(map(ge, times[1:], times)):
            self.is_lacking = is_needed
            return None
        return [_bounds(edge, start, page.rows, is_last=len(page.rows) < limit) for edge in edges]

    async def _get(self, number: int, limit: int, spent: CallBudget) -> LogPage:
        try:
            [(_, page)] = await self._client.list_logs(self._query, [number], limit, spent)
        except EventTypesRefused as refused:
            failure = SourceFailed if refused.is_known else TemporaryFailure
            raise failure("the provider refuses event types in this order") from None
        if page.refusal is not None:
            raise page.refusal
        return page

    def _new(self, since: int, until: int) -> int:
        """Return the number of rows of [since, until) on the pages that were added after the others were read."""
        shown = [row for row in self._shown if row.time is not None and since <= row.time < until]
        new = sum(not any(map(row.same_as, self._read.rows)) for row in shown)
        return min(new, max(0, self._total - self._read.end))

    def _limit(self, ranks: Sequence[int]) -> int:
        """Return the rows of the pages of which one contains the rows before and after all `ranks`, with as many as
        possible around them; 0 if there is no such page."""
        if not ranks:
            return 0
        best, widest, before = 0, -1, max(0, ranks[0] - 1)
        # Pages of another length than those read: a server that repeats its last page after the end repeats other rows.
        for limit in range(2, max(3, self._size)):
            start = before // limit * limit
            margin = start + limit - 1 - ranks[-1]
            if start and ranks[0] - start < margin:
                margin = ranks[0] - start
            if margin > widest:
                best, widest = limit, margin
        return best


def _bounds(time: int, start: int, rows: Sequence[LogRow], *, is_last: bool) -> Bounds:
    earlier = [at for at, row in enumerate(rows, start + 1) if not row.bad and row.time is not None and row.time < time]
    later = [at for at, row in enumerate(rows, start) if not row.bad and row.time is not None and row.time >= time]
    end = start + len(rows) if is_last else _UNKNOWN
    return max(earlier, default=0), min(later, default=end)
