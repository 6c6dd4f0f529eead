"""Merge streams that arrive in batches into one ordered page, and compute each stream's next position.

Without I/O: `advance` emits certain records and returns the streams to read before more are certain; the page builder
reads those and passes the batches to `add`. An event is certain when no other stream can contain an earlier one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from operator import gt, lt

import msgspec

from app.domain.event import Record
from app.domain.position import Position


class Stream(msgspec.Struct):
    """One stream in a merge. `position`: at the page's beginning; `complete_until`: see `Batch.complete_until`."""

    source: str
    name: str
    position: Position
    buffer: deque[Record] = msgspec.field(default_factory=deque)
    complete_until: int | None = None
    ended: bool = False  #: no records after the buffer
    stopped: bool = False  #: the budget of this page is spent
    failed: bool = False  #: no more records on this page; its buffer waits
    refused: bool = False  #: and so ended: the provider refuses access
    last: Position | None = None  #: the last key emitted from it

    @property
    def frontier(self) -> Position:
        """Return the position up to which the stream is known."""
        return self.position if self.complete_until is None else (self.complete_until,)


class Merge:
    """A page under construction: at most `limit` records, in order."""

    def __init__(self, streams: Sequence[Stream], *, ascending: bool, limit: int) -> None:
        self.streams = list(streams)
        self.limit = limit
        self.records: list[Record] = []
        self.origins: list[Stream] = []  #: the stream of each record
        self.has_more = False
        self._ascending = ascending
        #: Whether a position is after another one in reading direction; the earlier and the later of some.
        self._is_beyond, self._earlier, self._later = (gt, min, max) if ascending else (lt, max, min)
        self._ceiling: int | None = None

    def add(self, stream: Stream, records: Sequence[Record], *, complete_until: int, ended: bool) -> None:
        """Add a batch, whose records are in order and after all earlier ones of the stream."""
        stream.buffer.extend(records)
        stream.ended = ended
        if stream.complete_until is None or self._is_beyond((complete_until,), (stream.complete_until,)):
            stream.complete_until = complete_until

    def fail(self, source: str) -> None:
        """Let all streams of a failed source wait for a later page, so that the source's order holds over the pages."""
        for stream in self.streams:
            if stream.source == source:
                stream.failed = True

    def end_early(self) -> bool:
        """End the page now, without its last record, which shows that there are more. False if no record would be
        left."""
        if len(self.records) < 2:
            return False
        self._take_back(1)
        self.limit, self.has_more = len(self.records), True
        return True

    def extend(self) -> None:
        """Add the certain records of a single stream to a full page, up to twice its limit, except the last one, which
        shows that there are more: a later page would read them again."""
        is_full = self.has_more and len(self.records) == self.limit
        if is_full and len(self.streams) == 1 and self._ceiling is None and not self.streams[0].failed:
            (stream,) = self.streams
            run = [stream.buffer.popleft() for _ in range(min(len(stream.buffer) - 1, self.limit))]
            if run:
                self.records += run
                self.origins += [stream] * len(run)
                stream.last, self.limit = run[-1].key, len(self.records)

    def set_ceiling(self, time: int) -> None:
        """Ascending only: records at or after `time` wait for a later page (`follow`). It may decrease during
        a page if a provider's clocks differ; records emitted beyond it are taken back."""
        self._ceiling = time
        beyond = takewhile(lambda record: not self._below_ceiling(record.key), reversed(self.records))
        if count := len(list(beyond)):
            self._take_back(count)

    def _take_back(self, count: int) -> None:
        """Let the last `count` records wait for a later page."""
        for _ in range(count):
            self.origins.pop().buffer.appendleft(self.records.pop())
        last = {id(origin): record.key for record, origin in zip(self.records, self.origins, strict=True)}
        for stream in self.streams:
            stream.last = last.get(id(stream))

    @property
    def missing(self) -> int:
        """Return the number of records that the page still needs, including the one that shows whether there are
        more."""
        return self.limit + 1 - len(self.records)

    def advance(self) -> list[Stream]:
        """Emit certain records. Returns the streams to read before more are certain; empty if the page is finished."""
        while True:
            candidate = self._best()
            if candidate is None or not self._below_ceiling(candidate.buffer[0].key):
                waiting = self._waiting()
                self.has_more = not waiting and any(s.stopped or s.failed for s in self.streams)
                return waiting
            key = candidate.buffer[0].key
            blocking = [s for s in self.streams if s is not candidate and self._blocks(s, key)]
            if any(s.stopped for s in blocking):
                # A stream that goes no further on this page may still hold an earlier event: the page ends there, and
                # the others have to be known as far.
                waiting = self._waiting()
                self.has_more = not waiting
                return waiting
            if blocking:
                return blocking
            if len(self.records) == self.limit:
                self.has_more = True
                return []
            self._emit(candidate)

    def _emit(self, stream: Stream) -> None:
        """Emit the stream's first record, which is certain, and those after it that need no comparison."""
        edges: list[Position] = [] if self._ceiling is None else [(self._ceiling,)]
        for other in self.streams:
            if other is not stream and not other.failed and (other.buffer or not other.ended):
                edges.append(other.buffer[0].key if other.buffer else other.frontier)
        edge = self._earlier(edges, default=None)
        buffer, most = stream.buffer, self.limit - len(self.records)
        run = [buffer.popleft()]
        while buffer and len(run) < most and (edge is None or self._is_beyond(edge, buffer[0].key)):
            run.append(buffer.popleft())
        self.records += run
        self.origins += [stream] * len(run)
        stream.last = run[-1].key

    def _best(self) -> Stream | None:
        heads = [s for s in self.streams if s.buffer and not s.failed]
        if not heads:
            return None
        return self._earlier(heads, key=lambda s: s.buffer[0].key)

    def _below_ceiling(self, key: Position) -> bool:
        return self._ceiling is None or key < (self._ceiling,)

    def _waiting(self) -> list[Stream]:
        """Return the streams to read before the page can end early: a further read could return records of it."""
        edges = self._edges()
        return [
            stream
            for stream in self.streams
            if not (stream.buffer or stream.ended or stream.stopped or stream.failed)
            and (stream.complete_until is None or all(self._is_beyond(edge, stream.frontier) for edge in edges))
        ]

    def _edges(self) -> list[Position]:
        """Return the positions that the page cannot exceed."""
        edges = [stream.frontier for stream in self.streams if stream.stopped]
        return edges if self._ceiling is None else [*edges, (self._ceiling,)]

    def _blocks(self, stream: Stream, key: Position) -> bool:
        """Whether the stream may still contain a record before `key`."""
        if stream.buffer or stream.ended or stream.failed:
            return False
        if stream.complete_until is None:
            return True
        edge = (stream.complete_until,)
        return not (key < edge if self._ascending else key > edge)

    def boundary(self) -> Position | None:
        """Return the end of the page, up to which every stream that did not fail is delivered. None without a record or
        a stopped stream."""
        if len(self.records) == self.limit:
            return self.records[-1].key
        if edges := self._edges():
            return self._earlier(edges)
        return self.records[-1].key if self.records else None

    def resume(self, stream: Stream, boundary: Position) -> Position:
        """Return the position at which a later page reads this stream, not before the beginning of this page."""
        # Other streams continued without a failed stream, so only its own records count.
        edge = (stream.last or stream.position) if stream.failed or stream.refused else boundary
        if stream.buffer:
            # The latest bare time, in reading direction, before the first record that is left.
            time = stream.buffer[0].key[0]
            edge = self._later(edge, (time if self._ascending else time + 1,))
        elif not stream.ended and stream.complete_until is not None:
            edge = self._later(edge, (stream.complete_until,))
        if self._ceiling is not None:
            # Records at or after the ceiling have not settled: others may still arrive before them.
            edge = self._earlier(edge, (self._ceiling,))
        return self._later(edge, stream.position)

    def finished(self, stream: Stream) -> bool:
        """Whether no records of the stream are left for later pages."""
        return stream.ended and not stream.refused and not stream.buffer and self._ceiling is None
