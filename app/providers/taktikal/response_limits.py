"""Observed limits of one account's responses, by count, bytes and `Take`: whether a response may be truncated, and how
many processes to request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.domain.times import SECOND
from app.providers.http.observations import Observations
from app.providers.taktikal.wire import ActivityPage

_ROOM = 8  #: times the largest process so far that the next one may have
AGAIN = 600 * SECOND  #: after which a possibly accidental observation is repeated
_REFUSED = 3600 * SECOND  #: for which a refused `Take` is not repeated

_HEAVY = 32 * 1024  #: bytes of a process above which responses are kept small
_ANSWER = 12 * 1024 * 1024  #: bytes of such a response
_LARGEST = 24 * 1024 * 1024  #: bytes of any other, below the bound of `CommonSettings`


class ResponseLimits(Observations):
    """`honoured`: the longest response seen."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.honoured = 0
        #: By `Take`, the processes and items of the longest response: a limit by count is not below them, unless a
        #: larger `Take` has another limit, such as the default instead of a refused one.
        self._honoured_at: dict[int, tuple[int, int]] = {}
        #: Whether `Take` and `Skip` count items, if a process has several.
        self.counts_items: bool | None = None
        self.splits = False  # whether a process had several items
        self.has_twins = False  # whether a process of several items had equal entries
        self.is_shuffled = False  # whether a list had another order in the next call
        self.longest = 0  # items of the longest response, truncated or not
        self.truncates = False  # whether a response was truncated below its `Take`
        self._honoured_size = 0  # bytes of the largest response seen; a limit by bytes is not below it
        self._largest = 0  # largest bytes of a process
        self._weight = 0  # bytes of a process in recent responses
        self._refused: tuple[int, int] | None = None  # half of a refused `Take`, and the end of its validity
        self._cut: tuple[int, int] | None = None  # the last truncated response: its length and time
        self.cuts: set[int] = set()  # lengths of truncated responses: several, unless a limit by count truncates
        self._cuts_at: tuple[int, int] | None = None  # the server's limit, and the end of its validity

    def answered(self, page: ActivityPage, take: int) -> None:
        """Record the size of a response to this `Take`."""
        self._largest = max(self._largest, page.largest)
        if page.items > 1:  # a single item is returned at any size
            self._honoured_size = max(self._honoured_size, page.size)
        length, items = self._honoured_at.get(take, (0, 0))
        self._honoured_at[take] = max(length, page.length), max(items, page.items)
        self.weigh(page.size // max(1, page.length))
        if page.length > self.honoured:
            self.honoured = page.length
            self.note("longest_answer", page.length, "the processes in one answer")

    def places(self, page: ActivityPage) -> int:
        """Return the number of a response's processes, or of its items if `Take` and `Skip` count those."""
        return page.items if self.counts_items else page.length

    def weigh(self, size: int) -> None:
        """Record the bytes of a process; the estimate decreases slowly."""
        self._weight = max(size, self._weight * 9 // 10)

    def is_whole(self, page: ActivityPage, take: int) -> bool:
        """Whether a response to a larger `Take` cannot be truncated: it is shorter than an earlier one to as large a
        `Take`, and another process of _ROOM times the largest size would have fitted. Processes have no largest size,
        so this is unknown after responses that were truncated at different lengths, or so far at one."""
        held = self._honoured_at.items()
        is_shorter = any(take <= at and page.length < length and page.items < items for at, (length, items) in held)
        if page.null or not is_shorter:
            return False
        self._largest = max(self._largest, page.largest)
        if page.length == 0:
            return True
        counted = not self.cuts or (len(self.cuts) == 1 and self._cuts_at is not None)
        return counted and page.size + _ROOM * self._largest <= self._honoured_size

    def may_halve(self, page: ActivityPage) -> bool:
        """Whether a part of a process may be cut off where no `Skip` returns it: responses are truncated, and have one
        item at most, or several of a process while `Skip` counts processes, or by bytes and this one has a single
        process without room for another such item."""
        if not self.truncates:
            return False
        is_by_bytes = self.is_tight(page) and len(self.cuts) > 1
        return self.longest <= 1 or (not self.counts_items and (self.splits or is_by_bytes))

    def is_tight(self, page: ActivityPage) -> bool:
        """Whether a response of one process may be without room for another such item."""
        return page.length == 1 and page.size * (1 + _ROOM) > self._honoured_size

    def has_room(self, page: ActivityPage, others: Iterable[ActivityPage], times: int = _ROOM) -> bool:
        """Whether a response of one process would contain another of so many `times` the largest size, because one of
        the `others` or an earlier one was that large, and none was truncated by bytes."""
        length = max([self.honoured, *(other.length for other in others)])
        size = max([self._honoured_size, *(other.size for other in others if other.items > 1)]) - page.size
        return length > 1 >= len(self.cuts) and size >= times * max(self._largest, page.size)

    def cut(self, page: ActivityPage) -> None:
        """Record a truncated response. A single one may be an error, and its limit would make every page cost a hundred
        calls: it needs two within AGAIN, is valid for as long, and is then renewed by one of the same length."""
        now, length, self.truncates = self._clock(), self.places(page), True
        self.honoured = min(self.honoured, page.length)
        held = self._honoured_at.items()
        self._honoured_at = {t: (min(one, page.length), min(two, page.items)) for t, (one, two) in held}
        self.cuts.add(length)
        self._honoured_size = min(self._honoured_size, page.size)
        again = self._cuts_at is not None and self._cuts_at[0] == length
        if self._cut is not None and (again or now - self._cut[1] <= AGAIN):
            self._cuts_at = max(length, self._cut[0]), now + AGAIN
            how = "two answers shorter than both Take and the total of the same range"
            self.note("take_cap", self.cap, how)
        self._cut = length, now

    def refuse(self, take: int) -> None:
        """Record that a `take` above one was refused as too many. Valid for a time, because an outage may have been the
        cause."""
        self._refused = min(take // 2, self.cap or take), self._clock() + _REFUSED
        self.note("take_cap", self.cap, f"half of {take}, which was refused as too large a Take")

    @property
    def cap(self) -> int | None:
        """Return the observed limit of responses, or half of the refused `take`; None without a limit."""
        now = self._clock()
        return min((cap for cap, end in filter(None, (self._cuts_at, self._refused)) if now <= end), default=None)

    @property
    def fitting(self) -> int:
        """Return the number of processes that memory allows in a response."""
        if not self._weight:
            return _LARGEST
        fitting = max(1, (_ANSWER if self._weight > _HEAVY else _LARGEST) // self._weight)
        # A power of two: a Take that grew a little with each response would have each proven by another call.
        return 1 << (fitting.bit_length() - 1)

    def at_most(self, take: int) -> int:
        """Return `take`, limited by the provider's observed limit and by memory."""
        cap = self.cap
        return min(take, self.fitting, take if cap is None else cap)
