"""Request id, log line and error response of every request.

Plain ASGI rather than Starlette's BaseHTTPMiddleware, which costs a task per request and hides a client's disconnect.
"""

from __future__ import annotations

import re
import time

import structlog
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.admission import kind_of
from app.api.metrics import Metrics
from app.api.problems import problem_response
from app.api.request_log import AuditTrail, RequestLog, new_request_id
from app.logs import describe_exception

UNMATCHED = "unmatched"  #: the route of an unknown path

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")

_log = structlog.get_logger("gateway.request")


class RequestMiddleware:
    """Accept or create the request id and return it; write the log line and the audit line; count."""

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
        kind = kind_of(scope["path"])
        self.metrics.begin_request(kind)
        log = RequestLog(request_id=_request_id(scope))
        scope.setdefault("state", {})["gateway_log"] = log
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", log.request_id.encode()), *log.headers]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            # The route's template, because a path is the caller's text.
            route = getattr(scope.get("route"), "path", None) or UNMATCHED
            self.metrics.end_request(kind, scope["method"], route, log.status, seconds, log)
            if self.audit is not None:
                self.audit.record(scope, log, route)
            unimportant = self.quiet or (route.startswith("/health/") and log.status < 500)
            write = _log.debug if unimportant else _log.info
            optional = {"code": log.code, "events": log.events, "sources": log.sources or None}
            write(
                "request",
                method=scope["method"],
                route=route,
                status=log.status,
                duration_ms=round(seconds * 1000, 1),
                caller=log.caller,
                request_id=log.request_id,
                **{name: value for name, value in optional.items() if value is not None},
            )


class UnexpectedErrorMiddleware:
    """Answer an unexpected exception with a 500, and log its location.

    Neither contains the exception's text, which may quote a secret or personal data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except InterruptedAnswer:
            raise  # an intended interruption, already logged
        except Exception as error:
            request = Request(scope)
            log: RequestLog = scope["state"]["gateway_log"]
            log.code = "internal_error"
            _log.error("unexpected_error", request_id=log.request_id, **describe_exception(error))
            if log.status:
                # Too late for another response: the server cuts the connection, so that the client notices.
                raise InterruptedAnswer("the answer was cut off by an error") from None
            detail = "An unexpected error; the gateway's log has more under this request_id."
            await problem_response(request, "internal_error", detail)(scope, receive, send)


#: The client refuses gzip (RFC 9110, section 12.4.2).
_NO_GZIP = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class CompressionMiddleware(GZipMiddleware):
    """Starlette's gzip, which would also be sent to clients that refuse it by `gzip;q=0`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", [])
        if any(name == b"accept-encoding" and _NO_GZIP.search(value) for name, value in headers):
            # In place: the log line reads what the router adds to the scope.
            scope["headers"] = [header for header in headers if header[0] != b"accept-encoding"]
        await super().__call__(scope, receive, send)


class InterruptedAnswer(Exception):
    """A started response cannot be completed."""


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.match(value):
            return str(value.decode())
    return new_request_id()
