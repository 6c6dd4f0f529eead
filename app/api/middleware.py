"""Request id, bounds, error response and log line of every request; the end of its work if the caller hangs up.

Plain ASGI rather than Starlette's BaseHTTPMiddleware, which costs a task per request and hides a client's disconnect.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.api.problems import problem_response
from app.api.rendering import present
from app.api.request_log import AuditTrail, RequestLog, request_log
from app.domain.caller import Caller
from app.domain.errors import RateLimited
from app.logs import describe_exception

UNMATCHED = "unmatched"  #: the route of an unknown path

#: Long calls are counted separately, so that they do not displace pages. Probes of orchestrators and monitors, which
#: call no provider, are answered under any load.
_KINDS = {"/events/stream": "streams", "/events/export": "exports"} | dict.fromkeys(
    ("/health/live", "/health/ready", "/metrics"), "probes"
)

SLOT_WAIT = 30  #: seconds of Retry-After if streams or exports must end first
_UNWATCHED = 0.01  #: seconds that a request may take before its connection is watched
_LARGE = 200  #: events of a page that waits for its turn
_LARGE_AT_ONCE = 3  #: such pages at once

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
#: The client refuses gzip (RFC 9110, section 12.4.2).
_NO_GZIP = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)

_log = structlog.get_logger("gateway.request")


class RequestMiddleware:
    """Accept or create the request id and return it; refuse requests above `most` (concurrent requests of each kind in
    this process); cancel the work for a disconnected caller; answer an unexpected exception with a 500; write the log
    line and, with `audit`, the audit line; count. `around` adds headers to the application's responses and to these.

    Neither log nor response contain an exception's text, which may quote a secret or personal data."""

    def __init__(
        self,
        app: ASGIApp,
        most: Mapping[str, int] | None = None,
        metrics: Metrics | None = None,
        audit: AuditTrail | None = None,
        around: Callable[[ASGIApp], ASGIApp] | None = None,
    ) -> None:
        self._around = around or (lambda answer: answer)
        self.app = self._around(app)
        self.metrics = metrics or Metrics()
        self.audit = audit
        self._most = most or {}
        self._under_way = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        kind = _KINDS.get(scope["path"], "pages")
        self.metrics.under_way(kind).inc()
        self._under_way[kind] += 1
        # From the faster, non-cryptographic generator, because the id is not secret.
        log = RequestLog(request_id=f"{random.getrandbits(128):032x}")
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _SANE_ID.match(value):
                log.request_id = value.decode()
            elif name == b"accept-encoding" and _NO_GZIP.search(value):  # which Starlette's gzip does not read
                scope["headers"] = [header for header in scope["headers"] if header[0] != name]
        scope.setdefault("state", {})["gateway_log"] = log
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", log.request_id.encode()), *log.headers]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body":
                # Before sending, because a server may report the end of a response immediately as a disconnect.
                log.is_complete = not message.get("more_body", False)
            await send(message)

        async def refuse(code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
            answer = problem_response(Request(scope), code, detail, headers=headers)
            await self._around(answer)(scope, receive, send_with_id)

        try:
            if self._under_way[kind] > self._most.get(kind, self._under_way[kind]):
                detail = "Too many requests are under way; try again in a moment."
                headers = {"Retry-After": "1" if kind == "pages" else str(SLOT_WAIT)}
                await refuse("overloaded", detail, headers)
            else:
                await _until_hung_up(self.app, scope, receive, send_with_id, log)
        except InterruptedAnswer as cut:
            if log.status:
                raise  # an intended interruption, already logged
            # Before the first byte, the server would send a 500 in plain text.
            await refuse("source_failed", f"Nothing was sent: {cut}.")
        except Exception as error:
            log.code = "internal_error"
            _log.error("unexpected_error", request_id=log.request_id, **describe_exception(error))
            if log.status:
                # Too late for another response: the server cuts the connection, so that the client notices.
                raise InterruptedAnswer("the answer was cut off by an error") from None
            await refuse("internal_error", "An unexpected error; the gateway's log has more under this request_id.")
        finally:
            self._under_way[kind] -= 1
            for release in log.at_end:
                release()
            seconds = time.perf_counter() - started
            # The route's template, because a path is the caller's text.
            route = getattr(scope.get("route"), "path", None) or UNMATCHED
            self.metrics.end_request(kind, scope["method"], route, log.status, seconds, log)
            if self.audit is not None:
                self.audit.record(scope, log, route)
            unimportant = self.audit is None or (route.startswith("/health/") and log.status < 500)
            write = _log.debug if unimportant else _log.info
            optional = present({"code": log.code, "events": log.events, "sources": log.sources or None})
            write(
                "request",
                method=scope["method"],
                route=route,
                status=log.status,
                duration_ms=round(seconds * 1000, 1),
                caller=log.caller,
                request_id=log.request_id,
                **optional,
            )


class Slots:
    """Streams or exports (`what`) that are open in this process, `each` per key. The middleware bounds them in all."""

    def __init__(self, what: str, each: int) -> None:
        self._what, self._each = what, each
        self.taken = Counter[str]()

    def take(self, request: Request, caller: Caller) -> None:
        """Hold one slot until the end of the request. Raises RateLimited for a key that holds its share."""
        if self.taken[caller.name] >= self._each:
            detail = (
                f"This key has {self._each} {self._what} open, as many as one key may"
                f" (GATEWAY_KEY_{self._what.upper()}); end one of them."
            )
            raise RateLimited(detail, retry_after=SLOT_WAIT)
        self.taken[caller.name] += 1

        def release() -> None:
            self.taken[caller.name] -= 1
            self.taken += Counter()  # without noughts: names of tokens come and go

        request_log(request).at_end.append(release)


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


async def _until_hung_up(app: ASGIApp, scope: Scope, receive: Receive, send: Send, log: RequestLog) -> None:
    """Run `app`, and cancel it if the caller disconnects before the response is complete."""
    # No call takes a body. By this version, responses do not wait for a disconnect themselves, in a second task.
    scope["asgi"] = {**scope.get("asgi", {}), "spec_version": "2.4"}
    task = asyncio.current_task()
    assert task is not None
    hung_up = False
    watchers: list[asyncio.Task[None]] = []

    async def watch() -> None:
        nonlocal hung_up
        while (await receive())["type"] != "http.disconnect":
            pass  # an unexpected body
        if not log.is_complete:
            hung_up = True
            task.cancel()

    # Most responses without a provider are complete before that; a task costs as much as a few log lines.
    timer = asyncio.get_running_loop().call_later(_UNWATCHED, lambda: watchers.append(asyncio.create_task(watch())))
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        if not hung_up:
            raise
        task.uncancel()
        log.code = "hung_up"
    finally:
        timer.cancel()
        for watcher in watchers:
            watcher.cancel()


class CorsMiddleware(CORSMiddleware):
    """Starlette's CORS, whose refusal of a preflight is a problem."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        return response if response.status_code == 200 else _RefusedPreflight(response.body, headers=response.headers)


class _RefusedPreflight(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"{bytes(self.body).decode()}; see GATEWAY_CORS_ORIGINS."
        headers = {name: value for name, value in self.headers.items() if not name.startswith("content-")}
        await problem_response(Request(scope), "bad_request", detail, headers=headers)(scope, receive, send)


class InterruptedAnswer(Exception):
    """A started response cannot be completed."""
