"""What is learnt of one Subnoto account from its own answers: it makes later calls cheaper, never different."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.providers.subnoto.mapping import TUTORIAL
from app.providers.subnoto.wire import LogPage


@dataclass(slots=True)
class Facts:
    """`seen`: event types met, per category; `refused`: types that the server turned down in `eventTypes`;
    `page_size`: rows a page really holds where it is fewer than asked for; `skew`: the largest step back in time seen
    between neighbouring records, in µs."""

    seen: dict[str, set[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    page_size: int | None = None
    total_shape: str | None = None
    skew: int = 0

    def learn(self, category: str, pages: Iterable[LogPage]) -> None:
        seen = self.seen.setdefault(category, set())
        for page in pages:
            self.total_shape = page.shape or self.total_shape
            newest = 0
            for row in page.rows:
                if not row.bad:
                    seen.add(row.body["eventType"])
                    self.skew = max(self.skew, newest - row.time)
                    newest = max(newest, row.time)

    def takes(self, category: str, event_type: str) -> bool:
        """Whether the server is known to take this type in `eventTypes`."""
        known = event_type in TUTORIAL.get(category, ()) or event_type in self.seen.get(category, ())
        return known and event_type not in self.refused

    def describe(self) -> dict[str, Any]:
        return {
            "total_shape": self.total_shape,
            "page_size": self.page_size,
            "largest_step_back_seconds": self.skew / 1e6,
            "event_types_seen": sorted(set().union(*self.seen.values())) if self.seen else [],
            "event_types_refused": sorted(self.refused),
        }
