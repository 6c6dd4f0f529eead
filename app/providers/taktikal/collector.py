"""Convert processes to records, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter, gt, lt

from app.paging.windows import Window
from app.providers.base import Batch, ReadRequest, Record
from app.providers.taktikal.list_reader import UNCOUNTED
from app.providers.taktikal.range_loader import RangeLoader
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import Process

#: A position counts entries of one time without ids, or follows an id: if they change, it is another place.
_CHANGED = (
    "the log of an envelope changed at the time of the last page's last event: events of this time may be left out, or"
    " be there twice"
)
_ENTRIES_AT_ONCE = 256  #: entries that become records before other requests are served: 3 ms


class Collector:
    """Convert processes to the records of a window, in reading order."""

    def __init__(self, source: str, span: ReadRequest, loader: RangeLoader) -> None:
        self._source, self._position, self._loader = source, span.position, loader
        self._ascending = span.query.ascending
        self._is_beyond = gt if self._ascending else lt  # instead of is_beyond, for each record
        self._latest = loader.facts.latest
        self._any_readable = False
        #: The last record of the page before, if it is of this source and not yet found again.
        self._sought = self._position if len(self._position) > 1 and self._position[1] == source else None

    async def records(self, processes: Iterable[Process], window: Window) -> list[Record]:
        """Return the records of the window. Serves other requests in between."""
        is_beyond, position = self._is_beyond, self._position
        sought, found, entries = self._sought, list[Record](), 0
        is_sought = sought is not None and window.start <= sought[0] < window.end
        for process in processes:
            entries += len(process.entries)
            if entries >= _ENTRIES_AT_ONCE:
                entries = 0
                await asyncio.sleep(0)
            records, bad = records_of(self._source, process, window.start, window.end, self._latest)
            if bad:
                self._loader.unreadable |= Counter({f"entries of {process.key}": bad})
            self._any_readable = self._any_readable or bad < len(process.entries)
            if is_sought and sought is not None and process.key == sought[3]:
                is_sought, self._sought = False, None
                if all(one.key != sought for one in records):
                    self._loader.doubts.add(_CHANGED)
            found += [one for one in records if is_beyond(one.key, position)]
        found.sort(key=attrgetter("key"), reverse=not self._ascending)
        return found

    def batch(
        self, records: list[Record], complete_until: int, ended: bool, reason: str | None = None, assumes: bool = False
    ) -> Batch:
        """Return a batch with the unreadable items and entries so far, and reasons why it may lack events."""
        reason = "; ".join(filter(None, (reason, *sorted(self._loader.doubts)))) or None
        unproven, assumes = self._loader.doubts - {UNCOUNTED} != set(), assumes or UNCOUNTED in self._loader.doubts
        return Batch(
            records, complete_until, ended, self._loader.unreadable, reason, self._any_readable, unproven, assumes
        )
