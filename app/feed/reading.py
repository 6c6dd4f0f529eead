"""One stream of a page, and the number of records to request from it."""

from __future__ import annotations

from collections import Counter

import msgspec

from app.domain.errors import SourceFailed
from app.feed.call import StreamId
from app.paging.cursor import StreamState
from app.paging.merge import Stream
from app.providers.base import Batch, Reader, Source

_SPARE = 10  #: records beyond a stream's likely share of a page, because a second request costs more
_UNKNOWN_SHARE = 100  #: records of a first request if the shares of several streams are unknown
_MAX_WANT = 2000  #: records of one request if filters discard most of them


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

    @property
    def name(self) -> StreamId:
        return self.stream.source, self.stream.name

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

    def share_of(self, missing: int, usual: int | None, streams: int) -> int:
        """Return the stream's likely share of the `missing` records, of as many `streams`; `usual` in thousandths.
        Records without room in the page are read twice, because the next page reads them again."""
        if self.old is not None and self.old.share >= 0:
            return min(missing, missing * self.old.share * 9 // 8000 + _SPARE)
        share = missing // streams
        if usual is not None:
            # In eighths, rounded up, because a share that is slightly too small costs a call.
            share = (usual // 125 + 1) * missing // 8
        return min(missing, max(_UNKNOWN_SHARE, share))

    def needed_for(self, missing: int) -> int:
        """Return the records to read for the `missing` ones, by the part that the filters have kept so far."""
        if not self.seen:
            return missing
        return min(_MAX_WANT, missing * (self.seen + 1) // (self.kept + 1))
