"""The streams of a page, and the number of records to request from each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
from cachetools import LRUCache

from app.domain.errors import SourceFailed
from app.paging.cursor import StreamState
from app.paging.merge import Stream
from app.providers.base import Batch, Reader, Source

_SPARE = 10  #: records beyond a stream's likely share of a page, because a second request costs more
_UNKNOWN_SHARE = 100  #: records of a first request if the shares of several streams are unknown
_MAX_WANT = 2000  #: records of one request if filters discard most of them

_MOST_SETS = 256  #: sets of streams
_MOST_STREAMS = 16  #: of one set; larger sets are of single envelopes, and rarely repeat
_MEMORY = 2000  #: records after which older ones count half

StreamId = tuple[str, str]  #: source, stream


class StreamRatios:
    """Shares of the streams in recent pages, in thousandths. A first page requests from each stream its likely part,
    because missing records cost another round of calls, and unused ones are read again for the next page."""

    def __init__(self) -> None:
        self._given: LRUCache[frozenset[StreamId], Mapping[StreamId, int]] = LRUCache(_MOST_SETS)

    def learn(self, given: Mapping[StreamId, int]) -> None:
        """Record the number of records from each stream of a page."""
        if len(given) > _MOST_STREAMS or not any(given.values()):
            return
        before = self._given.get(streams := frozenset(given), {})
        fade = 2 if sum(before.values()) > _MEMORY else 1
        self._given[streams] = {stream: before.get(stream, 0) // fade + count for stream, count in given.items()}

    def of(self, streams: frozenset[StreamId]) -> dict[StreamId, int]:
        """Return the shares by stream; empty for streams that no recent page combined."""
        given = self._given.get(streams, {})
        shown = sum(given.values())
        return {stream: 1000 * count // shown for stream, count in given.items()}


class Reading(msgspec.Struct):
    """A stream with its reader, and its numbers of records so far: `seen`, and `kept` by the filters."""

    stream: Stream
    reader: Reader
    source: Source
    old: StreamState | None  #: after the previous page; None on a walk's first page
    was_read: bool = False
    seen: int = 0
    kept: int = 0
    bad_records: Counter[str] = msgspec.field(default_factory=Counter)
    any_readable: bool = False

    def take(self, batch: Batch, *, follow: bool) -> None:
        """Count the records of a batch. Raises SourceFailed if there are several on a walk's first page and none can be
        read, because the provider's format is unknown. On a later page and for a follower they may be all that is
        left."""
        self.seen += len(batch.records)
        self.bad_records |= batch.bad_records
        self.any_readable = self.any_readable or batch.any_readable or self.seen > 0
        bad = self.bad_records.total()
        if bad > 1 and not (self.any_readable or follow or self.old is not None):
            raise SourceFailed(f"none of the {bad} records in the provider's answers can be read")

    def want(self, missing: int, usual: int | None, streams: int) -> int:
        """Return the number of records to request for the `missing` ones of a page of as many `streams`. `usual`: this
        stream's share of recent pages, in thousandths."""
        if self.was_read or streams == 1:
            # As many more as the filters have discarded so far.
            return missing if self.kept == self.seen else min(_MAX_WANT, missing * (self.seen + 1) // (self.kept + 1))
        # Records without room in the page are read twice, because the next page reads them again.
        if self.old is not None and self.old.share >= 0:
            return min(missing, missing * self.old.share * 9 // 8000 + _SPARE)
        share = missing // streams
        if usual is not None:
            # In eighths, rounded up, because a share that is slightly too small costs a call.
            share = (usual // 125 + 1) * missing // 8
        return min(missing, max(_UNKNOWN_SHARE, share))
