"""Find the row at which to begin reading a log with positions but without dates, with O(log n) pages.

Two bounds enclose the place: a row known to be before it, and the first known one after that which is not. The next
page is a guess by interpolation, corrected if guesses creep, and the middle if guesses gain too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, log2
from typing import Generic

from app.paging.position_log import PositionLog, between
from app.paging.rows import NEVER, R


class Search(Generic[R]):
    """The search for a row to read on from: all rows before it are earlier than `edge`, and few after it are. `edge`
    and `now` are mirrored times (see `PositionLog`); `now` guides the first guess and need not be right. Nor need
    `marks` be, (x, v) of rows as they were read some other time.

    Use: fetch `first`; then, while `begin` gives None, the page of `probe`; after each, add them to `log`, then
    `narrow`.

    Guarantee, on any history: until the first row wanted is certain, a walk without a hint asks for at most
    2·log2(pages of the log) + 6 pages besides those with rows from one skew before `edge` to one skew after that row,
    which have to be read anyway; one more where `marks` lead beyond the end. None is asked for twice.
    """

    def __init__(self, log: PositionLog[R], *, edge: int, now: int, marks: Sequence[tuple[int, int]] = ()) -> None:
        self._log, self._edge, self._now, self._marks = log, edge, now, marks
        self._low = self._high = 0  # the last row known to lie behind, the first one after that known not to
        self.proven: int | None = None  #: a row of which another walk has read enough before it
        self._probes = 0
        self._same_side = 0  # how many guesses in a row moved only the low (+) or only the high (-) bound

    def first(self) -> int:
        """Return the first page to read, without any knowledge of the log; any page shows its length."""
        behind = max((mark for mark in self._marks if mark[1] < self._edge), default=None)
        ahead = min((mark for mark in self._marks if mark[1] >= self._edge), default=None)
        if behind is None or ahead is None or behind[0] >= ahead[0]:
            return 1
        return self._log.page_at(max(behind[0] + 1, between(behind, ahead, self._edge) - self._log.size // 2))

    def narrow(self, cost: int = 1) -> None:
        """Move the bounds by all added pages, which cost as much as `cost` guesses."""
        log, low, high = self._log, self._low, self._high
        timed = log.timed()
        below = (x for x, v in reversed(timed) if v < self._edge and (x == self.proven or log.is_supported(x)))
        self._low = next(below, log.first - 1)
        self._high = next((x for x, v in timed if v >= self._edge and x > self._low), log.end)
        side = (self._low != low) - (self._high != high)
        self._same_side = self._same_side + side if side * self._same_side > 0 else side
        self._probes += cost

    def begin(self) -> int | None:
        """Return the x to read on from, or None if not known precisely enough. All rows before it are too early."""
        first, last = self._low + 1, self._high - 1
        unread = {self._log.page_at(x) for x in self._unread(first, last, 2)}
        if len(unread) <= 1:
            return first
        # A guess may cost two useless pages, so such guesses have to pay as well.
        return (
            first if self._probes + 2 <= self._allowed() and 0 <= self.guess() - self._low <= self._log.size else None
        )

    def _unread(self, first: int, last: int, most: int) -> Iterator[int]:
        """Yield the first unread row from `first` to `last`, and the first of each later page, at most `most`."""
        x = first
        while x <= last and most > 0:
            if self._log.knows(x):
                x += 1
                continue
            yield x
            most -= 1
            x = self._log.page_edge(self._log.page_at(x))

    def probe(self) -> int:
        """Return the row to read next, strictly between the bounds."""
        low, high, size, guess = self._low, self._high, self._log.size, self.guess()
        if guess < low or self._probes > self._allowed():
            guess = (low + high) // 2
        elif self._same_side > 1:
            # Guesses that keep falling on one side creep, because the density changes near the place: step over it,
            # further each time, so that the other bound comes close as well.
            guess += (guess - low + size) * (self._same_side - 1)
        elif self._same_side < -1:
            guess += (high - guess + size) * (self._same_side + 1)
        else:
            # A little behind: the rows from there on have to be read anyway.
            guess -= size // 2
        return self.between(guess)

    def between(self, x: int) -> int:
        """Return `x`, or an unread row near it that is strictly between the bounds, without uninformative pages."""
        x = min(self._high - 1, max(self._low + 1, x))
        if not self._log.knows(x):
            return x
        ahead = next(self._unread(x, self._high - 1, 1), None)
        if ahead is not None and ahead - x <= self._log.size:
            return ahead
        while x > self._low and self._log.knows(x):
            x -= 1
        return x if x > self._low else self._low + 1 if ahead is None else ahead

    def reach(self) -> float:
        """Return the rows between the guess and the nearest row read; infinite if unknown."""
        guess = self.guess()
        known = [x for x in (self._low, self._high) if self._log.value_at(x) is not None]
        return min((abs(guess - x) for x in known), default=inf) if guess >= self._low else inf

    def guess(self) -> int:
        """Return the place by interpolation between known rows; before the low bound if unknown."""
        behind, ahead = self._bracket()
        if NEVER in (behind[1], ahead[1]) or ahead[1] <= behind[1]:
            return self._low - 1
        return between(behind, ahead, self._edge)

    def _bracket(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (x, v) of the bounds, or of marks between them."""
        low, high, ascending = self._low, self._high, self._log.sign > 0
        low_v, high_v = self._log.value_at(low), self._log.value_at(high)
        behind = low, low_v if low_v is not None else NEVER if ascending else self._now
        ahead = high, high_v if high_v is not None else self._now if ascending else NEVER
        between = [mark for mark in self._marks if low < mark[0] < high]
        behind = max((mark for mark in between if mark[1] < self._edge), default=behind)
        ahead = min((mark for mark in between if mark[1] >= self._edge and mark[0] > behind[0]), default=ahead)
        return behind, ahead

    def _allowed(self) -> float:
        """How many probes may have been made by now. Guesses have to pay: over all of them the stretch must shrink by
        half for every two, or it is cut in the middle until it has. That bounds the search by twice a binary one, on
        any history."""
        return 2 * log2((self._log.end - self._log.first + 2) / (self._high - self._low)) + 3
