"""Read Taktikal's log in the gateway's order: by time windows, or by process if the query has keys."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import attrgetter, gt, lt

from app.domain.position import Position, first_time
from app.domain.times import DAY, SECOND
from app.paging.windows import Window, WindowSizer, next_window
from app.providers.base import ENOUGH_BYTES, Batch, Hint, ReadRequest, Record
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import DateRange
from app.providers.taktikal.list_calls import Effort
from app.providers.taktikal.list_reader import UNCOUNTED
from app.providers.taktikal.range_loader import RangeLoader, TooMany
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import Process, merge_processes

_CALLS_PER_BATCH = 3  #: calls after which a batch with records is returned
_GROWTH = 8  #: of windows without items
_STEPS = 4  #: widths between an empty window and the rest, counted concurrently
_SPARE = 8  #: a first page reads an eighth more than needed, because another read costs a call
_REACH = 2000  #: records of a first page that determine the extent of later ones
_SHORT = 600 * SECOND  #: a shorter rest is loaded, not counted
_SMALL = 1000  #: processes of an account that is read at once unless ranges select by activity
_SMALL_CALLS = 20  #: responses
_FEW = 64  #: processes that cost less at once than by windows, whose ranges overlap

#: A position counts entries of one time without ids, or follows an id: if they change, it is another place.
_CHANGED = (
    "the log of an envelope changed at the time of the last page's last event: events of this time may be left out, or"
    " be there twice"
)
_ENTRIES_AT_ONCE = 256  #: entries that become records before other requests are served: 3 ms


def _ladder(first: int, last: int) -> list[int]:
    """Return widths from above `first` to `last`, with a constant factor."""
    first = max(first, SECOND)
    steps = min(_STEPS, int(last / first).bit_length() - 1)
    factor = (last / first) ** (1 / (steps + 1)) if last > first else 1
    return [*(int(first * factor**step) for step in range(1, steps + 1)), last]


class _Reader:
    """Convert processes to the records of a window, in reading order, for one request."""

    def __init__(self, source: str, span: ReadRequest, loader: RangeLoader) -> None:
        self._source, self._span, self._loader, self._position = source, span, loader, span.position
        self._ascending, self._facts = span.query.ascending, loader.facts
        self._is_beyond = gt if self._ascending else lt  # instead of is_beyond, for each record
        self._latest = loader.facts.latest
        self._any_readable = False
        #: The last record of the page before, if it is of this source and not yet found again.
        self._sought = self._position if len(self._position) > 1 and self._position[1] == source else None

    async def collect(self, processes: Iterable[Process], window: Window) -> list[Record]:
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

    def batch(self, records: list[Record], complete_until: int, ended: bool, assumption: str | None = None) -> Batch:
        """Return a batch with the unreadable items and entries so far, and reasons why it may lack events."""
        doubts = self._loader.doubts
        reason = "; ".join(filter(None, (assumption, *sorted(doubts)))) or None
        unproven, assumes = doubts - {UNCOUNTED} != set(), assumption is not None or UNCOUNTED in doubts
        return Batch(
            records, complete_until, ended, self._loader.unreadable, reason, self._any_readable, unproven, assumes
        )

    def hint(self, position: Position) -> Hint:
        return None


class ProcessReader(_Reader):
    """Read all events of one process by each spelling of its key, with a call for each; with a key, dates need no
    trust. If the server distinguishes the spellings, they are two processes."""

    def __init__(self, source: str, span: ReadRequest, loader: RangeLoader, keys: Sequence[str]) -> None:
        super().__init__(source, span, loader)
        self._keys = keys

    async def read(self, want: int, max_calls: int) -> Batch:
        processes = await self._loader.named(self._keys)
        window = Window(self._span.since, self._span.until)
        return self.batch(await self.collect(processes, window), window.start, True)


class WindowReader(_Reader):
    """Read time windows sequentially. `prepare` determines what ranges select, if unknown. If ranges do not select by
    activity, `max_age` in µs is the longest time between a process's creation and its events: an assumption unless
    `is_age_set`.

    A window is complete by its list. Totals, which may lag or be wrong, only determine widths."""

    def __init__(
        self,
        source: str,
        span: ReadRequest,
        loader: RangeLoader,
        *,
        prepare: Callable[[], Awaitable[None]],
        max_age: int,
        is_age_set: bool = True,
    ) -> None:
        super().__init__(source, span, loader)
        self._prepare, self._max_age, self._is_age_set = prepare, max_age, is_age_set
        # Only unfiltered first pages share the density: filters may reveal secrets, and the newest part of a log may
        # be sparser than the rest.
        self._shared = not loader.filters and len(span.position) == 1 and span.hint is None
        self._sizer = WindowSizer(self._facts.density if self._shared else span.hint)
        self._times: list[int] = []  # of the records so far, for later pages
        self._crowded: tuple[int, int] | None = None  # width of a window with too many items, and their number
        self._measure = False  # whether to count before loading, because the known density was wrong
        self._empty = 0  # width of the last window, if it was empty
        self._counts_none = False  # whether the next window's count is zero
        self._count: int | None = None  # that of the next window, if narrower ones do not have fewer
        self._stride = 1  # of wide windows, in usual ones
        self._is_large = False  # whether the filters select too many processes to load all
        self._most: int | None = None  # their number, if one response may contain them
        self._outside: Sequence[Process] | None = None  # those with a time that no window's range contains
        self._assumption: str | None = None  # why events of older envelopes may be left out
        start = first_time(span.position, self._ascending)
        self._frontier = self._begin = start if self._ascending else start + 1
        self._stop = span.until if self._ascending else span.since

    async def read(self, want: int, max_calls: int) -> Batch:
        spent = self._loader.spent
        if self._facts.selects != "activity":
            await self._prepare()
        begun, enough = spent.calls, spent.bytes + ENOUGH_BYTES
        records: list[Record] = []
        while not self._ended and len(records) < want:
            calls = spent.calls - begun
            is_enough = calls >= _CALLS_PER_BATCH or spent.bytes >= enough
            if calls >= max_calls or (records and is_enough):
                break
            self._loader.effort = Effort()
            if self._facts.selects == "activity":
                records += await self._by_activity(want - len(records))
            else:
                records += await self._by_age()
        return self.batch(records, self._frontier, self._ended, self._assumption)

    @property
    def _ended(self) -> bool:
        return self._frontier >= self._stop if self._ascending else self._frontier <= self._stop

    async def _by_activity(self, want: int) -> list[Record]:
        """Return the records of the next window; empty, too, if the window is too large and must be divided."""
        target = self._sizer.target(want, self._loader.most_at_once)
        window, take = await self._choose_window(target, want)
        within = DateRange.around(window.start, window.end)
        found = await self._loader.attempt(within, take, self._count)
        if isinstance(found, TooMany):
            if self._counts_none:
                self._facts.contradicted(0, found.total)
            if window.width > SECOND and not found.few:
                self._sizer.counted(window.width, found.total)
                self._crowded, self._measure = (window.width, found.total), True
                return []
            if take < found.total <= self._loader.most:
                # All at once, if possible: a server may not apply `Skip`.
                found = await self._loader.attempt(within, found.total)
        if isinstance(found, TooMany):
            several = self._loader.page_through if window.width <= SECOND else self._loader.try_pages
            paged = await several(within, found.total)
            if paged is None:  # narrower windows may show more
                self._crowded, self._measure = (window.width, found.total), True
                return []
            found = paged
        self._measure, self._crowded = not found, None
        return await self._pass(window, found, within)

    async def _choose_window(self, target: int, want: int) -> tuple[Window, int]:
        """Return the next window, and the number of processes to request. The known density or a count determines the
        width."""
        rest, self._counts_none, self._count = abs(self._stop - self._frontier), False, None
        fits = self._sizer.knows_density and self._crowded is None and self._sizer.width(target) >= rest
        if fits or (self._sizer.knows_density and not self._measure):
            reach = self._facts.reach.get(self._ascending, []) if self._shared and not self._times else []
            place = want + want // _SPARE
            return self._next(reach[place] + 1 if place < len(reach) else self._sizer.width(target)), 4 * target
        if self._crowded is None and rest <= _SHORT:
            return self._next(rest), 4 * target
        return await self._count_widths(target, rest)

    async def _count_widths(self, target: int, rest: int) -> tuple[Window, int]:
        """Return a window with a count of at most about twice `target`.

        Windows of several widths, all from the frontier on, are counted concurrently. Each round reduces the range
        between `empty`, a width without items, and `high`, one with too many, to a third."""
        empty, high, items = 0, rest, 0
        fits = min(2 * target, max(1, self._loader.most - 1))
        widths = _ladder(self._empty, rest) if self._sizer.knows_density else [rest]
        if self._crowded is not None:
            high, items = self._crowded
            widths = [min(high // 2, high * target // items)]
            if self._facts.totals_contradicted:
                return self._next(widths[0]), 4 * target
        while True:
            windows = {window.width: window for window in map(self._next, widths)}
            windows = {w: windows[w] for w in sorted(windows) if empty < w < high or (w == high and not items)}
            if not windows:
                # The frontier passes the empty part by loading it: a total of 0 is no proof.
                self._counts_none, self._count = empty > 0, None if empty or self._crowded else items
                return (self._next(empty), 2 * target) if empty else (self._next(high), max(items, 2 * target))
            ranges = (DateRange.around(w.start, w.end) for w in windows.values())
            counts = await gather_all(self._loader.count_up_to(within, fits + 1) for within in ranges)
            chosen, held = empty, 0  # the widest without too many, and its count
            for window, count in zip(windows.values(), counts, strict=True):
                if count > fits:
                    high, items = window.width, count
                    break
                if not count:
                    empty = window.width
                chosen, held = window.width, count
            if self._crowded is None and held < min(items, target) and (held or not self._measure):
                # Probably spread evenly: load a part of it, which shows whether it is. Not where a window was cut off:
                # the part may be that window again, and again.
                chosen += (high - chosen) * (target - held) // (items - held)
                return self._next(chosen), 4 * target
            if held:
                return self._next(chosen), 2 * target
            if items:
                widths = [empty + (high - empty) // 3, empty + (high - empty) * 2 // 3]
            elif empty >= high:
                return self._next(rest), 2 * target
            else:
                widths = _ladder(empty, rest)

    async def _by_age(self) -> list[Record]:
        """Return the records of the next window, for processes created up to `max_age` before it or last updated up to
        `max_age` after it, or at no plausible time; those of all windows from a small account."""
        loader, facts = self._loader, self._facts
        if (found := await self._small_account()) is not None:
            return await self._pass(self._next(abs(self._stop - self._frontier)), found, loader.ever)
        selects, age = facts.selects, max(self._max_age, facts.longest_life)
        window = self._next(max(DAY, age // 4) * self._stride)
        is_older = age > self._max_age  # or a time is wrong, on either side of the creation
        # A day more, because ranges may be by the day or in another time zone, and clocks differ.
        before = DAY + (0 if selects == "last_update" and not is_older else age)
        after = DAY + (0 if selects == "creation" and not is_older else age)
        within = DateRange.around(window.start - before, window.end + after)
        loaded = await (loader.everything(within, self._most) if self._stride == 1 else loader.attempt(within, 0))
        if isinstance(loaded, TooMany):
            self._stride //= _GROWTH
            return []
        facts.lived(loaded)
        if facts.longest_life > age:
            return []  # read the window again
        if is_older:
            self._assumption = f"an envelope lived {age // DAY} days: set TAKTIKAL_MAX_ENVELOPE_AGE to at least that"
        elif not self._is_age_set and (selects != "last_update" or facts.is_past(within.end)):
            known = "are not known to" if selects is None else "do not"
            self._assumption = (
                f"date ranges {known} select by activity, and the account is too large to read at once: events more"
                f" than {age // DAY} days after the creation or before the last update of their envelope may be left"
                " out; set TAKTIKAL_MAX_ENVELOPE_AGE to the age that envelopes reach"
            )
        # Windows grow over long empty times.
        self._stride = 1 if loaded else self._stride * _GROWTH
        if self._outside is None:
            self._outside = await loader.outside()
        return await self._pass(window, list(merge_processes([loaded, self._outside])), within)

    async def _small_account(self) -> Sequence[Process] | None:
        """Return all processes that the filters select, if they are few; else None."""
        loader, facts = self._loader, self._facts
        if self._is_large:
            return None
        unfiltered, most = not loader.filters, min(_SMALL, facts.fitting, max(_FEW, _SMALL_CALLS * loader.most))
        total = facts.recall("size") if unfiltered and facts.ever else None
        if total is None:
            total = await loader.count_ever()

        async def load(loader: RangeLoader) -> Sequence[Process] | TooMany:
            found: Sequence[Process] | TooMany = TooMany(total or 0)
            if (total or 0) <= loader.most:
                found = await loader.attempt(loader.ever, total or most, total)
            if isinstance(found, TooMany) and found.total <= most:
                return await loader.everything(loader.ever)
            return found

        if total is None or total <= most:
            found = await loader.prove("all", load)
            if found is not None and not isinstance(found, TooMany):
                if unfiltered:
                    facts.remember("size", len(found))
                return found
            total = None
        self._is_large = True
        self._most = total if total is not None and total <= loader.most else None
        if unfiltered:
            facts.remember("size", total or _SMALL + 1)
        return None

    def _next(self, width: int) -> Window:
        return next_window(self._frontier, self._stop, width, ascending=self._ascending)

    async def _pass(self, window: Window, processes: Sequence[Process], within: DateRange) -> list[Record]:
        if (person := self._span.query.person) is not None and "@" in person:
            await self._loader.name_owner(processes, within, person)
        records = await self.collect(processes, window)
        self._sizer.read(window.width, len(processes), len(records))
        self._empty = 0 if processes else window.width
        if self._shared and records and len(self._times) < _REACH and self._facts.selects == "activity":
            self._facts.density = self._sizer.hint()
            self._times += [record.key[0] for record in records]
            reach = [abs(time - self._begin) for time in self._times]
            longer = self._facts.reach.get(self._ascending, [])[len(reach) :]
            self._facts.reach[self._ascending] = reach + [one for one in longer if one > reach[-1]]
        self._frontier = window.end if self._ascending else window.start
        return records

    def hint(self, position: Position) -> Hint:
        return self._sizer.hint()
