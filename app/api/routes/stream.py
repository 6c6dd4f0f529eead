"""`GET /events/stream`: server-sent events (WHATWG HTML, section 9.2), from a follower's pages, which listeners share.

A **topic** is the set of parameters and grants for which two listeners receive equal bytes. A **batch** is the result
of one page. Batches are cached by their beginning, so that several listeners cost as much as one. The **front** is a
topic's newest batch: a listener that has caught up continues after it, with any initial cursor. A slow listener delays
only itself and takes no memory.

No event is lost or duplicated: a batch contains its position in the order, and a listener takes the events after its
own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextvars import Context
from typing import Annotated, Any

import msgspec
from cachetools import LRUCache, TTLCache
from fastapi import Query, Request
from starlette.responses import Response

from app.api.auth import EventReader, check_again, require_raw
from app.api.openapi import answers
from app.api.problems import PROBLEMS, problem_body
from app.api.rendering import ClosingStream, encode
from app.api.request_log import request_log
from app.api.routing import new_router
from app.domain.caller import Caller
from app.domain.errors import (
    CallerError,
    CursorMismatch,
    GatewayError,
    InvalidCursor,
    SourceFailed,
    SourcesFailed,
    SourceUnauthorized,
)
from app.domain.parameters import Include
from app.domain.position import Position
from app.domain.query import EventQuery, StreamQuery
from app.domain.query import Query as WalkQuery
from app.feed.planner import WalkStart
from app.feed.service import Feed
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor
from app.providers.http.concurrency import SingleFlight

router = new_router(tags=["events"])

_LOOK = 1.0  #: seconds after which a listener detects a shutdown or a revoked key
_RETRY = 3000  #: milliseconds before a browser reconnects

#: Fixed for a stream: ascending, from now on, without end.
_FIXED = ("until", "order", "limit", "partial", "follow")

_LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last message: continues after it. Has precedence over `cursor`; empty is ignored.",
    "schema": {"type": "string"},
}

PAGE = 100  #: events of one batch
_BATCHES = 64  #: cached
_TOPICS = 1000  #: with cached fronts


@router.get(
    "/events/stream",
    summary="Listen to events",
    response_class=Response,
    responses=answers(
        "events",
        "Server-sent events, without end. A message's `data` is an Event, its `id` the cursor after it. The `data` of"
        " an `event: problem` is a Problem: a source delays events, which follow when it is back; or its provider"
        " refuses a part of the account; or unreadable records are left out. Each is sent once. A comment is sent"
        " after 15 seconds of silence (`GATEWAY_STREAM_HEARTBEAT`).",
        content={"text/event-stream": {"schema": {"type": "string"}}},
    ),
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
)
async def stream_events(request: Request, caller: EventReader, query: Annotated[StreamQuery, Query()]) -> Response:
    """New events as they happen: each once, in order, as soon as no earlier one can arrive.

    Do not execute this in Swagger UI, which shows a response only at its end, while a stream has no end: use `curl -N`.

    To resume a broken connection, send the last received `id` as `Last-Event-ID` (browsers do) or as `cursor`. Send the
    key in a header; a key in the URL, which logs contain, is not accepted."""
    feed: Feed = request.app.state.feed
    last_id = request.headers.get("last-event-id")
    cursor = last_id or query.cursor
    live = cursor is None and query.since is None
    # A browser reconnects with its original URL, whose `since` is over; the cursor contains the position.
    begin = {"since": feed.now() - 1 if live else query.since} if cursor is None else {"cursor": cursor}
    asked = EventQuery(**query.given(without=("since", "cursor")), **begin, order="asc", follow=True)
    # Errors name the parameter or header of the cursor, not `order` and `follow`, which are set here.
    came_in = "Last-Event-ID" if last_id else "cursor"
    try:
        start = feed.start(asked, caller)
    except InvalidCursor as error:
        raise InvalidCursor(error.detail, came_in) from None
    except CursorMismatch as error:
        if any(name in _FIXED for name, _ in error.errors):
            message = "is a page's, not a follower's; begin with since=…, or send the id of a stream's message"
            raise CursorMismatch([(came_in, message)]) from None
        raise
    if raw := "raw" in start.include:
        require_raw(caller, by_cursor=asked.include is None)
    request.app.state.stream_slots.take(request, caller)
    body = _body(request, Topic(start.query, start.active, raw, "pii:read" in caller.scopes), start, live)
    # The second is for reverse proxies that buffer.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return ClosingStream(body, media_type="text/event-stream", headers=headers)


async def _body(request: Request, topic: Topic, start: WalkStart, live: bool) -> AsyncGenerator[bytes]:
    state, log = request.app.state, request_log(request)
    clock = asyncio.get_running_loop().time
    # The first id: a client that reconnects before any event continues here, not at a later time.
    warnings = b"".join(b": warning %b\n" % encode(warning) for warning in start.warnings)
    yield warnings + b"retry: %d\nid: %b\n\n" % (_RETRY, start.cursor.encode())
    last_problem: str | None = None
    async with Listener(state.broadcaster, topic, start, live=live) as listener:
        silent_since = clock()
        while state.ready:
            try:
                await check_again(request, topic.caller.scopes, topic.sources)
            except CallerError as refusal:
                yield _problem(request, refusal)
                return
            except GatewayError:
                pass  # unknown at present: checked again soon
            silence = state.stream_heartbeat - (clock() - silent_since)
            sent = b""
            for message in await listener.next(max(0.0, min(_LOOK, silence))):
                if isinstance(message, GatewayError):
                    sent += b"" if message.detail == last_problem else _problem(request, message)
                    last_problem = message.detail
                elif isinstance(message, Exception):
                    raise message
                else:
                    log.deliver(Counter(item.source for item in message))
                    sent += b"".join(item.frame for item in message)
                    last_problem = None
            if not sent and clock() - silent_since >= state.stream_heartbeat:
                # An id without data advances a browser's Last-Event-ID, so that a reconnection after a quiet night
                # does not read all of it.
                sent = b": heartbeat\nid: %b\n\n" % listener.cursor.encode()
            if sent:
                yield sent
                silent_since = clock()
    yield b": the gateway is stopping\n\n"


def _problem(request: Request, error: GatewayError) -> bytes:
    code = error.code if error.code in PROBLEMS else "internal_error"
    sources = error.errors if isinstance(error, SourcesFailed) else ()
    request_id, path = request_log(request).request_id, request.url.path
    body = problem_body(code, error.detail, instance=path, request_id=request_id, sources=sources)
    return b"event: problem\ndata: %b\n\n" % body


class Topic(msgspec.Struct, frozen=True):
    """Filters, sources and visibility that listeners share."""

    query: WalkQuery
    sources: tuple[str, ...]
    raw: bool
    private: bool

    @property
    def caller(self) -> Caller:
        """Return a caller with exactly these grants, for reading."""
        scopes = {"events:read"} | ({"pii:read"} if self.private else set()) | ({"raw:read"} if self.raw else set())
        return Caller("stream", frozenset(scopes), frozenset(self.sources))


class Item(msgspec.Struct, frozen=True):
    """One event as sent, and its position. `source` is counted."""

    position: Position
    source: str
    frame: bytes


class Batch(msgspec.Struct, frozen=True):
    """Result of one page up to `position`, where `cursor` continues, or its `error`. By source, `forbidden` contains
    the refused parts, `bad_records` the number of unreadable records and `notes` the reasons why events may be missing;
    `read_at` is a time of the monotonic clock."""

    items: Sequence[Item]
    position: Position
    cursor: str
    has_more: bool = False
    forbidden: Mapping[str, str] = {}
    bad_records: Mapping[str, int] = {}
    notes: Mapping[str, str] = {}
    error: Exception | None = None
    read_at: float = msgspec.field(default_factory=time.monotonic)


#: For listeners: events, or a problem that delays them.
Message = Sequence[Item] | Exception


class EventBroadcaster:
    """All topics. `poll`: seconds between two reads."""

    def __init__(self, feed: Feed, pseudonyms: Pseudonyms | None, *, poll: float) -> None:
        self.poll = poll
        self._feed, self._pseudonyms = feed, pseudonyms
        self._batches: LRUCache[tuple[Topic, str], Batch] = LRUCache(_BATCHES)
        self._fronts: TTLCache[Topic, Batch] = TTLCache(_TOPICS, 2 * poll)
        self._calls = SingleFlight[Batch]()

    def front(self, topic: Topic, position: Position) -> Batch | None:
        """Return the newest batch of the topic, unless it ends after `position`."""
        front = self._fronts.get(topic)
        return None if front is None or front.position > position else front

    async def read(self, topic: Topic, position: Position, cursor: str) -> Batch:
        """Return the batch after `position`, the position of `cursor`. Concurrent callers share the calls."""
        held = self._batches.get((topic, cursor))
        # A batch without events is valid until the next read.
        if held is not None and (held.cursor != cursor or time.monotonic() < held.read_at + self.poll):
            return held
        return await self._calls.join((topic, cursor), lambda: self._read(topic, position, cursor))

    async def _read(self, topic: Topic, position: Position, cursor: str) -> Batch:
        include: Include = frozenset(("raw",)) if topic.raw else frozenset()
        query = EventQuery(cursor=cursor, limit=PAGE, include=include, partial=False)
        try:
            page = await self._feed.page(query, topic.caller)
            redactor = Redactor(private=topic.private, raw=topic.raw, pseudonyms=self._pseudonyms)
            items = []
            for index, event in enumerate(redactor.events(page.records)):
                frame = b"id: %b\ndata: %b\n\n" % (page.cursor_after(index).encode(), encode(event))
                items.append(Item(page.records[index].key, event.source, frame))
            batch = Batch(
                items,
                max(position, page.position),
                page.next_cursor or cursor,
                page.has_more,
                {status.name: status.reason or "" for status in page.sources if status.status == "forbidden"},
                {status.name: status.bad_records.total() for status in page.sources if status.bad_records},
                {status.name: status.reason for status in page.sources if status.status == "ok" and status.reason},
            )
        except Exception as error:  # each listener raises it in its own request, unexpected ones too
            batch = Batch((), position, cursor, error=error)
        self._batches[topic, cursor] = batch
        front = self._fronts.get(topic)
        if batch.error is None and (not batch.has_more if front is None else front.cursor == cursor):
            self._fronts[topic] = batch
        return batch


class Listener:
    """One listener from `start` on; with `live`, from the front of the feed. Context manager. `cursor` is after all
    events that `next` has returned."""

    def __init__(self, broadcaster: EventBroadcaster, topic: Topic, start: WalkStart, *, live: bool) -> None:
        self.cursor = start.cursor
        self._broadcaster, self._topic, self._position = broadcaster, topic, start.position
        self._forbidden: Mapping[str, str] = {}  # as last sent
        self._notes: Mapping[str, str] = {}  # as last sent
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
        """Return the next messages, or an empty list after `seconds` without any."""
        if self._reading is None:
            # Not in the context of a request: other listeners share the read, and its trace would never end.
            self._reading = asyncio.create_task(self._read(), context=Context())
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
        """Return the batch after the last one, not before the next read is due."""
        if not self._last.has_more:
            await asyncio.sleep(self._last.read_at + self._broadcaster.poll - time.monotonic())
        return await self._broadcaster.read(self._topic, self._last.position, self._last.cursor)

    def _messages(self, batch: Batch) -> list[Message]:
        """Return the events that are new for this listener, unreadable records and, once, refused parts
        and reasons why events may be missing."""
        if batch.error is not None:
            return [batch.error]
        messages: list[Message] = []
        if items := [item for item in batch.items if item.position > self._position]:
            messages.append(items)
        if batch.forbidden and batch.forbidden != self._forbidden:
            refusals = [SourceUnauthorized(reason, source=name) for name, reason in batch.forbidden.items()]
            messages.append(SourcesFailed(refusals))
        self._forbidden = batch.forbidden
        if batch.notes and batch.notes != self._notes:
            messages.append(SourcesFailed([SourceFailed(note, source=name) for name, note in batch.notes.items()]))
        self._notes = batch.notes
        if batch.bad_records and batch.position > self._position:
            left_out = "records that cannot be read are left out"
            counts = [SourceFailed(f"{count} {left_out}", source=name) for name, count in batch.bad_records.items()]
            messages.append(SourcesFailed(counts))
        return messages
