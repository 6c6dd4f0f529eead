"""Observations of one Taktikal account from its responses, which make later calls cheaper, never different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import UNSET

from app.domain.times import DAY, SECOND
from app.providers.http.observations import OptionalCalls
from app.providers.taktikal.client import DateRange
from app.providers.taktikal.models import contents_of
from app.providers.taktikal.record import ticks_of
from app.providers.taktikal.response_limits import AGAIN, ResponseLimits
from app.providers.taktikal.wire import ActivityPage, Process

#: What a date range selects: processes with any entry in it, created in it, or whose newest entry is in it.
Selection = Literal["activity", "creation", "last_update"]

CALIBRATION = "calibration"  #: a kind of optional calls

_SAMPLES = 100  #: responses
_SAMPLE = 4  #: sampled processes at either end of a response, and entries at the end of each
_LONGEST = 3660 * DAY  #: a longer life of a process is a wrong time
_YOUNG = 120 * SECOND  #: entries up to this age are remembered, to detect late ones


class AccountObservations(ResponseLimits):
    """`selects`: what a date range selects; `whole`: whether a returned process contains its whole log. None: unknown,
    so a method that is right in either case is used.

    `totals_contradicted`: `/total` has differed from its list. `longest_skip`: the longest `Skip` after which a process
    was returned. `clock` returns µs since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.optional = OptionalCalls(clock)
        self.selects: Selection | None = None
        self.whole: bool | None = None
        self.longest_skip = 0
        self.totals_contradicted = False
        self.total_excess: int | None = None  # by which totals are too high
        self.totals_are_wrong = False  # and by other numbers for other ranges
        self.known: str | None = None  # the key of a process, preferably with several entries
        self.longest_life = 0  # µs between two entries of a process
        self.ever: DateRange | None = None  #: the longest range that the server accepts
        self.looking = asyncio.Lock()  #: one request at a time determines the above
        self._recent: dict[str, tuple[int, int]] = {}  # values by name, and their times
        self.density: list[int] | None = None  #: a sizer's hint from the last first page without filters
        #: By order, distances in µs of such a page's records from its beginning.
        self.reach: dict[bool, list[int]] = {}
        self._given: set[str] = set()
        self._sampled = 0
        self._time_digits = -1
        self._has_ids = False
        self._ids_repeat = False
        self._lag = 0
        #: The last response up to the present: its Date, the start of its completeness, and its young entries.
        self._present: tuple[int, int, set[tuple[str, int]]] | None = None

    @property
    def latest(self) -> int:
        """Return the latest valid time of a record, in µs: a day from now."""
        return self._clock() + DAY

    def is_past(self, end: int) -> bool:
        """Whether a range ends so long ago that no process is added to it."""
        return end < self._clock() - _YOUNG

    def remember(self, name: str, value: int) -> None:
        """Record a number, such as that of the account's processes, for a short time."""
        self._recent[name] = value, self._clock()

    def recall(self, name: str) -> int | None:
        """Return the number a short time ago: a hint."""
        value, time = self._recent.get(name, (None, 0))
        return None if self._clock() - time > AGAIN else value

    @property
    def splittable(self) -> bool:
        """Whether a range may be read in parts. If logs are trimmed and ranges select by creation, a log is complete
        only in a range with both the creation and the entries."""
        return self.selects == "activity" or self.whole is True

    def lived(self, processes: Iterable[Process]) -> None:
        """Record the longest time between two entries of a process, wherever in its log one has a wrong time."""
        for process in processes:
            # Texts of one form have the order of their times; other logs are in order.
            texts = [entry.created_at for entry in process.entries if entry.created_at]
            ends = map(ticks_of, {texts[0], texts[-1], min(texts), max(texts)} if texts else ())
            times = [ticks // 10 for ticks in ends if ticks]
            life = max(times, default=0) - min(times, default=0)
            self.longest_life = max(self.longest_life, life if life <= _LONGEST else 0)

    def wants_looking(self, width: int) -> bool:
        """Whether to determine what ranges select and, if it matters, whether logs are whole: unknown, and not
        attempted lately in a range of `width` µs."""
        is_known = self.selects == "activity" or None not in (self.selects, self.whole)
        if is_known or self.optional.failure(CALIBRATION) is not None:
            return False
        return width > (self.recall("looked into") or 0)

    def found(self, selects: Selection | None, whole: bool | None, width: int, how: str) -> None:
        """Record the result for a range of `width` µs; None if inconclusive. It never replaces the operator's
        settings."""
        self.remember("looked into", width)
        if "range_selects" not in self._given:
            self.selects = selects
            self.note("range_selects", selects or "unknown", how)
        if "logs" not in self._given:
            self.whole = self.whole if whole is None else whole
            self.note("logs", {True: "whole", False: "trimmed", None: "unknown"}[self.whole], how)

    def set(self, selects: Selection | None, whole: bool | None) -> None:
        """Record the operator's settings; None for automatic detection."""
        if selects is not None:
            self.selects = selects
            self._given.add("range_selects")
            self.note("range_selects", selects, "set by the operator")
        if whole is not None:
            self.whole = whole
            self._given.add("logs")
            self.note("logs", "whole" if whole else "trimmed", "set by the operator")

    def contradicted(self, total: int, length: int) -> None:
        """Record that a total differed from a list with a proven end."""
        self.totals_contradicted = True
        how = "a list was shown to end at a length that is not the total of the same range"
        self.note("total_off_by", total - length, how)

    def sample(self, page: ActivityPage) -> None:
        """Record the key of a process, its parts, the precision of times and the quality of ids."""
        self.longest = max(self.longest, page.items)
        self.splits = self.splits or page.split is not None
        if page.processes:
            self.known = max(page.processes[:_SAMPLE], key=lambda process: len(process.entries)).key
        if self._sampled >= _SAMPLES or (self._ids_repeat and self._time_digits == 7):
            return  # all is known
        self._sampled += 1
        owners: dict[str, str] = {}
        for process in (*page.processes[:_SAMPLE], *page.processes[-_SAMPLE:]):
            for entry in process.entries[-_SAMPLE:]:
                ticks = ticks_of(entry.created_at)
                if ticks is not None:
                    digits = len(f"{ticks % (10 * SECOND):07}".rstrip("0"))
                    self._time_digits = max(self._time_digits, digits)
                if entry.id is not UNSET and entry.id is not None:
                    self._has_ids = True
                    self._ids_repeat |= owners.setdefault(str(entry.id), process.key) != process.key
        if self._time_digits >= 0:
            self.note("time_digits", self._time_digits, "createdAt, without zeros at its end")
            quality = "unique" if self._has_ids else "none: event ids are made of the content"
            quality = "unique in its envelope only" if self._ids_repeat else quality
            self.note("id_quality", quality, "the ids of entries in one answer")

    def reached(self, page: ActivityPage, start: int, end: int) -> None:
        """Record late entries, if a response with all processes of a range in µs reaches the present, and so contains
        all entries since `start`."""
        if page.date is None or end < page.date or self.selects != "activity":
            return
        since = max(start, page.date - _YOUNG)
        young: set[tuple[str, int]] = set()
        for process in page.processes:
            for entry in reversed(process.entries):
                ticks = ticks_of(entry.created_at)
                if ticks is None or ticks // 10 < since:
                    break  # logs are in order
                young.add((process.key, ticks // 10))
        if self._present is not None:
            date, complete_since, known = self._present
            late = max((date - time for _, time in young - known if complete_since <= time < date), default=0)
            if late > self._lag:
                self._lag = late
                how = "entries that were not there when the present was read last"
                self.note("lag_seconds", round(late / 1e6, 1), how)
        self._present = page.date, since, young


def selected_ticks(process: Process, selects: Selection | None) -> list[int]:
    """Return the times by which ranges select a process; all of its entries if it is unknown what they select."""
    ticks = [one for entry in process.entries if (one := ticks_of(entry.created_at)) is not None]
    if selects == "creation":
        return [min(ticks)] if ticks else []
    return [max(ticks)] if ticks and selects == "last_update" else ticks


def keys_of(page: ActivityPage) -> set[str]:
    return {process.key for process in page.processes}


def adds_to(known: Iterable[Process], later: ActivityPage) -> bool:
    """Whether a later response contains processes or entries that the known processes do not."""
    logs = {one.key: one.entries for one in known}
    return any(one.key not in logs or contents_of(one.entries) - contents_of(logs[one.key]) for one in later.processes)
