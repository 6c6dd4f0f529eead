"""Pages of a log whose old records are removed while it is read, joined by their content.

Removing records moves later rows to lower numbers. If the page with higher numbers is read first, no row between two
neighbouring pages is missing: the second page can only repeat rows of the first. A **chain** is a part of the log that
is read page by page from high numbers to low ones. It is complete for any number of concurrent removals.

Repeated rows of a page show by how much the numbers fell. A page without repeated rows adjoins the chain, unless more
than the whole chain was removed at once, which a final read of the chain's first page detects.

If all repeated rows are equal, they may be other rows of equal content. Then a page of fewer rows, which contains the
chain's first row in its middle, takes the place of that page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from app.paging.log_end import LogMoved
from app.paging.rows import R, Response

_FAR = 4  #: pages


class Chain(Generic[R]):
    """The rows from page `last` down to page `first`, with their numbers at the last read.

    Use: while `page` is not None, fetch this page, of `size` rows, alone and `add` it. `rows` are then consecutive from
    number `begin`, and the log ends after them if `has_end`. `reaching` continues to other pages."""

    def __init__(self, page_size: int, first: int, last: int) -> None:
        self.rows: list[R] = []
        self.begin = 0
        self.has_end = False
        self.total = 0  #: the log's, by the latest response
        self.size = page_size
        self._size, self._first, self._last = page_size, first, last
        self._below: list[R] = []  # another chain to join
        self._newest = 0  # rows of the first page read
        self._is_certain = True
        self._above = 0  # rows above the lowest join that no repeated row shows; 0 for none
        self._left = 2 * (last - first) + 16  # pages, because a log may grow faster than it is read

    def reaching(self, pages: Sequence[int]) -> Chain[R] | None:
        """Return a chain that continues to these pages, or this one if they are below it. None if they are far
        above."""
        low, high = self.begin // self._size + 1, (self.begin + len(self.rows)) // self._size + 1
        if max(pages) >= high:
            chain: Chain[R] = Chain(self._size, self._first, max(pages))
            chain._below = self.rows
            return chain if min(pages) <= high + _FAR else None
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
            return (self.begin if self._is_crossing else self.begin - 1) // self.size + 1
        return None if self._is_certain else self._proof

    @property
    def _is_joining(self) -> bool:
        return self.begin > (self._first - 1) * self._size

    @property
    def _is_crossing(self) -> bool:
        """Whether the next page is the one with the chain's first row in its middle."""
        return self.size < self._size

    @property
    def _proof(self) -> int:
        """Return the present page of the lowest row of the first page read."""
        return (self.begin + len(self.rows) - self._newest) // self._size + 1

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
        self._meet()
        if self.begin < 0:  # removed since it was read
            del self.rows[: -self.begin]
            self.begin = 0

    def _begin(self, start: int, rows: Sequence[R]) -> None:
        if rows and len(rows) < self._size and not self.has_end:
            self._last += 1  # it may be cut short: an empty page shows the end
            return
        self.has_end |= not rows
        self.rows, self.begin, self._newest = list(rows), start, len(rows)

    def _join(self, start: int, rows: Sequence[R]) -> None:
        at, size, is_crossing = self._place(rows), self.size, self._is_crossing
        self.size = self._size
        if at is None:
            if len(rows) < size or is_crossing:
                raise LogMoved
            at, self._is_certain, self._above = -len(rows), False, len(self.rows)
        elif at + len(rows) < len(self.rows) and len(rows) < size:
            raise LogMoved  # it ends where the chain goes on
        elif at >= len(self.rows) - self._above:
            raise LogMoved  # the rows below that join may stand elsewhere: the final read could not tell
        elif self._is_ambiguous(rows, at):
            if is_crossing:
                raise LogMoved
            self.size = max(range(size // 2 + 1, size + 1), key=self._distance)
            if not self._distance(self.size):
                raise LogMoved
            self._left += 1
            return
        if at < 0:
            self.rows[:0] = rows[:-at]
        self.begin = start - max(0, at)

    def _distance(self, size: int) -> int:
        """Return the distance of the chain's first row from the nearest edge of the pages of this size."""
        return min(self.begin % size, -self.begin % size)

    def _prove(self, start: int, rows: Sequence[R]) -> None:
        """Compare the rows of the first page read with their expected numbers: after a jump over the whole chain, they
        are lower by its length and a page at least."""
        at = self._place(rows)
        if at is None or at + len(rows) <= len(self.rows) - self._newest or self._is_ambiguous(rows, at):
            raise LogMoved
        moved = self.begin + at - start
        if not 0 <= moved < self._size + self._newest:
            raise LogMoved
        self.begin -= moved
        self._is_certain, self._above = True, 0

    def _meet(self) -> None:
        """Join the chain below, when this one has reached it."""
        for at, row in enumerate(self.rows if self._below else ()):
            common = self.rows[: at + 1]
            if row.same_as(self._below[-1]) and not _are_equal(common) and _same(common, self._below[-at - 1 :]):
                self.rows[: at + 1] = self._below
                self.begin -= len(self._below) - at - 1
                self._below = []
                return

    def _place(self, rows: Sequence[R]) -> int | None:
        """Return the index of these rows in the chain, negative if they begin before it; None if they contain no row of
        it. Raises LogMoved."""
        if not rows:
            return None
        ends = {0, len(rows) - 1}
        found = {at - end for end in ends for at, row in enumerate(self.rows) if row.same_as(rows[end])}
        found |= {-at for at, row in enumerate(rows) if row.same_as(self.rows[0])}
        fits = [at for at in found if self._fits(rows, at)]
        if not found:
            return None
        if len(fits) != 1:
            raise LogMoved
        return fits[0]

    def _is_ambiguous(self, rows: Sequence[R], at: int) -> bool:
        """Whether all common rows of the chain and these, which begin at `at`, are equal."""
        return _are_equal(rows[max(0, -at) : len(self.rows) - at])

    def _fits(self, rows: Sequence[R], at: int) -> bool:
        return _same(rows[max(0, -at) :], self.rows[max(0, at) : at + len(rows)])


def _are_equal(rows: Sequence[R]) -> bool:
    return all(row.same_as(rows[0]) for row in rows)


def _same(rows: Sequence[R], others: Sequence[R]) -> bool:
    return all(row.same_as(other) for row, other in zip(rows, others, strict=False))
