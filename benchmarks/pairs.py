"""Paired measurements: contenders take turns (A B C, A B C, ...), and each round gives a ratio.

A machine that is busy with something else slows all contenders of a round alike, so the ratio of neighbours holds
where times do not. What is reported is the median of the rounds' ratios, with the smallest and the largest.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spread:
    """A median with the least and the largest of what it is the median of."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """Such as `1.31 (1.28..1.36)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}..{self.most:,.{digits}f})"


@dataclass
class Rounds:
    """What each contender measured, round by round: seconds, a rate, bytes."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def spread(self, name: str) -> Spread:
        return Spread.of(self.values[name])

    def ratio(self, name: str, base: str) -> Spread:
        """`name` divided by `base`, within each round."""
        pairs = zip(self.values[name], self.values[base], strict=True)
        return Spread.of([one / other for one, other in pairs])


def paired(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """Every contender once in each round."""
    found = Rounds()
    for name in turns(list(contenders), rounds):
        found.add(name, contenders[name]())
    return found


def turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Every name once in each round, each round beginning with another one."""
    for number in range(rounds):
        first = number % len(names)
        yield from (*names[first:], *names[:first])


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A contender that is measured by the processor's seconds that `work` takes in this process: what else the machine
    does meanwhile is not counted."""

    def measure() -> float:
        with collector_at_rest():
            begun = time.process_time()
            kept = work()
            taken = time.process_time() - begun
            del kept
        return taken

    return measure


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Without the cyclic collector, which would charge one contender for another's garbage."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True)
class Target:
    """A target beside what was measured. `at_least`: more is better."""

    what: str
    bound: float
    measured: Spread
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured.median >= self.bound if self.at_least else self.measured.median <= self.bound

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        verdict = "met" if self.met else "**missed**"
        return [self.what, f"{sign} {self.bound:g}", self.measured.text(), verdict]


@dataclass
class Report:
    """What one benchmark found: tables, and the figures that have a target."""

    title: str
    figures: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.figures += [*table(header, rows), ""]

    def text(self) -> str:
        return "\n".join([f"### {self.title}", "", *self.figures]).strip() + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> list[str]:
    """A Markdown table; all columns but the first `left` stand to the right."""
    rule = "|" + "---|" * left + "---:|" * (len(header) - left)
    return [f"| {' | '.join(map(str, cells))} |" for cells in [header]] + [
        rule,
        *(f"| {' | '.join(map(str, cells))} |" for cells in rows),
    ]
