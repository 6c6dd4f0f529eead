"""Chooses time windows for a provider that selects by date range and whose page order cannot be trusted.

Such a provider is read window after window: everything in one window is fetched, put in order, and only then is the
next one opened. A window should hold about as many items as a page needs: too few cost calls, too many cost loading.
`WindowSizer` keeps the estimate; it does no I/O and knows no clock.

An *item* is what the provider counts and sends (it may bear several events, in and outside the window).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec

from app.domain.times import SECOND

_EVENTS_PER_ITEM = 2.5  #: a first guess; corrected by the first window
_OVERSHOOT = 1.4  #: a window a little too small costs a whole call more, one too large only its excess
_LEAST = 8  #: items aimed at, at the least
_GROWTH = 8  #: the most by which a window grows at once: density changes


class Window(msgspec.Struct, frozen=True):
    """[start, end) in µs."""

    start: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.start


class WindowSizer:
    """The width of the next window, from what the windows before it held.

    `hint` is what `hint()` gave for the page before."""

    def __init__(self, hint: Sequence[int] | None = None) -> None:
        self._micros_per_item: float | None = None
        self._events_per_item = _EVENTS_PER_ITEM
        self._width = 0
        if hint and len(hint) == 2 and hint[0] > 0 and hint[1] > 0:
            self._micros_per_item = float(hint[0])
            self._events_per_item = max(0.05, hint[1] / 1000)

    @property
    def knows_density(self) -> bool:
        return self._micros_per_item is not None

    def target(self, events: int, most: int) -> int:
        """How many items a window for `events` events should hold; at most `most`."""
        return max(1, min(most, max(_LEAST, ceil(events * _OVERSHOOT / self._events_per_item))))

    def width(self, items: int) -> int:
        """µs that should hold `items` items; whole seconds, at least one."""
        assert self._micros_per_item is not None
        wished = items * self._micros_per_item
        if self._width:
            wished = min(wished, float(self._width * _GROWTH))
        return max(SECOND, int(min(wished, 1e17)) // SECOND * SECOND)

    def counted(self, width: int, items: int) -> None:
        """`items` lie in a window of `width` µs; nothing is known of their events."""
        if items:
            self._micros_per_item = width / items

    def read(self, width: int, items: int, events: int) -> None:
        """A window of `width` µs was read: it held `items` items, which bore `events` events inside it."""
        self._width = max(width, SECOND)
        if items:
            self._micros_per_item = width / items
            # One window is a small sample: do not believe all of it.
            self._events_per_item = max(0.05, (self._events_per_item + 3 * events / items) / 4)
        elif self._micros_per_item is not None:
            self._micros_per_item *= _GROWTH

    def hint(self) -> list[int] | None:
        """For the sizer of the next page."""
        if self._micros_per_item is None:
            return None
        return [max(1, int(min(self._micros_per_item, 1e15))), max(1, int(self._events_per_item * 1000))]


def next_window(frontier: int, stop: int, width: int, *, ascending: bool) -> Window:
    """The window of at most `width` µs, but at most a second where that is less, that begins where the last one ended,
    cut at `stop`.

    Its far edge lies on a whole second, for ranges are asked for in whole seconds: a second split over two windows
    would be fetched twice. It is no wider than that, or whoever halves windows until they are a second wide would not
    get there from the middle of one."""
    if ascending:
        end = max((frontier + width) // SECOND, frontier // SECOND + 1) * SECOND
        return Window(frontier, stop if frontier + width >= stop else min(stop, end))
    start = min(-(-(frontier - width) // SECOND), -(-frontier // SECOND) - 1) * SECOND
    return Window(stop if frontier - width <= stop else max(stop, start), frontier)
