"""Merge streams that arrive in batches into one ordered page, and compute each stream's next position.

Without I/O: `advance` emits certain records and returns the streams to read before more are certain; the page builder
reads those and passes the batches to `add`. An event is certain when no other stream can contain an earlier one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from operator import gt, lt
from typing import Generic, TypeVar

import msgspec

from app.domain.event import Record
from app.domain.position import Position


class Stream(msgspec.Struct, eq=False):
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


S = TypeVar("S", bound=Stream)


class Merge(Generic[S]):
    """A page under construction: at most `limit` records, in order."""

    def __init__(self, streams: Sequence[S], *, ascending: bool, limit: int) -> None:
        self.streams = list(streams)
        self.limit = limit
        self.records: list[Record] = []
        self.origins: list[S] = []  #: the stream of each record
        self.has_more = False
        self._ascending = ascending
        #: Whether a position is after another one in reading direction; the earlier and the later of some.
        self._is_beyond, self._earlier, self._later = (gt, min, max) if ascending else (lt, max, min)
        self._ceiling: Position | None = None

    def add(self, stream: S, records: Sequence[Record], *, complete_until: int, ended: bool) -> None:
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
        self._ceiling = ceiling = (time,)
        beyond = takewhile(lambda record: record.key >= ceiling, reversed(self.records))
        if count := len(list(beyond)):
            self._take_back(count)

    def _take_back(self, count: int) -> None:
        """Let the last `count` records wait for a later page."""
        for _ in range(count):
            self.origins.pop().buffer.appendleft(self.records.pop())
        last = {origin: record.key for record, origin in zip(self.records, self.origins, strict=True)}
        for stream in self.streams:
            stream.last = last.get(stream)

    def advance(self) -> list[S]:
        """Emit certain records. Returns the streams to read before more are certain; empty if the page is finished."""
        while True:
            heads = [stream for stream in self.streams if stream.buffer and not stream.failed]
            candidate = self._earlier(heads, key=lambda stream: stream.buffer[0].key, default=None)
            if candidate is None or (self._ceiling is not None and candidate.buffer[0].key >= self._ceiling):
                waiting = self._waiting()
                self.has_more = not waiting and any(s.stopped or s.failed for s in self.streams)
                return waiting
            key = candidate.buffer[0].key
            # Those that may still contain a record before it.
            blocking = [
                stream
                for stream in self.streams
                if not (stream is candidate or stream.buffer or stream.ended or stream.failed)
                and (stream.complete_until is None or not self._is_beyond((stream.complete_until,), key))
            ]
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

    def _emit(self, stream: S) -> None:
        """Emit the stream's first record, which is certain, and those after it that need no comparison."""
        edges: list[Position] = [] if self._ceiling is None else [self._ceiling]
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

    def _waiting(self) -> list[S]:
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
        return edges if self._ceiling is None else [*edges, self._ceiling]

    def boundary(self) -> Position | None:
        """Return the end of the page, up to which every stream that did not fail is delivered. None without a record or
        a stopped stream."""
        if len(self.records) == self.limit:
            return self.records[-1].key
        if edges := self._edges():
            return self._earlier(edges)
        return self.records[-1].key if self.records else None

    def resume(self, stream: S, boundary: Position) -> Position:
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
            edge = self._earlier(edge, self._ceiling)
        return self._later(edge, stream.position)

    def finished(self, stream: S) -> bool:
        """Whether no records of the stream are left for later pages."""
        return stream.ended and not stream.refused and not stream.buffer and self._ceiling is None
