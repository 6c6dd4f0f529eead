"""What is learnt of one Taktikal account from its own answers: it makes later calls cheaper, never different."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from app.domain.times import SECOND
from app.providers.learnt import Learnt

Selection = Literal["activity", "creation"]

_AGAIN = 600 * SECOND


class Facts:
    """`selects`: what a date range selects; `whole`: whether a returned process holds its whole log. None: not known,
    so the way that is right in either case is taken.

    `honoured`: the longest answer seen, so a server that cuts answers off cuts at no less; `cap`: where it was seen to
    cut, or half of what it refused to give. `clock` gives µs since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.selects: Selection | None = None
        self.whole: bool | None = None
        self.honoured = 0
        self.cap: int | None = None
        self.learnt = Learnt(clock)
        self._looked_at: int | None = None
        self._looked_into = 0
        self._clock = clock

    @property
    def splittable(self) -> bool:
        """Whether a range may be read in parts. A log that comes trimmed to the range asked for, of a process that is
        selected by its creation alone, is whole only if one range holds both its creation and its entries."""
        return self.selects == "activity" or self.whole is True

    def wants_looking(self, width: int) -> bool:
        """Whether to look for what ranges select: never found, and not looked for lately in a range of `width` µs."""
        if self.selects is not None:
            return False
        return self._looked_at is None or width > self._looked_into or self._clock() - self._looked_at > _AGAIN

    def found(self, selects: Selection | None, whole: bool | None, width: int, how: str) -> None:
        """What was found in a range of `width` µs; None where the evidence says nothing."""
        self._looked_at, self._looked_into = self._clock(), width
        self.selects = selects
        if whole is not None:
            self.whole = whole
        self.learnt.note("range_selects", selects or "unknown", how)
        self.learnt.note("logs", {True: "whole", False: "trimmed", None: "unknown"}[self.whole], how)

    def set(self, selects: Selection | None, whole: bool | None) -> None:
        """What the operator's settings say."""
        if selects is not None:
            self.selects = selects
            self.learnt.note("range_selects", selects, "set by the operator")
        if whole is not None:
            self.whole = whole
            self.learnt.note("logs", "whole" if whole else "trimmed", "set by the operator")

    def answered(self, length: int) -> None:
        """An answer of so many processes came."""
        if length > self.honoured:
            self.honoured = length
            self.learnt.note("longest_answer", length, "the processes in one answer")

    def cut(self, length: int) -> None:
        """An answer was cut off at so many processes, fewer than were asked for."""
        self.cap = length if self.cap is None else min(self.cap, length)
        self.learnt.note("take_cap", self.cap, "an answer shorter than both Take and the total of the same range")

    def refuse(self, take: int) -> None:
        """More than one were asked for, and that was refused for being too many."""
        self.cap = take // 2 if self.cap is None else min(self.cap, take // 2)
        self.learnt.note("take_cap", self.cap, f"half of {take}, which was refused as too large a Take")

    def at_most(self, take: int) -> int:
        """As many, or as the provider is known to give at a time."""
        return take if self.cap is None else min(take, self.cap)

    def describe(self) -> list[dict[str, Any]]:
        return self.learnt.describe()
