"""`GET /events/stream`: server-sent events (WHATWG HTML, section 9.2), from a follower's pages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from app.api.auth import EventReader, check_again, require_raw
from app.api.broadcaster import Listener, Topic
from app.api.openapi import answers
from app.api.problems import PROBLEMS, problem_body
from app.api.rendering import ClosingStream, encode
from app.api.request_log import request_log
from app.api.routing import new_router
from app.domain.errors import CallerError, CursorMismatch, GatewayError, InvalidCursor, SourcesFailed
from app.domain.query import EventQuery, StreamQuery
from app.feed.planner import WalkStart
from app.feed.service import Feed

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
    held = ExitStack()
    held.enter_context(request.app.state.stream_slots.take(caller))
    body = _body(request, Topic(start.query, start.active, raw, "pii:read" in caller.scopes), start, live)
    # The second is for reverse proxies that buffer.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return ClosingStream(body, media_type="text/event-stream", headers=headers, held=held)


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
