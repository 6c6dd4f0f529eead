"""Observations of an account from its responses, with time and evidence, for `GET /sources` and `probe`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.times import format_seconds


class Observations:
    """Named facts. `clock` returns µs since the epoch. A fact keeps its time until its value changes."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._facts: dict[str, tuple[Any, str, int]] = {}

    def note(self, name: str, value: Any, how: str) -> None:
        """Record a fact. `how` is a phrase without personal data."""
        held = self._facts.get(name)
        if held is None or held[0] != value:
            self._facts[name] = (value, how, self._clock())

    def note_clock(self, date: int | None) -> None:
        """Record the difference between a provider's `Date`, in µs, and this machine's clock, in whole seconds."""
        if date is not None:
            # Date has no fractions: the middle of its second is the best guess.
            offset = round((date + 500_000 - self._clock()) / 1e6)
            self.note("clock_offset_seconds", offset, "the Date header of its answers, against this machine's clock")

    def describe(self) -> list[dict[str, Any]]:
        """Return `[{"name", "value", "how", "at"}]`, by name."""
        return [
            {"name": name, "value": value, "how": how, "at": format_seconds(at)}
            for name, (value, how, at) in sorted(self._facts.items())
        ]
