"""Paired measurements: the contenders alternate (A B C, B C A, …), and each round gives a ratio.

Other load of the machine slows all contenders of a round alike, so that a ratio holds where times do not. A figure is
the median of the rounds' ratios, with the smallest and the largest.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, *values: float) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        """Such as `1.31 (1.28..1.36)`."""
        return f"{self.median:,.2f} ({self.least:,.2f}..{self.most:,.2f})"


@dataclass
class Rounds:
    """The measurements of each contender, round by round: seconds, a rate, bytes."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def spread(self, name: str) -> Spread:
        return Spread.of(*self.values[name])

    def ratio(self, name: str, base: str) -> Spread:
        """`name` divided by `base`, within each round."""
        return Spread.of(*(a / b for a, b in zip(self.values[name], self.values[base], strict=True)))


def paired(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """Run every contender once per round; each round begins with another one."""
    found, names = Rounds({name: [] for name in contenders}), list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            found.values[name].append(contenders[name]())
    return found


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of `work` in this process, without the cyclic collector, which would charge one contender for
    another's garbage."""
    gc.collect()
    gc.disable()
    try:
        begun = time.process_time()
        result = work()
        seconds = time.process_time() - begun
        del result
        return seconds
    finally:
        gc.enable()


@dataclass
class Report:
    """The tables of one benchmark, and its rows in the tables of targets and floors."""

    title: str
    figures: list[str] = field(default_factory=list)
    targets: list[list[str]] = field(default_factory=list)
    floors: list[list[str]] = field(default_factory=list)

    def at_most(self, what: str, bound: float, measured: Spread) -> None:
        self._target(what, f"≤ {bound:g}", measured, measured.median <= bound)

    def at_least(self, what: str, bound: float, measured: Spread) -> None:
        self._target(what, f"≥ {bound:g}", measured, measured.median >= bound)

    def floor(self, what: str, least: Spread, without: Spread, gateway: Spread) -> None:
        """Add the figures of the least work (benchmarks/floor.py) and without promises (benchmarks/without.py)."""
        self.floors.append([what, str(least), str(without), str(gateway)])

    def _target(self, what: str, bound: str, measured: Spread, is_met: bool) -> None:
        self.targets.append([what, bound, str(measured), "met" if is_met else "**missed**"])

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.figures += [*table(header, rows), ""]

    def __str__(self) -> str:
        return "\n".join([f"### {self.title}", "", *self.figures]).strip() + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (header, *rows)]
    return [lines[0], "|---|" + "---:|" * (len(header) - 1), *lines[1:]]


def write(page: Path, section: str, parts: list[str]) -> None:
    """Replace the text between the two marks of a section."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, rest = page.read_text().split(begin)
    page.write_text("\n\n".join([before + begin, *(part.strip() for part in parts), end + rest.split(end)[1]]))
