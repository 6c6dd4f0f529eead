"""What has been read so far of a log that has positions but no dates, seen in the direction of reading.

Reading downwards is reading upwards with numbers and times mirrored: row number `i` of time `t` is seen as `x = i` and
`v = t` when ascending, as `x = -1 - i` and `v = -t` when descending. So whoever uses this view knows one direction
only: `x` and, but for the skew, `v` grow. In mirrored numbers, too, a row's `x` never changes while the log grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """A row of the log."""

    @property
    def time(self) -> int | None:
        """µs since the epoch; None, for all rows of a page, where it cannot be read of any."""


R = TypeVar("R", bound=Timed)

NEVER = -(1 << 62)  #: a v before all others


class LogMoved(Exception):
    """The log is shorter than it was, or its pages do not fit together: start over, with pages of `page_size`."""

    def __init__(self, page_size: int) -> None:
        super().__init__(page_size)
        self.page_size = page_size


class PositionLog(Generic[R]):
    """The pages of one walk. The log ends for it where it ended at the first answer: rows that arrive later belong to
    the next walk. Guarantees that all of its pages come from one log of one page size, or raises LogMoved."""

    def __init__(self, *, ascending: bool, page_size: int) -> None:
        self.sign = 1 if ascending else -1
        self.size = page_size
        self.total: int | None = None  #: rows; None before the first answer
        self._told: int | None = None  # the same, as the first answer told
        self.pages: dict[int, Sequence[R]] = {}  #: by their numbers, from 1; none is empty
        self._ascending = ascending

    def add(self, answers: Sequence[tuple[int, Sequence[R], int]]) -> None:
        """One round of pages as the provider sent them: (page, rows, total). Raises LogMoved."""
        told = min(total for _, _, total in answers)
        if self._told is None:
            self._told = told
        elif told < self._told:
            raise LogMoved(self.size)
        # A total may lag behind the rows that come with it.
        ends = [self._end_shown(*answer) for answer in answers]
        self.total = max(self._told if self.total is None else self.total, *ends)
        for page, rows, _ in answers:
            offset = (page - 1) * self.size
            expected = max(0, min(self.size, self.total - offset))
            if len(rows) > self.size:
                raise LogMoved(len(rows))
            if len(rows) < expected:
                # A page that is not the last one, or the first one, shows the provider's real page size.
                shows = rows and (page == 1 or offset + self.size <= self.total)
                raise LogMoved(len(rows) if shows else self.size)
            if expected:
                self.pages.setdefault(page, rows[:expected])

    def _end_shown(self, page: int, rows: Sequence[R], total: int) -> int:
        """The number after the last row that is shown beyond the answer's own total; 0 where none is."""
        offset = (page - 1) * self.size
        # Behind the end, some servers show the last page again.
        return offset + len(rows) if offset < total < offset + len(rows) else 0

    @property
    def first(self) -> int:
        """The x of the first row."""
        return 0 if self._ascending else -(self.total or 0)

    @property
    def end(self) -> int:
        """The x after the last row."""
        return (self.total or 0) if self._ascending else 0

    def number(self, x: int) -> int:
        """The number in the log of row x; and the x of the row of a number."""
        return x if self._ascending else -1 - x

    def page_of(self, number: int) -> int:
        """The page that holds the row of this number."""
        return number // self.size + 1

    def page_at(self, x: int) -> int:
        """The page that holds row x."""
        return self.page_of(self.number(x))

    def page_edge(self, page: int) -> int:
        """The x that follows the page."""
        return page * self.size if self._ascending else -((page - 1) * self.size)

    def rows_of(self, page: int) -> list[tuple[int, int, R]]:
        """(v, x, row) of every row of a page that was read, by their x; none of a page without times."""
        return [(row.time * self.sign, x, row) for x, row in self._placed(page) if row.time is not None]

    def untimed(self, page: int) -> list[tuple[int, R]]:
        """(x, row) of those without a time, by their x."""
        return [(x, row) for x, row in self._placed(page) if row.time is None]

    def _placed(self, page: int) -> Iterator[tuple[int, R]]:
        rows, offset = self.pages[page], (page - 1) * self.size
        return enumerate(rows, offset) if self._ascending else enumerate(reversed(rows), -offset - len(rows))

    def value_at(self, x: int, otherwise: int) -> int:
        """The v of row x where it is known."""
        number = self.number(x)
        rows = self.pages.get(self.page_of(number)) if number >= 0 else None
        index = number % self.size
        time = rows[index].time if rows and index < len(rows) else None
        return otherwise if time is None else time * self.sign
