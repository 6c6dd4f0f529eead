"""Whether all pages of one walk are of one state of the log.

A provider that removes old records (a retention period, a log of constant length) moves every row to a lower number.
No response shows it: of pages read before and after, rows are missing or come twice. Numbers only fall: a row with the
same number before and after a round of calls proves that none was removed meanwhile.

Three proofs, the cheaper ones first:

- a page whose rows the walk's cursor remembers (`Anchor`): what was read before it is of the cursor's state;
- descending: a page that was read after the one behind it would, had rows been removed in between, repeat rows of it;
- the page that was read first is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class _Page(msgspec.Struct, Generic[R], frozen=True):
    """A page as it was read in a round. `times` of its rows as they came: `PositionLog` changes those of bad ones."""

    round: int
    rows: Sequence[R]
    times: list[int | None]


class Steadiness(Generic[R]):
    """Rounds of calls are numbered from 1. Pages read in a round later than `_since`, up to `_through`, are of one
    state; so is the page `first`, which was read when that state was known to begin."""

    def __init__(self, page_size: int, anchor: Anchor | None, *, ascending: bool) -> None:
        self._size, self._anchor, self._ascending = page_size, anchor, ascending
        self._pages: dict[int, _Page[R]] = {}
        self._round = 0
        self._since: int | None = None
        self._through = 0
        self.first: int | None = None

    def add(self, responses: Sequence[Response[R]]) -> None:
        """Note a round of responses. Raises LogMoved where the anchor is not where it was."""
        self._round += 1
        for response in responses:
            times = [row.time for row in response.rows]
            self._pages.setdefault(response.page, _Page(self._round, response.rows, times))
            if self._anchor is not None and response.page == self._anchor.page:
                if digest_of(response.rows[: self._anchor.rows]) != self._anchor.digest:
                    raise LogMoved
                self._since, self.first = 0, response.page
                # Of those that came beside it nothing is known but that they are of this state or a later one.
                self._through = self._round - (len(responses) > 1)
                self._anchor = None
        if self._since is None and self._anchor is None and len(responses) == 1 and responses[0].rows:
            self._since, self.first = self._round, responses[0].page

    def has_read(self, page: int) -> bool:
        """Whether a page was read."""
        return page in self._pages

    def page_to_confirm(self, first: int, last: int) -> int | None:
        """The page to read again (`confirm`) before rows of the pages `first` to `last` are handed out; None where they
        are of one state already. Raises LogMoved where no page can prove it."""
        pages = [page for page in range(first, last + 1) if page in self._pages]
        if len(pages) <= 1 or all(map(self._is_sure, pages)):
            return None
        if first == 1 and not any(self._pages[page].rows for page in pages):
            return None  # a log without rows, whatever its total says
        if not self._ascending and self._adjoin(pages):
            return None
        since = self._since
        if since is None or any(page != self.first and self._pages[page].round <= since for page in pages):
            raise LogMoved
        return self.first

    def confirm(self, response: Response[R]) -> None:
        """Take the page named by `page_to_confirm`, read again. Raises LogMoved where it holds other rows."""
        rows = self._pages[response.page].rows
        self._round += 1
        if len(response.rows) < len(rows) or not _same(rows, response.rows):
            raise LogMoved
        self._through = self._round

    def _is_sure(self, page: int) -> bool:
        read = self._pages[page].round
        return page == self.first or (self._since is not None and self._since < read <= self._through)

    def _adjoin(self, pages: Sequence[int]) -> bool:
        """Descending: whether no page repeats rows of one behind it that was read before."""
        top = pages[-1]
        while top + 1 in self._pages:
            top += 1
        return any(self._adjoin_from(behind, pages[0]) for behind in range(top, pages[-1] - 1, -1))

    def _adjoin_from(self, top: int, last: int) -> bool:
        known = self._since if self._is_sure(top) else None
        since = self._pages[top].round if known is None else known
        through = since
        behind: dict[int | None, list[R]] = {}
        for number in range(top, last - 1, -1):
            page = self._pages[number]
            if number < top and (known is None or not self._is_sure(number)):
                if page.round <= since or _repeats(page, self._pages[number + 1], behind):
                    return False
                through = max(through, page.round)
            for time, row in zip(page.times, page.rows, strict=True):
                behind.setdefault(time, []).append(row)
        if known is not None:
            self._through = max(through, self._through)
        elif self._since is None or since <= self._since:
            self._since, self._through, self.first = since, max(through, self._through), top
        return True


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


def _same(rows: Sequence[R], others: Sequence[R]) -> bool:
    return all(row.same_as(other) for row, other in zip(rows, others, strict=False))
