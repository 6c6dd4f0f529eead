"""Pages of a log from which records are removed while it is read, joined by their content.

Removing records moves later rows to lower numbers. If the page with higher numbers is read first, no row between two
neighbouring pages is missing: the second page can only repeat rows of the first. A **chain** is a part of the log that
is read page by page from high numbers to low ones. It is complete for any number of concurrent removals, at any place.

Rows between two repeated ones that a page does not repeat were removed. Those before them may have been, so the numbers
of a chain's first rows are not exact, and its `begin` may be negative.

A page without repeated rows adjoins the chain, unless more than the whole chain was removed at once, which a final read
of the chain's first page detects. If all repeated rows are equal, they may be other rows of equal content. Then a page
of fewer rows, which contains the chain's first row in its middle, takes the place of that page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from app.paging.log_end import LogMoved
from app.paging.rows import R, Response, are_equal

_FAR = 4  #: pages


class Chain(Generic[R]):
    """The rows from page `last` down to page `first`, with their numbers at the last read.

    Use: while `page` is not None, fetch this page, of `size` rows, alone and `add` it. `rows` are then consecutive, the
    last ones from number `begin` on, and the log ends after them if `has_end`. `reaching` continues to other pages."""

    def __init__(self, page_size: int, first: int, last: int) -> None:
        self.rows: list[R] = []
        self.begin = 0
        self.has_end = False
        self.total = 0  #: the log's, by the latest response
        self.doubted: int | None = None  #: rows of its last page, if that may be truncated
        self.size = page_size
        self._size, self._first, self._last = page_size, first, last
        self._most = 0  # the largest possible number of the first row: `begin` is right if none after it was removed
        self._newest = 0  # rows of the first page read
        self._is_certain = True
        self._above = 0  # rows above the lowest join that no repeated row shows; 0 for none
        self._left = 2 * (last - first) + 16  # pages, because a log may grow faster than it is read

    @property
    def end(self) -> int:
        """Return the number after the last row."""
        return self.begin + len(self.rows)

    @property
    def shift(self) -> int:
        """Return what to add to the numbers, so that none is negative."""
        return max(0, -self.begin)

    def reaching(self, pages: Sequence[int]) -> Chain[R] | None:
        """Return a new chain from these pages on, or this one if they are below it. None if they are far above. The
        pages are of numbers with `shift`."""
        pages = [max(1, page - self.shift // self._size) for page in pages]
        low, high = max(0, self.begin) // self._size + 1, self.end // self._size + 1
        if max(pages) >= high:
            return Chain(self._size, self._first, max(pages)) if min(pages) <= high + _FAR else None
        if max(pages) >= low - _FAR:
            self._left += 2 * (low - min(pages)) + 2
        # A guess at a page far below: what is looked for stands a little lower than it did.
        self._first = min(pages) if max(pages) >= low - _FAR else max(1, low - 1)
        return self

    @property
    def page(self) -> int | None:
        """Return the page to read next; None if the chain is complete."""
        if not self.rows and not self.has_end:
            return self._last
        if self._is_joining:
            return (self._most if self._is_crossing else self._most - 1) // self.size + 1
        # At last, the present page of the lowest row of the first page read.
        return None if self._is_certain else max(0, self.end - self._newest) // self._size + 1

    @property
    def _is_joining(self) -> bool:
        return self.begin > (self._first - 1) * self._size

    @property
    def _is_crossing(self) -> bool:
        """Whether the next page is the one with the chain's first row in its middle."""
        return self.size < self._size

    def add(self, response: Response[R]) -> None:
        """Add the requested page. Raises LogMoved if its relation to the others is unclear."""
        self._left -= 1
        if self._left < 0:
            raise LogMoved
        is_repeated = response.number is not None and response.number < response.page
        rows = () if is_repeated else response.rows
        self.total = self.total if response.total is None else response.total
        start = (response.page - 1) * self.size
        if not self.rows:
            self._begin(start, rows)
        elif self._is_joining:
            self._join(start, rows)
        else:
            self._prove(start, rows)

    def _begin(self, start: int, rows: Sequence[R]) -> None:
        if rows and len(rows) < self._size and not self.has_end:
            self._last += 1  # it may be cut short: an empty page shows the end
            return
        self.has_end |= not rows
        self.rows, self.begin, self._newest = list(rows), start, len(rows)
        self._most = start
        if self.has_end and len(rows) < self._size:
            self.doubted = len(rows)

    def _join(self, start: int, rows: Sequence[R]) -> None:
        new, at = self._place(rows)
        size, is_crossing = self.size, self._is_crossing
        self.size = self._size
        if not at:
            if len(rows) < size or is_crossing:
                raise LogMoved
            self._is_certain, self._above = False, len(self.rows)
        elif at[-1] < len(self.rows) - 1 and len(rows) < size:
            raise LogMoved  # it ends where the chain goes on
        elif at[-1] >= len(self.rows) - self._above:
            raise LogMoved  # the rows below that join may stand elsewhere: the final read could not tell
        elif are_equal([self.rows[index] for index in at]):
            if is_crossing:
                raise LogMoved
            self.size = max(range(size // 2 + 1, size + 1), key=self._distance)
            if not self._distance(self.size):
                raise LogMoved
            self._left += 1
            return
        elif at[-1] >= len(at) and any(_last_same(self.rows[index], self.rows, index) >= 0 for index in at):
            raise LogMoved  # the rows before or between them may still be there: others of equal content are repeated
        self._drop_between(at)
        before = at[0] if at else 0
        if new or not start:  # those before the repeated rows were removed, too
            self.rows[:before] = rows[:new]
            before = 0
        self.begin, self._most = start - before, start
        self._newest = min(self._newest, len(self.rows))

    def _distance(self, size: int) -> int:
        """Return the distance of the chain's first row from the nearest edge of the pages of this size."""
        return min(self._most % size, -self._most % size)

    def _prove(self, start: int, rows: Sequence[R]) -> None:
        """Compare the rows of the first page read with their expected numbers: after a jump over the whole chain, they
        are lower by its length and a page at least."""
        new, at = self._place(rows)
        if new or not at or at[-1] < len(self.rows) - self._newest or are_equal(rows):
            raise LogMoved
        moved = self.begin + at[0] - start
        if not 0 <= moved < self._size + self._newest:
            raise LogMoved
        self.begin -= moved
        self._drop_between(at)
        self._is_certain, self._above = True, 0

    def _drop_between(self, at: Sequence[int]) -> None:
        """Drop the rows between repeated ones, which are at these indices."""
        gone = set(range(at[0], at[-1])).difference(at) if at else set()
        self._newest -= sum(index >= len(self.rows) - self._newest for index in gone)
        self.rows = [row for index, row in enumerate(self.rows) if index not in gone]

    def _place(self, rows: Sequence[R]) -> tuple[int, list[int]]:
        """Return the number of rows before those that are in the chain, and the indices of these in it. Rows after the
        chain's last one do not count. Raises LogMoved."""
        chain, end = self.rows, len(rows)
        index = _last_same(rows[-1], chain, len(chain)) if rows else -1
        if index < 0 and (end := _last_same(chain[-1], rows, end) + 1):
            index = len(chain) - 1
        if index < 0:
            if _last_same(chain[0], rows, len(rows)) >= 0:
                raise LogMoved
            return len(rows), []
        first = index
        new = end - 1
        while new and (index := _last_same(rows[new - 1], chain, first)) >= 0:
            first, new = index, new - 1
        return new, _following(rows[new:end], chain, first)


def _last_same(row: R, rows: Sequence[R], end: int) -> int:
    """Return the index of the last equal row before index `end`; -1 if there is none."""
    return next((index for index in range(end - 1, -1, -1) if rows[index].same_as(row)), -1)


def _following(rows: Sequence[R], others: Sequence[R], index: int) -> list[int]:
    """Return the indices in `others` of rows from the first one on, which is at `index`, until one is not after the one
    before it."""
    found: list[int] = []
    for row in rows:
        index = next((at for at in range(index, len(others)) if others[at].same_as(row)), -1) if index >= 0 else -1
        if index < 0:
            break
        found.append(index)
        index += 1
    return found
