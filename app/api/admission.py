"""What a request must pass before any of our own work begins: bounds on its size and on how many there are.

A caller who hangs up is noticed here, too: the handler is cancelled, and with it every call to a provider that it
waits for.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.api.request_log import request_log

MAX_URL = 32_768  #: bytes of path and query, into which the longest cursor goes
MAX_HEADERS = 32_768  #: bytes of all header names and values

#: What an orchestrator asks must be answered however many others wait. Neither does any work.
_ALWAYS = ("/health/live", "/health/ready")

_UNWATCHED = 0.01  #: seconds that a request may take before anybody looks whether its caller is still there
OVERLOADED_WAIT = 1  #: seconds to suggest to a caller who was turned away


class EdgeMiddleware:
    """Turns away what is too large (414, 431) or too much (503); stops the work for a caller who hung up.

    `most`: requests that may be under way in this process at a time.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self._most = most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self.app(scope, receive, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            code, detail = refusal
            headers = {"Retry-After": str(OVERLOADED_WAIT)} if code == "overloaded" else {}
            await problem_response(Request(scope), code, detail, headers=headers)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await _until_hung_up(self.app, scope, receive, send)
        finally:
            self._under_way -= 1

    def _refusal(self, scope: Scope) -> tuple[str, str] | None:
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MAX_URL:
            return "uri_too_long", f"The URL has more than {MAX_URL} bytes; a cursor needs no filters beside it."
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
            return "headers_too_large", f"The headers have more than {MAX_HEADERS} bytes."
        if self._under_way >= self._most:
            return "overloaded", "Too many requests are under way; try again in a moment."
        return None


async def _until_hung_up(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app`, and cancel it when the caller goes away before the answer is complete."""
    task = asyncio.current_task()
    assert task is not None
    gone = asyncio.Event()
    answered = hung_up = begun = False
    watcher: asyncio.Task[None] | None = None

    async def watching(message: Message) -> None:
        nonlocal answered
        # Before it is sent: a server may report the end of an answer as a disconnect, at once.
        answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    async def bodiless() -> Message:
        # No call takes a body. The first message of a request says so; then there is only the disconnect to wait for.
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watch() -> None:
        nonlocal hung_up
        while (await receive())["type"] != "http.disconnect":
            pass  # a body that nobody asked for
        gone.set()
        if not answered:
            hung_up = True
            task.cancel()

    def begin_to_watch() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    # Most answers that need no provider are there before that, and a task costs as much as a few lines of log.
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
