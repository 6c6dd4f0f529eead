"""The one total order of events, and positions in it (contract, section 4).

A **key** is (occurred_at in µs, source name, category, envelope id or '', sequence, place). `sequence` and `place`
come from the provider's adapter: together they are unique among the records that agree in the first four, and they
never change once a record is there, whatever is appended later.

A **position** is any prefix of a key. Python orders a prefix before every key that it begins, so `(t,)` lies before
all keys of the microsecond `t`: ascending, "after (t,)" begins with `t` itself; descending, "before (t,)" ends just
short of `t`. The bounds of a window, the last event of a page and the frontier of a scan are all positions.
"""

from __future__ import annotations

Key = tuple[int, str, str, str, int, int]
Position = tuple[int] | Key


def is_beyond(key: Position, position: Position, ascending: bool) -> bool:
    """Whether `key` is after `position` in the reading direction."""
    return key > position if ascending else key < position


def later_position(one: Position, other: Position, ascending: bool) -> Position:
    """Return the later of two positions in the reading direction."""
    return max(one, other) if ascending else min(one, other)


def first_time(position: Position, ascending: bool) -> int:
    """The first microsecond, in reading direction, that may still hold events beyond `position`.

    A whole key leaves its own microsecond open (ties); a bare `(t,)` read downwards leaves only what is before `t`.
    """
    time: int = position[0]
    return time if ascending or len(position) > 1 else time - 1
