"""Listeners to what comes, and the polling that they share.

A **topic** is all that two listeners must have in common to be sent the same bytes. A **channel** polls one topic at
the front of the feed, as long as it has listeners. A **listener** reads by itself until it has caught up, and is then
handed each batch of its topic's channel; one that does not take them in time is let go of and catches up by itself
again. So a slow listener delays itself alone, and takes no more memory than `BUFFER` batches.

Nothing is lost or doubled: a batch comes with its place in the order, and a listener takes what lies beyond its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context

import msgspec

from app.domain.caller import Caller
from app.domain.errors import SourceFailed, SourcesFailed, SourceUnauthorized
from app.domain.parameter_types import Include
from app.domain.position import Position
from app.domain.query import EventQuery, Query
from app.feed import Feed, Page, WalkStart
from app.providers.http.single_flight import SingleFlight

PAGE = 100  #: events of one batch
BUFFER = 4  #: batches that wait for a listener


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
    """What one page brought. `cursor` goes on behind all of it, and so beyond `position`; `forbidden` contains
    by source what its provider does not show, `bad_records` how many records cannot be read."""

    items: Sequence[Item]
    position: Position
    cursor: str
    has_more: bool
    forbidden: Mapping[str, str]
    bad_records: Mapping[str, int] = {}


#: What a listener is handed: events, or what keeps them from coming.
Message = Sequence[Item] | Exception

Render = Callable[[Page, Topic], Sequence[Item]]


class EventBroadcaster:
    """All topics. `poll`: seconds between two looks at what has come."""

    def __init__(self, feed: Feed, render: Render, *, poll: float) -> None:
        self.poll = poll
        self._feed, self._render = feed, render
        self._channels: dict[Topic, _Channel] = {}
        self._calls = SingleFlight[Batch]()

    async def batch(self, topic: Topic, cursor: str) -> Batch:
        """What lies beyond `cursor`; who asks for the same at once shares the calls. Raises GatewayError."""
        return await self._calls.join((topic, cursor), lambda: self._read(topic, cursor))

    async def _read(self, topic: Topic, cursor: str) -> Batch:
        include: Include = frozenset(("raw",)) if topic.raw else frozenset()
        page = await self._feed.page(
            EventQuery(cursor=cursor, limit=PAGE, include=include, partial=False), topic.caller
        )
        forbidden = {status.name: status.reason or "" for status in page.sources if status.status == "forbidden"}
        bad_records = {status.name: status.bad_records for status in page.sources if status.bad_records}
        cursor = page.next_cursor or cursor
        return Batch(self._render(page, topic), page.position, cursor, page.has_more, forbidden, bad_records)

    def channel_for(self, topic: Topic, position: Position, cursor: str) -> _Channel | None:
        """The channel that a listener at `position` can be handed the rest by, made where there is none; None while it
        has come further than that."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = _Channel(self, topic, position, cursor)
        return channel if position >= channel.position else None

    def close_channel(self, channel: _Channel) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]


class _Channel:
    """Polls one topic from `cursor` on; everything up to `position` has been handed out."""

    def __init__(self, broadcaster: EventBroadcaster, topic: Topic, position: Position, cursor: str) -> None:
        self.topic, self.position, self.cursor = topic, position, cursor
        self._broadcaster = broadcaster
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, listener: Listener) -> None:
        self._listeners.add(listener)
        if self._task is None:
            # Not in the context of the request that came first: the task outlives it, and so would its trace grow.
            self._task = asyncio.create_task(self._run(), context=Context())

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._task is not None:
            self._broadcaster.close_channel(self)
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                batch = await self._broadcaster.batch(self.topic, self.cursor)
            except Exception as error:
                # An unexpected error, too, is raised by the listeners, each in its own request.
                self._tell(error)
            else:
                self.cursor, self.position = batch.cursor, max(self.position, batch.position)
                self._tell(batch)
                if batch.has_more:
                    continue
            await asyncio.sleep(self._broadcaster.poll)

    def _tell(self, news: Batch | Exception) -> None:
        for listener in list(self._listeners):
            if not listener.hand(news):
                self._listeners.discard(listener)
                listener.left.set()


class Listener:
    """One listener, from `start` on; with `live`, that is the front of the feed. Used as a context manager."""

    def __init__(self, broadcaster: EventBroadcaster, topic: Topic, start: WalkStart, *, live: bool) -> None:
        self._broadcaster, self._topic, self._live = broadcaster, topic, live
        self._position, self._cursor = start.position, start.cursor
        self._forbidden: Mapping[str, str] = {}  # as last sent
        self._queue: asyncio.Queue[Message] = asyncio.Queue(BUFFER)
        self.left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Listener:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def next(self, seconds: float) -> Message | None:
        """What comes next; None where nothing came for so long."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None

    @property
    def idle_cursor(self) -> str | None:
        """A cursor behind all that was handed over; None while some of it is yet to be taken."""
        return self._cursor if self._queue.empty() else None

    async def _run(self) -> None:
        while True:
            channel = self._broadcaster.channel_for(self._topic, self._position, self._cursor) if self._live else None
            if channel is None:
                await self._catch_up()
                continue
            self.left.clear()
            channel.join(self)
            try:
                await self.left.wait()
            finally:
                channel.leave(self)
            # It did not take what came: it goes on by itself, and waits for itself alone.
            self._live = False

    async def _catch_up(self) -> None:
        """One page of its own; with a pause where there was none to be had, or nothing new."""
        begun, was_live = self._position, self._live
        try:
            batch = await self._broadcaster.batch(self._topic, self._cursor)
        except Exception as error:
            await self._queue.put(error)
            await asyncio.sleep(self._broadcaster.poll)
            return
        for message in self._messages(batch):
            await self._queue.put(message)
        self._move(batch)
        self._live = not batch.has_more
        if was_live and self._live and self._position == begun:
            # The channel has come further, by a provider's clock that is ahead of the one that answered here.
            await asyncio.sleep(self._broadcaster.poll)

    def hand(self, news: Batch | Exception) -> bool:
        """Whether there was room for it."""
        messages = [news] if isinstance(news, Exception) else self._messages(news)
        if len(messages) > BUFFER - self._queue.qsize():
            return False
        for message in messages:
            self._queue.put_nowait(message)
        if isinstance(news, Batch):
            self._move(news)
        return True

    def _messages(self, batch: Batch) -> list[Message]:
        """The events that are new here; what of them cannot be read; and, once, what a provider does not show."""
        messages: list[Message] = []
        if items := [item for item in batch.items if item.position > self._position]:
            messages.append(items)
        if batch.forbidden and batch.forbidden != self._forbidden:
            messages.append(SourcesFailed([_refusal(name, reason) for name, reason in batch.forbidden.items()]))
        if batch.bad_records and batch.position > self._position:
            messages.append(SourcesFailed([_unreadable(*item) for item in batch.bad_records.items()]))
        return messages

    def _move(self, batch: Batch) -> None:
        self._forbidden = batch.forbidden
        if batch.position > self._position:
            self._position, self._cursor = batch.position, batch.cursor


def _unreadable(source: str, count: int) -> SourceFailed:
    error = SourceFailed(f"{count} records that cannot be read are left out")
    error.source = source
    return error


def _refusal(source: str, reason: str) -> SourceUnauthorized:
    error = SourceUnauthorized(reason)
    error.source = source
    return error
