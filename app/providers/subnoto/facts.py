"""What is learnt of one Subnoto account from its own answers: it makes later calls cheaper, never different."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from app.providers.learnt import Learnt
from app.providers.subnoto.mapping import TUTORIAL
from app.providers.subnoto.wire import LogPage

_MOST_TYPES = 500  #: remembered of one category
_FIELD = "the answers to logs/list"


class Facts:
    """`page_size`: rows a page really holds, None: as many as asked for. `clock` gives µs since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.page_size: int | None = None
        self.learnt = Learnt(clock)
        self._seen: dict[str, set[str]] = {}
        self._refused: set[str] = set()
        self._step_back = 0

    def learn(self, category: str, pages: Iterable[LogPage]) -> None:
        """Takes note of what pages of consecutive records show."""
        seen = self._seen.setdefault(category, set())
        known = len(seen)
        for page in pages:
            readable = [row for row in page.rows if not row.bad]
            newest = 0
            for row in readable:
                if row.time >= newest:
                    newest = row.time
                elif newest - row.time > self._step_back:
                    self._step_back = newest - row.time
            # Whoever sends ever new types shall not fill our memory.
            new = {row.sent.event_type or "" for row in readable} - seen
            seen.update(islice(new, _MOST_TYPES - len(seen)))
            for name, value in (("total", page.shape), ("author", page.author), ("timestamp", page.unit)):
                if value:
                    self.learnt.note(f"{name}_shape", value, _FIELD)
        self.learnt.note("largest_step_back_seconds", self._step_back / 1e6, "times of records in order of insertion")
        if len(seen) != known:
            self.learnt.note(f"event_types_seen_{category}", sorted(seen), _FIELD)

    def shrink_pages(self, rows: int) -> None:
        """A page held only so many rows although more follow."""
        self.page_size = rows
        self.learnt.note("page_size", rows, "a page shorter than was asked for, with more behind it")

    def refuse(self, event_types: Iterable[str]) -> None:
        """The server turned a call with these types down."""
        self._refused.update(event_types)
        self.learnt.note("event_types_refused", sorted(self._refused), "an INVALID_REQUEST_FORMAT that named them")

    def takes(self, category: str, event_type: str) -> bool:
        """Whether the server is known to take this type in `eventTypes`."""
        known = event_type in TUTORIAL.get(category, ()) or event_type in self._seen.get(category, ())
        return known and event_type not in self._refused

    def describe(self) -> list[dict[str, Any]]:
        return self.learnt.describe()
