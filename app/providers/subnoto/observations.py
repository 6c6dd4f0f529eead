"""Observations of one Subnoto account from its responses: they make later calls cheaper, never different, and prevent
that an inexact count is returned as exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from app.domain.times import SECOND
from app.privacy.masking import Mask
from app.providers.http.observations import Observations, OptionalCalls
from app.providers.subnoto.client import PAGE_SIZE
from app.providers.subnoto.mapping import TUTORIAL
from app.providers.subnoto.wire import LogPage

_MOST_TYPES = 500  #: remembered by category
_GOOD_FOR = 600 * SECOND  #: duration of the memory of small pages
_FOREVER = 1 << 62
_PAGE_BYTES = 2 * 1024 * 1024  #: of a page with large rows
_FIELD = "the answers to logs/list"


class AccountObservations(Observations):
    """`clock` returns µs since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.optional = OptionalCalls(clock)
        self._short: tuple[int, int] | None = None  # rows of a page that was too short, and its time
        self._page_size: tuple[int, int] | None = None
        self._large: tuple[int, int] | None = None  # rows of a page that fit into memory, and its time
        self._seen: dict[str, set[str]] = {}
        self._mask = Mask(any_number=True)
        self._refused: dict[str, int] = {}  # event types, and until when
        self.has_unreadable = False  #: whether an unreadable record was seen: where one is, others are likely
        self._step_back = 0
        #: Rows of the longest page. The place of a page of more rows in the log is unknown, because the server may
        #: count in smaller pages than requested; one of fewer rows is the last.
        self.longest = 0
        self._lag = 0

    def learn(self, category: str, pages: Iterable[LogPage]) -> None:
        """Record observations from pages of consecutive records."""
        seen = self._seen.setdefault(category, set())
        known = len(seen)
        for page in pages:
            self.longest = max(self.longest, len(page.rows))
            readable = [row for row in page.rows if not row.bad]
            if len(readable) < len(page.rows):
                self.has_unreadable = True
                self.note(f"unreadable_{category}", "seen", "records that cannot be read; counts are estimates")
            newest = 0
            for row in readable:
                if (time := row.time) is None:
                    continue
                if time >= newest:
                    newest = time
                elif newest - time > self._step_back:
                    self._step_back = newest - time
            # A server that always sends new types must not fill the memory.
            new = {row.sent.event_type or "" for row in readable} - seen
            seen.update(islice(new, _MOST_TYPES - len(seen)))
            for name, value in (("total", page.shape), ("author", page.author), ("timestamp", page.unit)):
                if value:
                    self.note(f"{name}_shape", value, _FIELD)
        # The vendor's documents contain no record id.
        self.note("id_quality", "none: event ids are made of the content", "the vendor's documents")
        self.note("largest_step_back_seconds", self._step_back / 1e6, "times of records in order of insertion")
        if len(seen) != known:
            # Shown to callers without `pii:read`, too.
            self.note(f"event_types_seen_{category}", sorted(set(map(self._mask.text, seen))), _FIELD)

    @property
    def page_size(self) -> int | None:
        """Return the real number of rows of a page; None: as requested, or not observed lately."""
        if self._page_size is None or self._clock() - self._page_size[1] > _GOOD_FOR:
            return None
        return self._page_size[0]

    @property
    def rows_at_once(self) -> int:
        """Return the number of rows to request: fewer if pages were large."""
        most = self.page_size or PAGE_SIZE
        if self._large is None or self._clock() - self._large[1] > _GOOD_FOR:
            return most
        return min(most, self._large[0])

    @property
    def page_bytes(self) -> int:
        """Return the approximate bytes of a page."""
        return _PAGE_BYTES if self.rows_at_once < (self.page_size or PAGE_SIZE) else 1

    def too_large(self, rows: int, size: int) -> int:
        """Record a page of `rows` with at least `size` bytes; returns the rows to request."""
        self._large = max(1, rows * _PAGE_BYTES // size), self._clock()
        return self._large[0]

    def note_lag(self, late: int) -> None:
        """Record that a record was at least `late` µs late."""
        if late > self._lag:
            self._lag = late
            self.note("lag_seconds", round(late / 1e6, 1), "records that were not there when the log was read last")

    def shrink_pages(self, rows: int) -> int | None:
        """Record a page of `rows` before others; returns the new `page_size`. It needs two such responses, because one
        may be an error, and pages of a few rows cost many calls."""
        now = self._clock()
        if self._short is not None and self._short[0] == rows and now - self._short[1] <= _GOOD_FOR:
            self._page_size = rows, now
            self.note("page_size", rows, "pages shorter than was asked for, with more behind them")
        self._short = rows, now
        return self.page_size

    def refuse(self, event_types: Iterable[str], *, is_known: bool) -> None:
        """Record that the server refused a call with these types, perhaps only now, unless `is_known`."""
        self._refused.update(dict.fromkeys(event_types, _FOREVER if is_known else self._clock() + _GOOD_FOR))
        refused = sorted(event_type for event_type, until in self._refused.items() if until == _FOREVER)
        if refused:
            self.note("event_types_refused", refused, "an INVALID_REQUEST_FORMAT that named them")

    def takes(self, category: str, event_type: str) -> bool:
        """Whether the server is known to accept this type in `eventTypes`."""
        known = event_type in TUTORIAL.get(category, ()) or event_type in self._seen.get(category, ())
        return known and self._refused.get(event_type, 0) <= self._clock()
