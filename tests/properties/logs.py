"""Strategies for logs with positions but no dates, and walks over them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from app.paging.position_reader import LogMoved, OddPages, PositionReader, Response


@dataclass
class Row:
    time: int | None
    number: int = -1  #: in order of insertion, from the beginning of the log; used by tests only
    bad: bool = False

    def __hash__(self) -> int:
        return hash((self.time, self.number))

    def same_as(self, other: Any) -> bool:
        return bool(self.number == other.number)

    def content(self) -> int:
        return self.number


@dataclass
class Log:
    """A log to which rows are appended and from which the oldest are deleted. A row is older than an earlier one by at
    most `skew`."""

    skew: int
    page_size: int
    rows: list[Row] = field(default_factory=list)
    peak: int = 0
    count: int = 0

    def append(self, steps: list[tuple[int, int]]) -> None:
        """Append a row for each (increase of the newest time, how far the row is behind it)."""
        for step, behind in steps:
            self.peak += step
            self.rows.append(Row(self.peak - min(behind, self.skew), self.count))
            self.count += 1

    def delete_oldest(self, number: int) -> None:
        del self.rows[:number]

    def page(self, page: int) -> Response[Row]:
        begin = (page - 1) * self.page_size
        return Response(page, self.rows[begin : begin + self.page_size], len(self.rows))


STEP = st.sampled_from([0, 0, 0, 1, 1, 2, 7, 40, 1000])
BEHIND = st.sampled_from([0, 0, 0, 1, 3, 50, 10_000])
STEPS = st.lists(st.tuples(STEP, BEHIND), max_size=60)
BURST = st.integers(2, 130).map(lambda size: [(5, 0)] + [(0, 0)] * size)
HISTORY = st.lists(st.one_of(STEPS, BURST), max_size=4).map(lambda parts: [step for part in parts for step in part])


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log = Log(skew=draw(st.sampled_from([0, 0, 1, 3, 50, 200])), page_size=draw(st.sampled_from([1, 2, 5, 50])))
    log.append(draw(HISTORY))
    return log


@dataclass
class Reading:
    """A walk over a log, page by page, resumed from keys and hints as a cursor does. `calls` counts fetched pages."""

    log: Log
    ascending: bool
    since: int
    until: int
    now: int = 0
    calls: int = 0
    pages: list[list[Row]] = field(default_factory=list)
    during: Callable[[], None] = lambda: None  #: called before each response is made
    restarts: int = 5

    def walk(
        self,
        rng: random.Random,
        *,
        limits: tuple[int, ...] = (1, 2, 3, 10, 60),
        hints: Callable[[list[int] | None], list[int] | None] = lambda hint: hint,
        between: Callable[[], None] = lambda: None,
        marks: Callable[[], Sequence[tuple[int, int]]] = lambda: (),
    ) -> list[Row]:
        """Return all rows of [since, until) in reading order."""
        position: tuple[int, int] | None = None
        hint: list[int] | None = None
        for _ in range(2000):
            page, more, hint_at = self.page(position, hints(hint), rng.choice(limits), rng, marks())
            self.pages.append(page)
            if not more:
                return [row for each in self.pages for row in each]
            position = (page[-1].time, page[-1].number)
            hint = hint_at(page[-1].time)
            between()
        raise AssertionError("the walk does not end")

    def page(
        self,
        position: tuple[int, int] | None,
        hint: list[int] | None,
        limit: int,
        rng: random.Random,
        marks: Sequence[tuple[int, int]] = (),
    ) -> tuple[list[Row], bool, Callable[[int], list[int] | None]]:
        """Return one page beyond `position`, whether more rows follow, and the function for the next page's hint."""
        found: list[Row] = []
        start = position[0] if position else self.since if self.ascending else self.until - 1
        walk = self._new(start, hint, marks)
        restarts = 0
        while True:
            try:
                self._fill(walk, limit + 1 - len(found), rng)
            except (LogMoved, OddPages) as moved:
                restarts += 1
                assert restarts < self.restarts
                start = walk.complete_until if self.ascending else walk.complete_until - 1
                near = walk.hint_at(start) if isinstance(moved, LogMoved) else None
                walk = self._new(start, near and near[:2])
                continue
            taken = walk.take()
            assert taken.ended or self.since <= taken.complete_until <= self.until
            rows = sorted((row for _, row in taken.rows), key=lambda row: (row.time, row.number))
            for row in rows if self.ascending else reversed(rows):
                key = (row.time, row.number)
                if position is None or (key > position if self.ascending else key < position):
                    found.append(row)
            if len(found) > limit or taken.ended:
                return found[:limit], len(found) > limit, walk.hint_at

    def _new(self, start: int, hint: list[int] | None, marks: Sequence[tuple[int, int]] = ()) -> PositionReader[Row]:
        return PositionReader(
            ascending=self.ascending,
            start=start,
            stop=self.until if self.ascending else self.since,
            skew=self.log.skew,
            page_size=self.log.page_size,
            now=self.now,
            hint=hint,
            marks=marks,
        )

    def _fill(self, walk: PositionReader[Row], count: int, rng: random.Random) -> None:
        for _ in range(3000):
            if wanted := walk.wanted(max(1, count), rng.choice((1, 3, 16))):
                assert len(set(wanted)) == len(wanted)
                assert min(wanted) >= 1
                walk.add(self._round(wanted, rng))
            elif (again := walk.unconfirmed()) is not None:
                walk.steadiness.confirm(self._round([again], rng)[0])
            else:
                return
        raise AssertionError("the page does not end")

    def _round(self, pages: list[int], rng: random.Random) -> list[Response[Row]]:
        """Return responses that are made sequentially, in random order, while the log changes."""
        made: dict[int, Response[Row]] = {}
        for page in rng.sample(pages, len(pages)):
            self.calls += 1
            self.during()
            made[page] = self.log.page(page)
        return [made[page] for page in pages]

    def truth(self, rows: list[Row]) -> list[Row]:
        inside = [row for row in rows if self.since <= row.time < self.until]
        return sorted(inside, key=lambda row: (row.time, row.number), reverse=not self.ascending)
