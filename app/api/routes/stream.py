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
from collections.abc import AsyncGenerator, Sequence
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
    SourceError,
    SourceFailed,
    SourcesFailed,
    SourceUnauthorized,
)
from app.domain.parameters import Include
from app.domain.position import Position
from app.domain.query import EventQuery, StreamQuery
from app.domain.query import Query as WalkQuery
from app.feed.model import WalkStart
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
    body = _body(request, Topic(start.query, tuple(start.sources), raw, "pii:read" in caller.scopes), start, live)
    # The second is for reverse proxies that buffer.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return ClosingStream(body, media_type="text/event-stream", headers=headers)


async def _body(request: Request, topic: Topic, start: WalkStart, live: bool) -> AsyncGenerator[bytes]:
    """Yield the messages from `start` on; with `live`, from the front of the feed."""
    state, log = request.app.state, request_log(request)
    broadcaster: EventBroadcaster = state.broadcaster
    # The first id: a client that reconnects before any event continues here, not at a later time.
    warnings = b"".join(b": warning %b\n" % encode(warning) for warning in start.warnings)
    yield warnings + b"retry: %d\nid: %b\n\n" % (_RETRY, start.cursor.encode())
    position, cursor = start.position, start.cursor  # after all events that were sent
    last = Batch((), position, cursor, has_more=True)
    if live:
        last = broadcaster.front(topic, position) or last
    last_problem: str | None = None
    sent_problems: set[str] = set()  # of the last batch
    reading: asyncio.Task[Batch] | None = None
    silent_since = time.monotonic()
    try:
        while state.ready:
            try:
                await check_again(request, topic.caller.scopes, topic.sources)
            except CallerError as refusal:
                yield _problem(request, refusal)
                return
            except GatewayError:
                pass  # unknown at present: checked again soon
            if reading is None:
                # Not in the context of a request: other listeners share the read, and its trace would never end.
                reading = asyncio.create_task(broadcaster.read_after(topic, last), context=Context())
            silence = state.stream_heartbeat - (time.monotonic() - silent_since)
            done, _ = await asyncio.wait([reading], timeout=max(0.0, min(_LOOK, silence)))
            sent = b""
            if done:
                last, reading = reading.result(), None
                problems = [problem for problem in last.problems if problem.detail not in sent_problems]
                if isinstance(last.error, GatewayError):
                    problems = [last.error]
                elif last.error is not None:
                    raise last.error
                else:
                    sent_problems = {problem.detail for problem in last.problems}
                if items := [item for item in last.items if item.position > position]:
                    log.deliver(Counter(item.source for item in items))
                    sent = b"".join(item.frame for item in items)
                    last_problem = None
                if last.position > position:
                    problems += last.unreadable
                    position, cursor = last.position, last.cursor
                for problem in problems:
                    sent += b"" if problem.detail == last_problem else _problem(request, problem)
                    last_problem = problem.detail
                if not last.has_more and last.error is None:
                    last = broadcaster.front(topic, position) or last
            if not sent and time.monotonic() - silent_since >= state.stream_heartbeat:
                # An id without data advances a browser's Last-Event-ID, so that a reconnection after a quiet night
                # does not read all of it.
                sent = b": heartbeat\nid: %b\n\n" % cursor.encode()
            if sent:
                yield sent
                silent_since = time.monotonic()
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
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
    """Result of one page up to `position`, where `cursor` continues, or its `error`. `problems`: refused parts, and the
    reasons why events may be missing; `unreadable`: the records of this page that are left out. `read_at` is a time of
    the monotonic clock."""

    items: Sequence[Item]
    position: Position
    cursor: str
    has_more: bool = False
    problems: Sequence[GatewayError] = ()
    unreadable: Sequence[GatewayError] = ()
    error: Exception | None = None
    read_at: float = msgspec.field(default_factory=time.monotonic)


class EventBroadcaster:
    """All topics. `poll`: seconds between two reads."""

    def __init__(self, feed: Feed, pseudonyms: Pseudonyms | None, *, poll: float) -> None:
        self._poll = poll
        self._feed, self._pseudonyms = feed, pseudonyms
        self._batches: LRUCache[tuple[Topic, str], Batch] = LRUCache(_BATCHES)
        self._fronts: TTLCache[Topic, Batch] = TTLCache(_TOPICS, 2 * poll)
        self._calls = SingleFlight[Batch]()

    def front(self, topic: Topic, position: Position) -> Batch | None:
        """Return the newest batch of the topic, unless it ends after `position`."""
        front = self._fronts.get(topic)
        return None if front is None or front.position > position else front

    async def read_after(self, topic: Topic, last: Batch) -> Batch:
        """Return the batch after `last`, not before the next read is due. Concurrent callers share the calls."""
        if not last.has_more:
            await asyncio.sleep(last.read_at + self._poll - time.monotonic())
        cursor = last.cursor
        held = self._batches.get((topic, cursor))
        # A batch without events is valid until the next read.
        if held is not None and (held.cursor != cursor or time.monotonic() < held.read_at + self._poll):
            return held
        return await self._calls.join((topic, cursor), lambda: self._read(topic, last.position, cursor))

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
            refused, doubts, unreadable = list[SourceError](), list[SourceError](), list[SourceError]()
            for status in page.sources:
                if status.status == "forbidden":
                    refused.append(SourceUnauthorized(status.reason or "", source=status.name))
                elif status.status == "ok" and status.reason:
                    doubts.append(SourceFailed(status.reason, source=status.name))
                if status.bad_records:
                    text = f"{status.bad_records.total()} records that cannot be read are left out"
                    unreadable.append(SourceFailed(text, source=status.name))
            problems = [SourcesFailed(errors) for errors in (refused, doubts) if errors]
            left_out = [SourcesFailed(unreadable)] if unreadable else []
            following = page.next_cursor or cursor
            batch = Batch(items, max(position, page.position), following, page.has_more, problems, left_out)
        except Exception as error:  # each listener raises it in its own request, unexpected ones too
            batch = Batch((), position, cursor, error=error)
        self._batches[topic, cursor] = batch
        front = self._fronts.get(topic)
        if batch.error is None and (not batch.has_more if front is None else front.cursor == cursor):
            self._fronts[topic] = batch
        return batch
