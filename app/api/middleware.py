"""Around every request: an id, one log line, and an answer even where the code failed.

Plain ASGI rather than Starlette's BaseHTTPMiddleware, which costs a task per request and hides a caller's
hanging up.
"""

from __future__ import annotations

import re
import time

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.audit_log import AuditTrail
from app.api.metrics import Metrics
from app.api.problems import problem_response
from app.api.request_log import RequestLog, new_request_id
from app.logs import describe_exception

UNMATCHED = "unmatched"  #: the route of a path that there is not

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")

_log = structlog.get_logger("gateway.request")


class RequestMiddleware:
    """Accepts or makes the request id, sends it back as X-Request-ID, writes the log line and the line of the audit
    trail, and counts."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics | None = None,
        audit: AuditTrail | None = None,
        quiet: bool = False,
    ) -> None:
        self.app = app
        self.metrics = metrics or Metrics()
        self.audit = audit
        self.quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.metrics.begin_request()
        log = RequestLog(request_id=_request_id(scope))
        scope.setdefault("state", {})["gateway_log"] = log
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", log.request_id.encode()), *log.headers]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = _route(scope)
            self.metrics.end_request(scope["method"], route, status, seconds, log)
            if self.audit is not None:
                self.audit.record(scope, log, route, status)
            unimportant = self.quiet or (route.startswith("/health/") and status < 500)
            write = _log.debug if unimportant else _log.info
            write("request", **_line(scope["method"], route, log, status, seconds))


class UnexpectedErrorMiddleware:
    """Answers an exception that nobody expected with a 500 that says nothing about it, and logs where it
    arose.

    The exception's own text is left out of both: it may quote a secret or somebody's data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watching)
        except InterruptedAnswer:
            raise  # cut off on purpose, by somebody who has said why
        except Exception as error:
            request = Request(scope)
            log: RequestLog = scope["state"]["gateway_log"]
            log.code = "internal_error"
            _log.error("unexpected_error", request_id=log.request_id, **describe_exception(error))
            if started:
                # Too late for another answer: make the server cut the connection, so that nobody takes half
                # for whole.
                raise InterruptedAnswer("the answer was cut off by an error") from None
            detail = "An error that nobody expected; the gateway's log has more under this request_id."
            await problem_response(request, "internal_error", detail)(scope, receive, send)


class InterruptedAnswer(Exception):
    """An answer that had begun cannot be finished."""


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.match(value):
            return str(value.decode())
    return new_request_id()


def _route(scope: Scope) -> str:
    """The route's template, for a path is the caller's own text."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED


def _line(method: str, route: str, log: RequestLog, status: int, seconds: float) -> dict[str, object]:
    line: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,  # 0: the caller hung up before there was an answer
        "duration_ms": round(seconds * 1000, 1),
        "caller": log.caller,
        "request_id": log.request_id,
    }
    optional = {"code": log.code, "events": log.events, "sources": log.sources or None}
    return line | {name: value for name, value in optional.items() if value is not None}
