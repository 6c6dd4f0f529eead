"""Listeners to what comes, and the batches that they share.

A **topic** is all that two listeners must have in common to be sent the same bytes. A **batch** is what one page
brought. Batches are cached by where they begin, so that listeners of the same batches cost what one of them costs. The
**front** is a topic's newest batch: a listener that has caught up goes on behind it, whichever cursor it began with. So
a slow listener delays itself alone, and takes no memory.

Nothing is lost or doubled: a batch comes with its place in the order, and a listener takes what lies beyond its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from cachetools import LRUCache, TTLCache

from app.domain.caller import Caller
from app.domain.errors import SourceFailed, SourcesFailed, SourceUnauthorized
from app.domain.parameter_types import Include
from app.domain.position import Position
from app.domain.query import EventQuery, Query
from app.feed import Feed, Page, WalkStart
from app.providers.http.single_flight import SingleFlight

PAGE = 100  #: events of one batch
_BATCHES = 64  #: that are cached
_TOPICS = 1000  #: whose fronts are cached


class Topic(msgspec.Struct, frozen=True):
    """What listeners share: the filters, the sources, and what they may see."""

    query: Query
    sources: tuple[str, ...]
    raw: bool
    private: bool

    @property
    def caller(self) -> Caller:
        """A caller with exactly these grants, in whose name the channel reads."""
        scopes = {"events:read"} | ({"pii:read"} if self.private else set()) | ({"raw:read"} if self.raw else set())
        return Caller("stream", frozenset(scopes), frozenset(self.sources))


class Item(msgspec.Struct, frozen=True):
    """One event as it is sent, and its place. `source` is counted."""

    position: Position
    source: str
    frame: bytes


class Batch(msgspec.Struct, frozen=True):
    """What one page brought, up to `position`, from where `cursor` goes on; or the `error` that kept it from coming.
    `forbidden` contains by source what its provider does not show, `bad_records` how many records cannot be read;
    `read_at` is a time of the monotonic clock."""

    items: Sequence[Item]
    position: Position
    cursor: str
    has_more: bool = False
    forbidden: Mapping[str, str] = {}
    bad_records: Mapping[str, int] = {}
    error: Exception | None = None
    read_at: float = msgspec.field(default_factory=time.monotonic)


#: What a listener is handed: events, or what keeps them from coming.
Message = Sequence[Item] | Exception

Render = Callable[[Page, Topic], Sequence[Item]]


class EventBroadcaster:
    """All topics. `poll`: seconds between two looks at what has come."""

    def __init__(self, feed: Feed, render: Render, *, poll: float) -> None:
        self.poll = poll
        self._feed, self._render = feed, render
        self._batches: LRUCache[tuple[Topic, str], Batch] = LRUCache(_BATCHES)
        self._fronts: TTLCache[Topic, Batch] = TTLCache(_TOPICS, 2 * poll)
        self._calls = SingleFlight[Batch]()

    def front(self, topic: Topic, position: Position) -> Batch | None:
        """The newest batch of the topic, unless it ends beyond `position`."""
        front = self._fronts.get(topic)
        return None if front is None or front.position > position else front

    async def read(self, topic: Topic, position: Position, cursor: str) -> Batch:
        """What lies beyond `position`, where `cursor` stands. Concurrent callers share the calls."""
        held = self._batches.get((topic, cursor))
        # One that leads nowhere yet is good until the next look.
        if held is not None and (held.cursor != cursor or time.monotonic() < held.read_at + self.poll):
            return held
        return await self._calls.join((topic, cursor), lambda: self._read(topic, position, cursor))

    async def _read(self, topic: Topic, position: Position, cursor: str) -> Batch:
        include: Include = frozenset(("raw",)) if topic.raw else frozenset()
        query = EventQuery(cursor=cursor, limit=PAGE, include=include, partial=False)
        try:
            page = await self._feed.page(query, topic.caller)
            batch = Batch(
                self._render(page, topic),
                max(position, page.position),
                page.next_cursor or cursor,
                page.has_more,
                {status.name: status.reason or "" for status in page.sources if status.status == "forbidden"},
                {status.name: status.bad_records for status in page.sources if status.bad_records},
            )
        except Exception as error:  # an unexpected one, too, is raised by the listeners, each in its own request
            batch = Batch((), position, cursor, error=error)
        self._batches[topic, cursor] = batch
        front = self._fronts.get(topic)
        if batch.error is None and (not batch.has_more if front is None else front.cursor == cursor):
            self._fronts[topic] = batch
        return batch


class Listener:
    """One listener, from `start` on; with `live`, that is the front of the feed. Used as a context manager. `cursor` is
    behind all that `next` has returned."""

    def __init__(self, broadcaster: EventBroadcaster, topic: Topic, start: WalkStart, *, live: bool) -> None:
        self.cursor = start.cursor
        self._broadcaster, self._topic, self._position = broadcaster, topic, start.position
        self._forbidden: Mapping[str, str] = {}  # as last sent
        self._last = Batch((), start.position, start.cursor, has_more=True)
        if live:
            self._last = broadcaster.front(topic, start.position) or self._last
        self._reading: asyncio.Task[Batch] | None = None

    async def __aenter__(self) -> Listener:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def next(self, seconds: float) -> list[Message]:
        """What comes next; nothing where nothing came for so long."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait([self._reading], timeout=seconds)
        if not done:
            return []
        batch, self._reading = self._reading.result(), None
        messages = self._messages(batch)
        self._last = batch
        if batch.position > self._position:
            self._position, self.cursor = batch.position, batch.cursor
        if not batch.has_more and batch.error is None:
            self._last = self._broadcaster.front(self._topic, self._position) or batch
        return messages

    async def _read(self) -> Batch:
        """The batch behind the last one, not before the next look is due."""
        if not self._last.has_more:
            await asyncio.sleep(self._last.read_at + self._broadcaster.poll - time.monotonic())
        return await self._broadcaster.read(self._topic, self._last.position, self._last.cursor)

    def _messages(self, batch: Batch) -> list[Message]:
        """The events that are new here; what of them cannot be read; and, once, what a provider does not show."""
        if batch.error is not None:
            return [batch.error]
        messages: list[Message] = []
        if items := [item for item in batch.items if item.position > self._position]:
            messages.append(items)
        if batch.forbidden and batch.forbidden != self._forbidden:
            messages.append(SourcesFailed([_refusal(name, reason) for name, reason in batch.forbidden.items()]))
        self._forbidden = batch.forbidden
        if batch.bad_records and batch.position > self._position:
            messages.append(SourcesFailed([_unreadable(*item) for item in batch.bad_records.items()]))
        return messages


def _unreadable(source: str, count: int) -> SourceFailed:
    error = SourceFailed(f"{count} records that cannot be read are left out")
    error.source = source
    return error


def _refusal(source: str, reason: str) -> SourceUnauthorized:
    error = SourceUnauthorized(reason)
    error.source = source
    return error
