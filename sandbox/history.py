"""A history that grows with a clock: generated steps when they are due, and items inserted by tests."""

import heapq
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from sandbox.instruments import Clock, to_milliseconds
from sandbox.schedule import Schedule

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """`events`: exact number at creation, spread over `days`; `twins`: share of events that occur twice, equal in every
    field; `tie_burst`: number of additional workflows that start in one millisecond, daily at 10:00 UTC."""

    seed: int = 1
    events: int = 4000
    days: float = 60
    twins: float = 0.0
    tie_burst: int = 0


class GrowingHistory(ABC, Generic[Item]):
    """All methods may be called from any thread while the server runs; all times come from the clock.

    `plans`: see Schedule. `lag`: milliseconds between the time of a generated step and its appearance."""

    def __init__(self, options: HistoryOptions, clock: Clock, plans: Sequence[Sequence[int]], lag: int = 0) -> None:
        #: Hold it from the selection of records until they are read, so that none arrives in between.
        self.lock = threading.RLock()
        self._clock, self._lag = clock, lag
        self._announced: list[tuple[int, int, Item]] = []
        self._numbers = count()
        self._schedule = Schedule(
            seed=options.seed,
            now=to_milliseconds(clock()) - lag,
            days=options.days,
            events=options.events,
            plans=plans,
            twins=options.twins,
            burst=options.tie_burst,
        )
        self.catch_up()

    def insert(self, items: Iterable[Item], visible_at: datetime | None = None) -> None:
        """Insert items in this order, now or when the clock reaches `visible_at`."""
        with self.lock:
            due = to_milliseconds(self._clock() if visible_at is None else visible_at)
            for item in items:
                heapq.heappush(self._announced, (due, next(self._numbers), item))
            self.catch_up()

    def catch_up(self) -> None:
        """Add all steps and items that are due."""
        with self.lock:
            now = to_milliseconds(self._clock())
            while self._announced and self._announced[0][0] <= now:
                due, _, item = heapq.heappop(self._announced)
                self._take_steps(self._schedule.due(due - self._lag))
                self._take_item(item)
            self._take_steps(self._schedule.due(now - self._lag))

    @abstractmethod
    def _take_steps(self, due: list[tuple[int, int]]) -> None:
        """Add generated steps: milliseconds and codes from the schedule."""

    @abstractmethod
    def _take_item(self, item: Item) -> None:
        """Add an inserted item."""
