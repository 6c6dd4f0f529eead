"""One record, the log of one category, and its records in their two orders, whole or filtered."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from .workflows import SYSTEM

_BITS = 32  # a key of the time order is timestamp << 32 | sequence: ties lie in order of insertion
_MASK = (1 << _BITS) - 1

Ties = Literal["id", "reverse", "shuffled"]


@dataclass(frozen=True, slots=True)
class Record:
    """One log record with everything any shape generation shows of it. `timestamp` in milliseconds."""

    category: str
    event_type: str
    timestamp: int
    event_data: Mapping[str, Any] = field(default_factory=dict)
    author: Mapping[str, Any] = field(default_factory=lambda: SYSTEM)
    envelope_uuid: str | None = None
    workspace_uuid: str | None = None


class RecordIndex:
    """Sequence numbers ordered by insertion and by timestamp."""

    def __init__(self, timestamp_of: Callable[[int], int]) -> None:
        self._timestamp_of = timestamp_of
        self._by_id: list[int] = []
        self._by_time: list[int] = []
        self.seen = 0  # how far into the category's records this index has looked

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
        if len(keys) == 1:
            insort(self._by_time, keys[0])  # to sort 200,000 records for each one takes minutes
        else:
            self._by_time.extend(keys)
            self._by_time.sort()

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


class Log:
    """One category: parallel arrays by sequence number (the vendor's hidden `id`), and indexes over them."""

    def __init__(self) -> None:
        self.codes = array("q")  # a generated record's schedule code, or -1 - position among the appended
        self.timestamps = array("q")
        self.all = RecordIndex(self.timestamps.__getitem__)
        self.filtered: dict[tuple[object, ...], RecordIndex] = {}
        self.by_envelope: dict[object, list[int]] = {}
        self.indexed = 0
        self.forgotten = 0
