"""What is learnt of one Taktikal account from its own answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.domain.times import SECOND

Selection = Literal["activity", "creation"]

_AGAIN = 600 * SECOND


@dataclass(slots=True)
class Facts:
    """`selects`: what a date range selects; `whole`: whether a returned process holds its whole log. None: not known,
    so the way that is right in either case is taken.

    `honoured`: the longest answer seen, so a server that cuts answers off cuts at no less; `cap`: where it was seen to
    cut. `evidence` says how `selects` and `whole` became known, `looked_at` (µs) when that was last looked into, in a
    range `looked_into` µs wide.
    """

    selects: Selection | None = None
    whole: bool | None = None
    honoured: int = 0
    cap: int | None = None
    evidence: str = "not looked into yet"
    looked_at: int | None = None
    looked_into: int = 0

    def wants_looking(self, now: int, width: int) -> bool:
        """Whether to look for evidence: never found, and not looked for lately in a range as wide."""
        if self.selects is not None:
            return False
        return self.looked_at is None or width > self.looked_into or now - self.looked_at > _AGAIN

    @property
    def splittable(self) -> bool:
        """Whether a range may be read in parts. A log that comes trimmed to the range asked for, of a process that is
        selected by its creation alone, is whole only if one range holds both its creation and its entries."""
        return self.selects == "activity" or self.whole is True

    def describe(self) -> dict[str, Any]:
        return {
            "range_selects": self.selects or "unknown",
            "logs": {True: "whole", False: "trimmed", None: "unknown"}[self.whole],
            "evidence": self.evidence,
            "longest_answer": self.honoured,
            "take_cap": self.cap,
        }
