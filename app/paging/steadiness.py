"""Whether all pages of one walk are of one state of the log.

A provider that removes records, at the log's old end or anywhere, moves all later rows to lower numbers. No response
shows it: of pages read before and after, rows are missing or come twice. Numbers only fall, hence three proofs, the
cheaper ones first:

- a page read after the one behind it (with higher numbers) would, had rows been removed in between, repeat rows of it.
  So the highest page is read first;
- a page whose rows the walk's cursor remembers (`Anchor`) has not moved since the cursor was made;
- a page read again with the same rows has not moved between, nor has any below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Generic
from zlib import crc32

import msgspec

from app.paging.log_end import LogMoved
from app.paging.rows import R, Response


class Anchor(msgspec.Struct, frozen=True):
    """The first `rows` rows of a page as an earlier walk read them."""

    page: int
    rows: int
    digest: int


def digest_of(rows: Sequence[R]) -> int:
    """32 bits of the content of rows and their order."""
    # Unreadable records may hold values that JSON cannot: all such values count as null.
    contents = [row.content() for row in rows]
    return crc32(msgspec.json.encode(contents, order="sorted", enc_hook=lambda _: None))


def is_shuffled(before: Sequence[R], after: Sequence[R], *, first: bool, last: bool) -> bool:
    """Whether a page read again has rows of the same time as its `first` or its `last` row in another order. Removed
    and added rows change no order, so the provider's order of equal times does, and with it the pages of these rows."""
    ends = [row for rows in (before, after) for row in (*rows[: int(first)], *rows[len(rows) - int(last) :])]
    times = {row.time for row in ends}
    old, new = ([digest_of([row]) for row in rows if row.time in times] for rows in (before, after))
    places = [old.index(row) for row in new if old.count(row) == 1 == new.count(row)]
    # A single row may be the twin of a removed one.
    return sum(one > following for one, following in pairwise(places)) > 1


def have_risen(before: Sequence[R], after: Sequence[R]) -> bool:
    """Whether all rows that stayed on a page read again have higher numbers: newer rows were put before them, as in a
    log that comes newest first."""
    if not before or not after or before[0].same_as(after[0]):
        return False
    old, new = ([digest_of([row]) for row in rows] for rows in (before, after))
    moves = [new.index(row) - old.index(row) for row in new if old.count(row) == 1 == new.count(row)]
    return len(moves) > 1 and min(moves) > 0


class _Page(msgspec.Struct, Generic[R]):
    """A page that had these rows in all rounds from `read` (0: when the cursor was made) to `held`. `times` of its rows
    as they came: `PositionLog` changes those of bad ones."""

    read: int
    held: int
    rows: Sequence[R]
    times: list[int | None]


class Steadiness(Generic[R]):
    """Rounds of calls are numbered from 1."""

    def __init__(self, anchor: Anchor | None) -> None:
        self._anchor = anchor
        self.pages: dict[int, _Page[R]] = {}  #: the pages read
        self._round = 0

    def add(self, responses: Sequence[Response[R]]) -> None:
        """Note a round of responses. Raises LogMoved where the anchor is not where it was."""
        self._round += 1
        for response in responses:
            read, anchor = self._round, self._anchor
            if anchor is not None and response.page == anchor.page:
                if digest_of(response.rows[: anchor.rows]) != anchor.digest:
                    raise LogMoved
                read = 0
            times = [row.time for row in response.rows]
            self.pages.setdefault(response.page, _Page(read, self._round, response.rows, times))

    def page_to_confirm(self, first: int, last: int) -> int | None:
        """The page to read again (`confirm`) before rows of the pages `first` to `last` are handed out; None where they
        are of one state already."""
        pages = [page for page in range(last, first - 1, -1) if page in self.pages]
        if len(pages) <= 1 or (first == 1 and not any(self.pages[page].rows for page in pages)):
            return None  # also a log without rows, whatever its total says
        unsure = self._unsure(pages)
        behind = pages[0] + 1
        while unsure is not None and behind in self.pages:
            pages.insert(0, behind)
            if self._unsure(pages) is None:
                return None
            behind += 1
        return unsure

    def confirm(self, response: Response[R]) -> None:
        """Take the page named by `page_to_confirm`, read again. Raises LogMoved where it holds other rows."""
        page = self.pages[response.page]
        self._round += 1
        same = (row.same_as(other) for row, other in zip(page.rows, response.rows, strict=False))
        if len(response.rows) < len(page.rows) or not all(same):
            raise LogMoved
        page.held = self._round

    def _unsure(self, pages: Sequence[int]) -> int | None:
        """Return the first of the descending pages that may be of another state than those before it, or the one with
        which to compare it; None if there is none."""
        at, *lower = pages
        base, following = self.pages[at], self.pages[at]
        behind: dict[int | None, list[R]] = {}
        for number in lower:
            for time, row in zip(following.times, following.rows, strict=True):
                behind.setdefault(time, []).append(row)
            page = self.pages[number]
            is_before = page.read <= base.read
            if is_before and page.held <= base.read:
                return number
            if base.rows and page.read >= base.held and _repeats(page, following, behind):
                return at
            if is_before or not base.rows:
                at, base = number, page
            following = page
        return None


def _repeats(page: _Page[R], following: _Page[R], behind: dict[int | None, list[R]]) -> bool:
    """Whether rows of a page may be some of those `behind` it, or of later ones still; so may those of an empty one."""
    if not page.rows:
        return True
    last = page.rows[-1]
    if any(last.same_as(other) for other in behind.get(page.times[-1], ())):
        return True
    times = [time for time in page.times if time is not None]
    later = [time for time in following.times if time is not None]
    return not times or not later or min(times) >= min(later) or max(times) >= max(later)
