"""The rows read so far of a log with positions but without dates, in the direction of reading.

Reading downwards is reading upwards with numbers and times mirrored: row number `i` of time `t` is seen as `x = i` and
`v = t` when ascending, as `x = -1 - i` and `v = -t` when descending. Code that uses this view has one direction only:
`x` and, but for the skew, `v` grow. Rows keep their numbers while the log grows at its new end; `app.paging.steadiness`
finds out whether any were removed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Generic

from app.domain.times import SECOND
from app.paging.chain import Chain
from app.paging.log_end import LogEnd, LogMoved, OddPages
from app.paging.rows import FALLING, R, Response, RowOrder, are_equal
from app.paging.steadiness import Anchor, Steadiness, digest_of

#: Rows that must have been read before a row proves that nothing wanted lies behind it: one with a wrong time would
#: hide others, and they show that it is wrong.
SUPPORT = 3

#: From so many pages on, equal rows are one page that a server repeats rather than twins.
_TWIN_PAGES = 8

#: µs before a walk in which its log may grow: an older row after the end contradicts the total.
_FRESH = 30 * SECOND


class PositionLog(Generic[R]):
    """The rows that one walk has read. The log ends at its end in the first response: later rows belong to the next
    walk."""

    def __init__(self, ascending: bool, page_size: int, anchor: Anchor | None, longest: int, now: int) -> None:
        self.sign, self.size = 1 if ascending else -1, page_size
        self.support = min(SUPPORT, (page_size - 1) // 2)  #: see SUPPORT; less for pages of few rows
        self.ending = LogEnd(page_size, longest)
        self.rows: dict[int, R] = {}  #: by number
        self.order = RowOrder()
        self.steadiness: Steadiness[R] = Steadiness(anchor)
        self._ascending, self._begun = ascending, now
        self._timed: list[tuple[int, int]] | None = None  # see `timed`
        self.is_chain = False  #: whether the rows are a chain's

    # ---- additions -----------------------------------------------------------------------------------------------

    def add(self, responses: Sequence[Response[R]]) -> None:
        """Add one round of responses. Raises OddPages, LogMoved."""
        if self.ending.end is None:
            totals = [response.total for response in responses if response.total is not None]
            self.ending.end = min(totals, default=None)
        self._timed, has_moved, known = None, False, self.ending.pages()  # also if it raises an error
        for response in responses:
            rows = self._own_rows(response, known)
            if rows is None:
                continue
            self.ending.note(response.page, len(rows), response.total, response.has_next)
            start = (response.page - 1) * self.size
            if len(rows) < min(self.size, self.total - start) and not self.ending.is_short:
                has_moved = True
            later = rows[max(0, self.total - start) :]
            is_timed = all(row.time is not None for row in later)
            if any(self.was_there(row, _FRESH) for row in later):
                self.ending.exceed(start + len(rows))
            elif any(map(self.was_there, later)):
                self.ending.end = max(self.total, start + len(rows))  # they may be new
            elif later and is_timed and len(later) == len(rows) <= (response.total or 0) - start:
                self.ending.grown.add(response.page)
            for number, row in enumerate(rows[: max(0, self.total - start)], start):
                known_row = self.rows.setdefault(number, row)
                has_moved |= known_row is not row and not known_row.same_as(row)
        self.steadiness.add(responses)
        self.order.check(self.rows, lambda: not self._unread_ends())
        if has_moved:
            raise LogMoved

    def confirm(self, response: Response[R]) -> None:
        """Add a page read again. Raises LogMoved if it has other rows, or more of those that totals counted."""
        new = response.rows[len(self.steadiness.pages[response.page].rows) :]
        self.steadiness.confirm(response)
        if self.ending.claimed > self.total and any(self.was_there(row, _FRESH) for row in new):
            raise LogMoved

    def forget(self, page: int) -> None:
        """Drop the rows of a page, which is read again."""
        for number in range((page - 1) * self.size, page * self.size):
            self.rows.pop(number, None)
        self.steadiness.pages.pop(page, None)
        self._timed = None

    def adopt(self, chain: Chain[R]) -> None:
        """Replace the rows by a chain's."""
        begin = chain.begin + chain.shift
        end = begin + len(chain.rows)
        self.ending.end = end if chain.has_end else max(chain.total + chain.shift, end + 1)
        # Without a further read, because more than the page that shows it was read.
        self.ending.is_settled = self.is_chain = True
        self.rows, self._timed = dict(enumerate(chain.rows, begin)), None
        self.order.misplaced.clear()
        self.order.check(self.rows, lambda: not self._unread_ends())

    def was_there(self, row: R, before: int = 0) -> bool:
        """Whether a row is older than the walk, by more than `before` µs."""
        return row.time is not None and row.time < self._begun - before

    def are_others(self, rows: Sequence[R], last: R | None) -> bool:
        """Whether rows after the `last` one were there before the walk, and are not that one, which a server may repeat
        after the end."""
        there = [row for row in rows if row.time is None or self.was_there(row)]
        return bool(there) and (last is None or not all(map(last.same_as, there)))

    def _own_rows(self, response: Response[R], known: Collection[int]) -> Sequence[R] | None:
        """Return the rows of a response; empty if a server repeats its last page after the end, None if that is
        unclear, so that the page has to be read again. `known`: pages of earlier rounds. Raises OddPages."""
        rows = response.rows
        if len(rows) > self.size:
            raise OddPages(len(rows))
        if response.number is not None and response.number < response.page:
            return ()
        lengths, is_equal = self.ending.pages(), are_equal(rows)
        is_within = response.total is None or response.page * self.size <= response.total
        # The server's pages may be smaller. Not compared with each page: a burst of twins has hundreds.
        if is_equal and is_within and (len(rows) == self.size or self.size not in lengths.values()):
            return rows
        for page in lengths:
            if page == response.page or not self._holds(page, rows):
                continue
            if is_equal and not is_within and self._may_be_twins(response, abs(page - response.page)):
                continue
            if page < response.page:
                if page not in known:
                    return None
                if is_equal:
                    page = self._drop_repeats(response, [at for at in lengths if self._holds(at, rows)])
                self.ending.repeat(page, lengths[page], response.page, is_sure=True, are_equal=is_equal)
                return ()
            # The last page is this one, or one before it; or rows have moved to this one.
            for number in range((page - 1) * self.size, page * self.size):
                self.rows.pop(number, None)
            self.ending.repeat(response.page, len(rows), page, is_sure=False, are_equal=is_equal)
        return rows

    def rows_of(self, page: int) -> list[R]:
        """Return the known rows of a page."""
        numbers = range((page - 1) * self.size, page * self.size)
        return [row for number in numbers if (row := self.rows.get(number)) is not None]

    def _holds(self, page: int, rows: Sequence[R]) -> bool:
        """Whether `rows` begin with the known rows of a page: others may have been added."""
        first = self.rows.get((page - 1) * self.size)
        if not rows or (first is not None and not first.same_as(rows[0])):
            return False  # nearly always
        known = self.rows_of(page)
        return 0 < len(known) <= len(rows) and all(row.same_as(own) for row, own in zip(known, rows, strict=False))

    def _drop_repeats(self, response: Response[R], pages: Collection[int]) -> int:
        """Return the last one of equal `pages` within the total, or the first one. Those after it repeat it."""
        within = [at for at in pages if at * self.size <= (response.total or 0)]
        page = max(within, default=min(pages))
        # Of several, the later ones may repeat the first, and be counted.
        self.ending.may_be_twins = len(within) > 1 or (self.ending.may_be_twins and page * self.size != response.total)
        for later in [at for at in pages if at > page]:
            self.ending.lengths[later] = 0
            self.forget(later)
        return page

    def _may_be_twins(self, response: Response[R], pages: int) -> bool:
        """Whether a page after the total may have the rows of one so many `pages` away because all are equal."""
        if len(response.rows) < self.size or self.ending.repeated is not None:
            return False
        self.ending.may_be_twins = True
        return pages < _TWIN_PAGES

    def opposite(self) -> int | None:
        """Return a page that shows whether the log comes newest first, if the rows read do; None if it is known."""
        if not self.order.is_falling or self.order.is_unordered or self.is_chain:
            return None
        if unread := self._unread_ends():
            return unread[0]
        few = len({row.time for row in self.rows.values()}) < FALLING
        return next(iter(self.following(self.first, 1, 1)), None) if few else None

    def _unread_ends(self) -> list[int]:
        return [page for page in (1, self.page_of(self.total - 1)) if page not in self.steadiness.pages]

    def repeated(self) -> int | None:
        """Return a page of rows of equal time of which two are equal, on different pages and with others between them:
        these may be one row, if the provider's order of equal times changes with each call. None without such rows."""
        end = 0
        for edge in sorted(page * self.size for page in self.ending.pages()):
            if edge < end or not self._are_tied(edge - 1):
                continue
            first, end, places = edge - 1, edge + 1, dict[int, int]()
            while self._are_tied(first - 1):
                first -= 1
            while self._are_tied(end - 1):
                end += 1
            for number in range(first, end):
                content = digest_of([self.rows[number]])
                before, places[content] = places.get(content, number), number
                if number - before > 1 and self.page_of(before) < self.page_of(number):
                    return self.page_of((first + end) // 2)
        return None

    def _are_tied(self, number: int) -> bool:
        """Whether this row and the next one were read and have the same time."""
        row, after = self.rows.get(number), self.rows.get(number + 1)
        return row is not None and after is not None and row.time == after.time and not (row.bad or after.bad)

    # ---- the view in the direction of reading --------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Return the number after the last row."""
        return self.ending.end or 0

    @property
    def first(self) -> int:
        """Return the x of the first row."""
        return 0 if self._ascending else -self.total

    @property
    def end(self) -> int:
        """Return the x after the last row."""
        return self.total if self._ascending else 0

    def number(self, x: int) -> int:
        """Return the number of row x; also the x of a number."""
        return x if self._ascending else -1 - x

    def page_of(self, number: int) -> int:
        """Return the page of the row with this number."""
        return max(0, number) // self.size + 1

    def page_at(self, x: int) -> int:
        """Return the page of row x."""
        return self.page_of(self.number(x))

    def page_edge(self, page: int) -> int:
        """Return the x after the page."""
        return page * self.size if self._ascending else -((page - 1) * self.size)

    def timed(self) -> list[tuple[int, int]]:
        """Return (x, v) of each row read that has a valid time, by x."""
        if self._timed is None:
            numbers = sorted(self.rows, reverse=not self._ascending)
            rows = [(number if self._ascending else -1 - number, self.rows[number]) for number in numbers]
            self._timed = [(x, row.time * self.sign) for x, row in rows if row.time is not None and not row.bad]
        return self._timed

    def knows(self, x: int) -> bool:
        """Whether row x was read."""
        return self.number(x) in self.rows

    def value_at(self, x: int) -> int | None:
        """Return the v of row x, or None if it was not read or has no valid time."""
        row = self.rows.get(self.number(x))
        return None if row is None or row.bad or row.time is None else row.time * self.sign

    def is_supported(self, x: int) -> bool:
        """Whether enough rows before row `x` were read, or it is the first (see SUPPORT)."""
        return all(at < self.first or self.knows(at) for at in range(x - self.support, x))

    def following(self, x: int, rows: int, most: int) -> list[int]:
        """Return the unread pages of the next `rows` rows from `x` on: at least one, unless the log ends."""
        pages: list[int] = []
        while x < self.end and (rows > 0 or not pages) and len(pages) < most:
            page = self.page_at(x)
            edge = x + 1 if self.knows(x) else min(self.page_edge(page), self.end)
            rows -= edge - x
            if not self.knows(x):
                pages.append(page)
            x = edge
        return pages

    def density(self, x: int, skew: int) -> int:
        """Return the approximate number of rows in one skew, from the rows before row `x`; at most a page."""
        near = range(x - 1, x - 1 - self.size, -1)
        times = [v for at, v in self.timed() if at in near]
        if len(times) < 2:
            return 0
        span = max(times) - min(times)
        return min(self.size, len(times) * skew // span) if span else self.size


def between(behind: tuple[int, int], ahead: tuple[int, int], edge: int) -> int:
    """The x at which `edge` stands, were the log as dense everywhere between these two (x, v)."""
    share = (edge - behind[1]) / (ahead[1] - behind[1])
    return behind[0] + int((ahead[0] - behind[0]) * min(1.0, max(0.0, share)))
