"""The records of one category in their two orders, whole or filtered, and pages cut from them."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Literal

_BITS = 32  # a key of the time order is timestamp << 32 | sequence: ties lie in order of insertion
_MASK = (1 << _BITS) - 1
_BULK = 2000

Ties = Literal["id", "reverse", "shuffled"]


class Shelf:
    """Sequence numbers ordered by insertion and by timestamp."""

    def __init__(self, timestamp_of: Callable[[int], int]) -> None:
        self._timestamp_of = timestamp_of
        self._by_id: list[int] = []
        self._by_time: list[int] = []
        self.seen = 0  # how far into the category's records this shelf has looked

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def sequences(self) -> Sequence[int]:
        """All records in order of insertion."""
        return self._by_id

    def add(self, sequences: Iterable[int]) -> None:
        """Add records, younger in insertion than all here; their timestamps may be older."""
        fresh = list(sequences)
        self._by_id.extend(fresh)
        keys = [self._timestamp_of(sequence) << _BITS | sequence for sequence in fresh]
        if len(keys) > _BULK:
            self._by_time.extend(keys)
            self._by_time.sort()
        else:
            for key in keys:
                insort(self._by_time, key)

    def page(self, *, by: str, descending: bool, skip: int, take: int, ties: Ties, shuffle: Random) -> list[int]:
        """The records at positions `skip` to `skip + take` of the order asked for."""
        size = len(self._by_id)
        first, last = min(skip, size), min(skip + take, size)
        if descending:
            first, last = size - last, size - first
        if first == last:
            return []
        if by == "id":
            found = self._by_id[first:last]
            return found[::-1] if descending else found
        return self._by_timestamp(first, last, descending, ties, shuffle)

    def _by_timestamp(self, first: int, last: int, descending: bool, ties: Ties, shuffle: Random) -> list[int]:
        """Positions `first` to `last`, counted upwards; runs of ties are ordered whole, then cut."""
        start = bisect_left(self._by_time, self._by_time[first] >> _BITS << _BITS)
        end = bisect_left(self._by_time, ((self._by_time[last - 1] >> _BITS) + 1) << _BITS)
        keys = self._by_time[start:end]
        if ties == "shuffled":
            keys.sort(key=lambda key: (key >> _BITS, shuffle.random()))
        elif ties == "reverse":
            keys.sort(key=lambda key: (key >> _BITS, -(key & _MASK)))
        found = [key & _MASK for key in keys[first - start : last - start]]
        return found[::-1] if descending else found
