"""Detect a provider whose `Date` stands still: its followers wait behind it indefinitely."""

from __future__ import annotations

from app.domain.times import SECOND

_PATIENCE = 60 * SECOND  #: how long one `Date` may stay the same while our clock runs


class DateHeaders:
    """The last `Date` of each source, and when this process first received it. Times in µs."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def stands_still(self, source: str, date: int, now: int) -> bool:
        """Record a `Date` received at `now`. Return whether it has not moved for longer than a minute."""
        known, since = self._seen.get(source, (date, now))
        if date // SECOND != known // SECOND:
            known, since = date, now
        self._seen[source] = known, since
        return now - since > _PATIENCE
