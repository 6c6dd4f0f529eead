"""Choose time windows for a provider that selects by date range and whose page order cannot be trusted.

Such a provider is read window by window: all items of one window are fetched and sorted before the next one. A window
should contain about as many items as a page needs: fewer cost calls, more cost transfer. `WindowSizer` estimates the
width, without I/O or clock.

An *item* is the unit that the provider counts and sends; it may contain several events, inside and outside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec

from app.domain.times import SECOND

_EVENTS_PER_ITEM = 2.5  #: a first guess; corrected by the first window
_OVERSHOOT = 1.4  #: a window that is too small costs a whole call, one that is too large only its excess
_LEAST = 8  #: fewest items to aim at
_GROWTH = 8  #: largest growth of a window, because density changes


class Window(msgspec.Struct, frozen=True):
    """[start, end) in µs."""

    start: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.start


class WindowSizer:
    """The width of the next window, estimated from earlier windows.

    `hint` is the result of `hint()` for the previous page."""

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
        """Return the number of items in a window for `events` events; at most `most`."""
        return max(1, min(most, max(_LEAST, ceil(events * _OVERSHOOT / self._events_per_item))))

    def width(self, items: int) -> int:
        """Return the µs for `items` items; whole seconds, at least one."""
        assert self._micros_per_item is not None
        wished = items * self._micros_per_item
        if self._width:
            wished = min(wished, float(self._width * _GROWTH))
        return max(SECOND, int(min(wished, 1e17)) // SECOND * SECOND)

    def counted(self, width: int, items: int) -> None:
        """Record the number of `items` in a window of `width` µs, without their events."""
        if items:
            self._micros_per_item = width / items

    def read(self, width: int, items: int, events: int) -> None:
        """Record a read window of `width` µs with `items` items and `events` events inside it."""
        self._width = max(width, SECOND)
        if items:
            self._micros_per_item = width / items
            # One window is a small sample: use it only partly.
            self._events_per_item = max(0.05, (self._events_per_item + 3 * events / items) / 4)
        elif self._micros_per_item is not None:
            self._micros_per_item *= _GROWTH

    def hint(self) -> list[int] | None:
        """Return the hint for the next page's sizer."""
        if self._micros_per_item is None:
            return None
        return [max(1, int(min(self._micros_per_item, 1e15))), max(1, int(self._events_per_item * 1000))]


def next_window(frontier: int, stop: int, width: int, *, ascending: bool) -> Window:
    """Return the window after the last one, up to `stop`: at most `width` µs, or up to the next whole second if that
    is later.

    Its far edge is a whole second, because ranges have whole seconds and a second in two windows would be fetched
    twice. It is no wider, so that repeated halving reaches a width of one second from any time."""
    if ascending:
        end = max((frontier + width) // SECOND, frontier // SECOND + 1) * SECOND
        return Window(frontier, stop if frontier + width >= stop else min(stop, end))
    start = min(-(-(frontier - width) // SECOND), -(-frontier // SECOND) - 1) * SECOND
    return Window(stop if frontier - width <= stop else max(stop, start), frontier)
