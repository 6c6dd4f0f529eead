"""Admission of requests before any work: bounds on their size and number.

Also detects a caller's disconnect, and cancels the handler with its calls to providers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.api.request_log import request_log
from app.domain.caller import Caller
from app.domain.errors import RateLimited

MAX_URL = 32_768  #: bytes of path and query; the longest cursor fits
MAX_HEADERS = 32_768  #: bytes of all header names and values

#: Calls of orchestrators and monitors, answered under any load. None of them calls a provider.
_ALWAYS = ("/health/live", "/health/ready", "/metrics")

#: Long calls are counted separately, so that they do not displace pages.
_KINDS = {"/events/stream": "streams", "/events/export": "exports"}

_UNWATCHED = 0.01  #: seconds that a request may take before its connection is watched
OVERLOADED_WAIT = 1  #: seconds of Retry-After for a refused caller
SLOT_WAIT = 30  #: the same, if streams or exports must end first
_LARGE = 200  #: events of a page that waits for its turn
_LARGE_AT_ONCE = 3  #: such pages at once


def kind_of(path: str) -> str:
    """Return the kind of a request: `pages`, `streams`, `exports`, or `probes`, which are always answered."""
    return "probes" if path in _ALWAYS else _KINDS.get(path, "pages")


class AdmissionMiddleware:
    """Refuse requests that are too large (414, 431) or too many (503); cancel the work for a disconnected caller.

    `most`: largest number of concurrent requests of each kind in this process.
    """

    def __init__(self, app: ASGIApp, most: Mapping[str, int]) -> None:
        self.app = app
        self._most = most
        self._under_way = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self.app(scope, receive, send)
            return
        kind = kind_of(scope["path"])
        if (refusal := self._refusal(scope, kind)) is not None:
            code, detail = refusal
            wait = OVERLOADED_WAIT if kind == "pages" else SLOT_WAIT
            headers = {"Retry-After": str(wait)} if code == "overloaded" else {}
            await problem_response(Request(scope), code, detail, headers=headers)(scope, receive, send)
            return
        self._under_way[kind] += 1
        try:
            await _until_hung_up(self.app, scope, receive, send)
        finally:
            self._under_way[kind] -= 1

    def _refusal(self, scope: Scope, kind: str) -> tuple[str, str] | None:
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MAX_URL:
            return "uri_too_long", f"The URL has more than {MAX_URL} bytes; a cursor needs no filters beside it."
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
            return "headers_too_large", f"The headers have more than {MAX_HEADERS} bytes."
        if self._under_way[kind] >= self._most[kind]:
            return "overloaded", "Too many requests are under way; try again in a moment."
        return None


class Slots:
    """Streams or exports (`what`) that are open in this process, `each` per key. The middleware bounds them in all."""

    def __init__(self, what: str, each: int) -> None:
        self._what, self._each = what, each
        self.taken = Counter[str]()

    @contextmanager
    def take(self, caller: Caller) -> Iterator[None]:
        """Hold one slot. Raises RateLimited for a key that holds its share."""
        if self.taken[caller.name] >= self._each:
            detail = (
                f"This key has {self._each} {self._what} open, as many as one key may"
                f" (GATEWAY_KEY_{self._what.upper()}); end one of them."
            )
            raise RateLimited(detail, retry_after=SLOT_WAIT)
        self.taken[caller.name] += 1
        try:
            yield
        finally:
            self.taken[caller.name] -= 1
            self.taken += Counter()  # without noughts: names of tokens come and go


class LargePages:
    """Limit for pages of many events, because each uses much memory and processor time. If none has ended for
    `patience` seconds, the others continue, so that one provider that hangs does not delay the pages of another."""

    def __init__(self, patience: float = 2.0) -> None:
        self._turns, self._patience = asyncio.Semaphore(_LARGE_AT_ONCE), patience
        self._ended = 0.0

    @asynccontextmanager
    async def turn(self, limit: int | None) -> AsyncIterator[None]:
        """Hold a turn for a page of `limit` events; None: the limit of its cursor."""
        if limit is not None and limit <= _LARGE:
            yield
            return
        taken, begun = False, time.monotonic()
        while not taken and time.monotonic() - max(begun, self._ended) < self._patience:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    taken = await self._turns.acquire()
        try:
            yield
        finally:
            self._ended = time.monotonic()
            if taken:
                self._turns.release()


async def _until_hung_up(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app`, and cancel it if the caller disconnects before the response is complete."""
    task = asyncio.current_task()
    assert task is not None
    gone = asyncio.Event()
    answered = hung_up = begun = False
    watcher: asyncio.Task[None] | None = None

    async def watching(message: Message) -> None:
        nonlocal answered
        # Before sending, because a server may report the end of a response immediately as a disconnect.
        answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    async def bodiless() -> Message:
        # No call takes a body: the first message ends the request, and the next one is the disconnect.
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watch() -> None:
        nonlocal hung_up
        while (await receive())["type"] != "http.disconnect":
            pass  # an unexpected body
        gone.set()
        if not answered:
            hung_up = True
            task.cancel()

    def begin_to_watch() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    # Most responses without a provider are complete before that; a task costs as much as a few log lines.
    timer = asyncio.get_running_loop().call_later(_UNWATCHED, begin_to_watch)
    try:
        await app(scope, bodiless, watching)
    except asyncio.CancelledError:
        if not hung_up:
            raise
        task.uncancel()
        request_log(Request(scope)).code = "hung_up"
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
