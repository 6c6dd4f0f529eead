"""Reads Taktikal's log in the gateway's order: by time windows, or process by process where those are named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import attrgetter, gt, lt

from app.domain.position import Position, first_time
from app.domain.times import DAY, SECOND
from app.paging.windows import Window, WindowSizer, next_window
from app.providers.base import Batch, Hint, ReadRequest, Record
from app.providers.taktikal.client import DateRange
from app.providers.taktikal.range_loader import RangeLoader, TooMany
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import Process

_CALLS_PER_BATCH = 3  #: a batch that has something to show is handed over rather than filled up beyond these calls
_STRIDE = 8  #: by which windows grow over emptiness
_GROWTH = 8  #: of the next window to count, after an empty one


class _Collector:
    """Turns processes into the records of a window, in reading order."""

    def __init__(self, source: str, span: ReadRequest, loader: RangeLoader) -> None:
        self._source, self._position, self._loader = source, span.position, loader
        self._ascending = span.query.ascending
        self._is_beyond = gt if self._ascending else lt  # is_beyond, which would be called for each record

    def records(self, processes: Iterable[Process], window: Window) -> list[Record]:
        is_beyond, position = self._is_beyond, self._position
        found: list[Record] = []
        for process in processes:
            records, bad = records_of(self._source, process, window.start, window.end)
            self._loader.bad += bad
            found += [one for one in records if is_beyond(one.key, position)]
        found.sort(key=attrgetter("key"), reverse=not self._ascending)
        return found


class ProcessReader:
    """All events of one process, by each key that it may go by: a call for each, and beside a key dates need no
    trust. Two processes, where the server tells the keys apart."""

    def __init__(self, source: str, span: ReadRequest, loader: RangeLoader, keys: Sequence[str]) -> None:
        self._span, self._loader, self._keys = span, loader, keys
        self._collector = _Collector(source, span, loader)

    async def read(self, want: int, max_calls: int) -> Batch:
        processes = await self._loader.named(self._keys)
        window = Window(self._span.since, self._span.until)
        records = self._collector.records(processes, window)
        complete_until = window.end if self._span.query.ascending else window.start
        return Batch(records, complete_until, True, self._loader.observed.as_of, self._loader.bad)

    def hint(self, position: Position) -> Hint:
        return None


class WindowReader:
    """Time window after time window. `prepare` finds out what ranges select, where that is not known yet;
    `max_age` in µs bounds how long after its creation a process may have events, where ranges select by creation."""

    def __init__(
        self,
        source: str,
        span: ReadRequest,
        loader: RangeLoader,
        *,
        prepare: Callable[[], Awaitable[None]],
        max_age: int,
    ) -> None:
        self._span, self._loader, self._prepare, self._max_age = span, loader, prepare, max_age
        self._ascending = span.query.ascending
        self._collector = _Collector(source, span, loader)
        self._sizer = WindowSizer(span.hint)
        self._measure = False  # whether to count before loading: what is known of the density was not so
        self._stride = 1  # of windows by creation, in usual ones
        start = first_time(span.position, self._ascending)
        self._frontier = start if self._ascending else start + 1
        self._stop = span.until if self._ascending else span.since

    async def read(self, want: int, max_calls: int) -> Batch:
        spent = self._loader.spent
        await self._prepare()
        begun = spent.calls
        records: list[Record] = []
        while not self._ended and len(records) < want:
            calls = spent.calls - begun
            if calls >= max_calls or (records and calls >= _CALLS_PER_BATCH):
                break
            if self._loader.facts.selects == "activity":
                records += await self._by_activity(want - len(records))
            else:
                records += await self._by_creation()
        bad, self._loader.bad = self._loader.bad, 0
        return Batch(records, self._frontier, self._ended, self._loader.observed.as_of, bad)

    @property
    def _ended(self) -> bool:
        return self._frontier >= self._stop if self._ascending else self._frontier <= self._stop

    async def _by_activity(self, want: int) -> list[Record]:
        """The records of the next window; none, too, where the window turned out too large and is to be cut."""
        target = self._sizer.target(want, self._loader.most * 4 // 5)
        expected: int | None = None
        if self._measure or not self._sizer.knows_density:
            counted = await self._counted_window(target)
            if counted is None:
                return []
            window, expected = counted
        else:
            window = self._next(self._sizer.width(target))
        within = DateRange.around(window.start, window.end)
        found = await self._loader.attempt(within, 4 * target if expected is None else expected)
        if isinstance(found, TooMany):
            if window.width > SECOND and not self._measure:
                # The density is another than it was: look before loading so much again.
                self._sizer.counted(window.width, found.total)
                self._measure = True
                return []
            found = await self._loader.everything(within)
        self._measure = not found
        return self._pass(window, found, len(found))

    async def _counted_window(self, target: int) -> tuple[Window, int] | None:
        """A window with some items, at most about twice `target`, and how many it has, found by counting; what is empty
        before it is passed. None where nothing is left.

        Each count either passes a stretch, or moves `edge` nearer, the far end of one that holds too many: a gap of
        years costs the logarithm of its length, and loads nothing. Where what lies in such a stretch turns out not to
        be spread over it, as where all came at once, it is halved."""
        edge, crowded, uneven = self._stop, False, False
        width = self._sizer.width(target) if self._sizer.knows_density else abs(self._stop - self._frontier)
        while not self._ended:
            window = self._next(min(width, abs(edge - self._frontier)))
            items = await self._loader.count(DateRange.around(window.start, window.end))
            if items == 0:
                self._pass(window, [], 0)
                if self._frontier == edge:  # what was there is gone
                    edge, crowded = self._stop, False
                uneven = crowded
                width = max(SECOND, abs(edge - self._frontier) // 2) if crowded else width * _GROWTH
                continue
            self._sizer.counted(window.width, items)
            if items <= 2 * target or window.width <= SECOND:
                return window, items
            edge, crowded = window.end if self._ascending else window.start, True
            width = max(SECOND, window.width // 2 if uneven else window.width * target // items)
        return None

    async def _by_creation(self) -> list[Record]:
        """The records of the next window, wherever in the last `max_age` their processes were created. This is right
        too where ranges select by activity."""
        usual = max(DAY, self._max_age // 4)
        window = self._next(usual * self._stride)
        # Ranges may be taken by the day, or in another zone, as long as none is seen to be taken by the second.
        spare = 0 if self._loader.facts.selects == "creation" else DAY
        within = DateRange.around(window.start - self._max_age - spare, window.end + spare)
        if self._stride > 1 and await self._loader.count(within):
            self._stride //= _STRIDE
            return []
        found = await self._loader.everything(within) if self._stride == 1 else []
        # Where there is nothing for long, windows grow: counting what is not there is cheap.
        self._stride = 1 if found else self._stride * _STRIDE
        return self._pass(window, found, len(found))

    def _next(self, width: int) -> Window:
        return next_window(self._frontier, self._stop, width, ascending=self._ascending)

    def _pass(self, window: Window, processes: Iterable[Process], items: int) -> list[Record]:
        records = self._collector.records(processes, window)
        self._sizer.read(window.width, items, len(records))
        self._frontier = window.end if self._ascending else window.start
        return records

    def hint(self, position: Position) -> Hint:
        return self._sizer.hint()
