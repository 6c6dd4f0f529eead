"""The end of a log, from its totals and its lists. If they contradict each other, two responses must show an end."""

from __future__ import annotations

#: Pages after the last one read in which the end is searched for: a server that changes its last page has no end.
_FAR = 1 << 24


class LogMoved(Exception):
    """The rows' numbers have changed during the walk: start over."""


class OddPages(Exception):
    """The pages are inconsistent: start over, with pages of `page_size`."""

    def __init__(self, page_size: int) -> None:
        super().__init__(page_size)
        self.page_size = page_size


class LogEnd:
    """`end`: the number after the last row; None before the first response. Lists take precedence over totals."""

    def __init__(self, page_size: int, longest: int) -> None:
        self.end: int | None = None
        self.is_short = False  #: whether rows within the total are missing
        self.shown_by: int | None = None  #: the page that shows `end`, if totals contradict it
        self.lacks_rows = False  #: whether the total promises rows that are not there: whole pages, or refused ones
        self.may_be_twins = False  #: whether rows after the total may be twins or one page again and again
        self._size, self._longest = page_size, longest
        self.is_settled = False  #: whether the end is certain
        self._is_doubtful = self._is_refused = self._looked_at_first = False
        self.lengths: dict[int, int] = {}  #: rows of each page; 0 for one that repeats another
        self.claimed = 0  #: the largest total
        self.proven = 0  #: an end after which no row was
        self._agrees: set[int] = set()  # pages that end at their own total, and announce no other
        self.grown: set[int] = set()  #: pages after the end whose rows were added during the walk: they show it, too
        self._gap = 1
        self.read_again: set[int] = set()  #: pages that were not full, and rows after them
        self._beyond: set[int] = set()  # pages that start after their own total, and have rows
        self.repeated: int | None = None  #: the lowest known page whose rows a later one repeats
        # Whether no rows have moved to it; whether it may be a page of few equal rows, and later ones its twins; the
        # pages behind which the next one was read again, to be sure.
        self._is_unmoved = self._may_be_cut = False
        self._looked_behind: set[int] = set()
        self._exceeds = False  # whether a list exceeded its total, which makes all totals unreliable

    def doubt(self) -> None:
        """Distrust totals, because lists of this log exceeded theirs before."""
        self._exceeds = self._is_doubtful = True

    def exceed(self, end: int) -> None:
        """Record that a list had rows up to `end` that were there before: the totals so far were too low."""
        self.doubt()
        self.end = max(self.end or 0, end)

    def note(self, page: int, rows: int, total: int | None, has_next: bool | None) -> None:
        """Record a response: the number of the page's rows; `total` None if the page was refused."""
        before = (page - 1) * self._size
        self.lengths[page] = max(rows, self.lengths.get(page, 0))
        if total is None:
            self._is_doubtful = True
            if before < (self.end or 0):
                self._is_refused = self.is_short = True
            return
        self.claimed = max(self.claimed, total)
        if rows and before >= total:
            self._beyond.add(page)
            self._gap = 1 if rows < self._size else self._gap
        expected = min(self._size, max(0, total - before))
        if rows == expected and rows < self._size and not has_next:
            self._agrees.add(page)
        if rows > expected:
            self.exceed(before + rows)
        elif rows < expected:
            self._is_doubtful = self.is_short = True
        elif not rows and before == self.end and total != self.end:
            self.shown_by = page
        elif has_next is not None and rows and has_next != (total > before + rows):
            self._is_doubtful = True
        if self._is_doubtful and (short := self._first_short()) is not None:
            # Rows after a page that is not full, which no walk can reach by continuing.
            self.is_short |= any(rows for page, rows in self.lengths.items() if page > short)

    def repeat(self, page: int, rows: int, later: int, *, is_sure: bool, are_equal: bool) -> None:
        """Record that the `rows` rows of `page` came again as those of a `later` one: the log ends before it.
        `is_sure`: no rows can have moved. `are_equal`: all of them; perhaps twins, if no longer page was sent."""
        self.lengths[page], self.lengths[later] = rows, 0
        self._is_doubtful = self.is_short = True
        self.repeated, self._is_unmoved = page, is_sure
        self._may_be_cut = are_equal and not self._is_longer(rows)
        self.end = min(self.end or 0, (page - 1) * self._size + rows)

    def pages(self) -> dict[int, int]:
        """Return the number of rows of each page that has some."""
        return {page: rows for page, rows in self.lengths.items() if rows}

    def _first_short(self) -> int | None:
        """Return the first page read that is not full."""
        return min((page for page, rows in self.lengths.items() if rows < self._size), default=None)

    def _is_longer(self, rows: int) -> bool:
        """Whether the server has sent a page of more rows."""
        return not rows or rows < max(self._longest, *self.lengths.values())

    def look(self, *, needed: bool) -> int | None:
        """Return the page to read before the end is certain; None if it is, or is not `needed`. Raises OddPages."""
        if self.is_settled or (not needed and not self.is_short):
            return None
        size, lengths = self._size, self.lengths
        if not self._is_doubtful and not self.is_short:
            # A last page that is full shows no end: a total too low that grew meanwhile fits it by chance.
            whole, rest = divmod(self.end or 0, size)
            if whole and not rest and whole not in lengths:
                return whole  # a server may repeat it for the page after it
            page = whole + 1
            while page not in self.grown and lengths.get(page) == size:
                page += 1
            return None if page in lengths or (rest and page == whole + 1) else page
        short = self._first_short()
        if (last := self.repeated) is not None and (short is None or short >= last):
            return self._look_before(last)
        full = max((page for page, rows in lengths.items() if rows == size), default=0)
        if short is None:
            if self._gap > _FAR:
                raise LogMoved  # a server repeats a last page whose rows change
            page, self._gap = full + self._gap, 2 * self._gap
            return page
        later = [rows for page, rows in lengths.items() if page > short]
        if any(later):
            # Rows behind a page that is not full: the log grew, it was cut short, or pages are smaller than requested.
            if max(later) != lengths[short] and short not in self.read_again:
                self.read_again.add(short)
                del self.lengths[short]
                return short
            raise OddPages(lengths[short] or size)
        if (not lengths[short] or short in self._beyond) and short - full > 1:
            page, self._gap = max((full + short) // 2, short - self._gap), 2 * self._gap
            return page
        # It shows the end alone if its total agrees, and the server sends longer ones.
        is_shown = short in self._agrees and not self._exceeds and self._is_longer(lengths[short])
        if not later and not is_shown:
            if lengths[short] or self.claimed <= (short - 1) * size or short in self.read_again:
                return short + 1
            # An empty page within the total: one after the total would be empty in any case, and prove nothing.
            self.read_again.add(short)
            del self.lengths[short]
            return short
        found = (short - 1) * size + lengths[short]
        if not found and (self.end or 0) >= size and not self._looked_at_first:
            # Whole pages were promised and none is shown: one odd response shall not hide them.
            self._looked_at_first = True
            return 1
        self.lacks_rows = found < (self.end or 0) and (self._is_refused or (not found and (self.end or 0) >= size))
        self._show(short, short if is_shown else short + 1)
        return None

    def _look_before(self, last: int) -> int | None:
        """Return the page to read to find the first of repeated pages; None if it is the `last` known one."""
        before = max((page for page, rows in self.lengths.items() if page < last and rows), default=0)
        if last - before > 1:
            return (before + last) // 2
        later = [page for page in self.lengths if page > last]
        if any(self.lengths[page] for page in later):
            raise OddPages(self.lengths[last]) if self._may_be_cut else LogMoved
        if not self._is_unmoved:
            if last in self._looked_behind:
                raise LogMoved  # the page behind is not this one: rows have moved to this one
            self._looked_behind.add(last)
            return last + 1
        self.may_be_twins |= self._may_be_cut and self.claimed != self.end
        self._show(last, min(later))
        return None

    def _show(self, last: int, shown_by: int) -> None:
        """Set the end to that of the page `last`."""
        self.end, self.shown_by = (last - 1) * self._size + self.lengths[last], shown_by
        self.is_short = self._is_doubtful = False
