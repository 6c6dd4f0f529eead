"""Entries and processes in compact arrays, with the orders that queries need."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

_BITS = 32
_MASK = (1 << _BITS) - 1


class Store:
    """Entries by sequence (their order of insertion), processes by ordinal (by their first entries).

    `codes`: a generated entry's schedule code, or -1 - its position among the appended.
    """

    def __init__(self) -> None:
        self.codes = array("q")
        self.ticks = array("q")
        self.owners = array("q")
        self._previous = array("q")  # the sequence of the same process's entry before, or -1
        self._last = array("q")
        self.created = array("q")
        self._by_time: list[int] = []
        self._by_creation: list[int] = []
        self._is_sorted = True

    def add_process(self, created: int) -> int:
        """Add a process; gives its ordinal."""
        ordinal = len(self._last)
        self._last.append(-1)
        self.created.append(created)
        self._by_creation.append(created << _BITS | ordinal)
        return ordinal

    def add_entry(self, ordinal: int, code: int, ticks: int) -> None:
        """Add an entry to a process. Call `settle` before reading."""
        sequence = len(self.codes)
        self.codes.append(code)
        self.ticks.append(ticks)
        self.owners.append(ordinal)
        self._previous.append(self._last[ordinal])
        self._last[ordinal] = sequence
        self._by_time.append(ticks << _BITS | sequence)
        self._is_sorted = False

    def settle(self) -> None:
        """Sort in what was added."""
        if not self._is_sorted:
            self._by_time.sort()
            self._by_creation.sort()
            self._is_sorted = True

    def sequences(self, ordinal: int) -> list[int]:
        """A process's entries in order of insertion."""
        found = []
        sequence = self._last[ordinal]
        while sequence >= 0:
            found.append(sequence)
            sequence = self._previous[sequence]
        return found[::-1]

    def active(self, start: int, end: int) -> set[int]:
        """The processes with an entry at `start` <= ticks < `end`."""
        first = bisect_left(self._by_time, start << _BITS)
        last = bisect_left(self._by_time, end << _BITS)
        owners = self.owners
        return {owners[key & _MASK] for key in self._by_time[first:last]}

    def created_between(self, start: int, end: int) -> set[int]:
        """The processes created at `start` <= ticks < `end`."""
        first = bisect_left(self._by_creation, start << _BITS)
        last = bisect_left(self._by_creation, end << _BITS)
        return {key & _MASK for key in self._by_creation[first:last]}

    def newest_first(self, ordinals: set[int]) -> list[int]:
        """Ordinals by creation; younger first, and of equal ones the later inserted first."""
        return sorted(ordinals, key=lambda ordinal: (self.created[ordinal], ordinal), reverse=True)

    def entries(self) -> Iterator[int]:
        """All sequences in order of insertion."""
        return iter(sorted(key & _MASK for key in self._by_time))

    def count(self) -> tuple[int, int]:
        """How many processes and entries there are."""
        return len(self._by_creation), len(self._by_time)

    def forget_oldest(self, number: int) -> int:
        """Drop the `number` processes created first, with their entries; gives how many processes went."""
        gone = {key & _MASK for key in self._by_creation[:number]}
        self._by_creation = self._by_creation[number:]
        self._by_time = [key for key in self._by_time if self.owners[key & _MASK] not in gone]
        return len(gone)

    def holds(self, ordinal: int) -> bool:
        """Whether a process is still there (retention forgets)."""
        key = self.created[ordinal] << _BITS | ordinal
        place = bisect_left(self._by_creation, key)
        return place < len(self._by_creation) and self._by_creation[place] == key
