"""HTTP/1.1 as uvicorn speaks it, with bounds on a caller's patience with us: uvicorn itself waits for half a request
for ever, and for a reader who never reads.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
import structlog
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from app.api.request_log import new_request_id
from app.cli.coalescing import CoalescingTransport
from app.cli.oldcycle import OldCycle, reset

_log = structlog.get_logger("gateway.connection")

_MOST_WITHOUT = 65_536  #: bytes in which no head ends and nothing of a body is
_MOST_HEADERS = 500
_MOST_URL = 65_535  #: bytes; httptools counts them in sixteen bits
_MOST_WAITING = 1_048_576  #: bytes of memory, about, of requests that wait behind another on one connection
_REQUEST, _HEADER = 1_500, 130  #: bytes of it beside the text
_MOST_BODY = 8_388_608  #: bytes of a body that nobody asked for
_PART = 64  #: bytes that a part of it counts more than it has: many small ones cost more than a large one


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings and ours, in seconds. `head_timeout`: from a connection's, or a further request's, first byte
    until the end of its headers. `stall_timeout`: without a caller taking anything of an answer that waits for it."""

    def __init__(self, app: Any, *, head_timeout: float, stall_timeout: float = 60.0, **settings: Any) -> None:
        super().__init__(app, http="app.cli.protocol:BoundedProtocol", **settings)
        self.head_timeout, self.stall_timeout = head_timeout, stall_timeout


class _Refused(ValueError):
    """A request that is not taken. Raised where the parser calls us, it ends the parsing as a fault that the parser
    finds itself would."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def _no_request(fault: str) -> _Refused:
    return _Refused("bad_request", f"This is no HTTP request; {fault}.")


_URL_HINT = (
    "its URL must begin with / and be plain ASCII, all else percent-encoded (curl -G --data-urlencode 'q=Þórður' ...)"
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Refusals of what is not yet a request are problems, too."""

    config: BoundedConfig
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _stalled_at = 0  #: bytes that waited when the stall timer was set
    _in_head = False  #: a request has begun, and its headers have not ended
    _progress = False  #: the bytes just received ended a head, or held some of a body
    _without = 0  #: bytes since there was any
    _waiting = 0  #: bytes of memory, about, of the requests in the pipeline
    _body = 0  #: bytes, about, of the last request's body
    _upgrade = False  #: what comes after the last request is none of HTTP/1.1's
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # A transport in all that uvicorn asks of one; made anew it would have to copy two dozen methods.
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
        self.flow = _Flow(self.transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        # uvicorn tells the request that came last; another may be under way before it.
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._upgrade:
            return
        self._progress = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser keeps what has not ended, however long it is.
        self._without = 0 if self._progress else self._without + len(data)
        if self._without > _MOST_WITHOUT:
            self._refuse_or_cut("headers_too_large", "The request's line and headers are too large.")
        elif self.cycle is None or self.cycle.response_complete:
            # Also where a body that nobody asked for trickles in behind the answer: each of its bytes puts off
            # uvicorn's own timer.
            self._expect_head()

    # ---- what the parser calls -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._body = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers behind a chunked body are none of the request's headers.
        if self._in_head:
            if len(self.headers) >= _MOST_HEADERS:
                raise _Refused("headers_too_large", f"The request has more than {_MOST_HEADERS} headers.")
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._check_head()
        if not self.url.startswith(b"/"):
            self.url = _with_path(self.url)
        super().on_headers_complete()
        self._in_head, self._progress = False, True
        self._head_came()
        if self.parser.should_upgrade():
            # To nothing that we speak; the parser reads no further request here.
            self.cycle.keep_alive, self._upgrade = False, True
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self._waiting += _weight(self.cycle)
            if self._waiting > _MOST_WAITING:
                raise _Refused("headers_too_large", "Too many requests wait on this connection.")

    def _check_head(self) -> None:
        """Raises _Refused for what llhttp lets through."""
        if len(self.url) > _MOST_URL:
            raise _Refused("uri_too_long", f"The URL has more than {_MOST_URL} bytes.")
        if not self.url.isascii():
            raise _no_request(_URL_HINT)
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _no_request(f"HTTP/{version} is not spoken here, HTTP/1.1 is")
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise _no_request("it must have one Host header (RFC 9112, section 3.2)")
        if b"transfer-encoding" in names:
            codings = b",".join(value for name, value in self.headers if name == b"transfer-encoding")
            if codings.rpartition(b",")[2].strip().lower() != b"chunked":
                raise _no_request("its last transfer coding must be chunked (RFC 9112, section 6.1)")

    def on_body(self, body: bytes) -> None:
        # No call takes one: it is not kept.
        self._progress = True
        self._body += len(body) + _PART
        if self._body > _MOST_BODY:
            raise _Refused("bad_request", "No call takes a body.")

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.parser.should_keep_alive():
            # The head or a trailer says so: the parser reads no further.
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: callers offer HTTP/2 in passing, and uvicorn would warn of a missing WebSocket library."""

    # ---- what uvicorn calls --------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._waiting:
            self._waiting -= _weight(cycle)
        if cycle.scope["http_version"] != "1.1":
            # There is no other way to have uvicorn make one.
            cycle.__class__ = OldCycle
            cycle.waiting_for_100_continue = False
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_head and not self.pipeline and not self.transport.is_closing():
            # Half of the next head is there: it has as long as any other.
            self._unset_keepalive_if_required()
            self._expect_head()

    # ---- refusals ------------------------------------------------------------------------------------------------

    def _expect_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.config.head_timeout, self._head_is_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._in_head:
            self._refuse_or_cut("request_timeout", "The request's headers did not come in time.")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        # Called while the parser's error is handled, of which what was raised where it called us is the context.
        error = sys.exc_info()[1]
        refused = error.__context__ if error is not None else None
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            refused = _no_request("it begins with no method that HTTP knows, such as GET")
        elif isinstance(refused or error, httptools.HttpParserInvalidURLError):
            refused = _no_request(_URL_HINT)
        elif not isinstance(refused, _Refused):
            # llhttp's reasons are constants: "Invalid header token".
            refused = _no_request(f"its parser says: {error}" if refused is None else "see RFC 9112")
        self._refuse_or_cut(refused.code, refused.detail)

    def _refuse_or_cut(self, code: str, detail: str) -> None:
        """Answer with a problem and close. There is no request yet, and so neither a path nor a caller's own id."""
        if self.cycle is not None and not self.cycle.response_complete:
            # A request is being answered: there is no place for a second answer.
            self.transport.abort()
            return
        status, request_id = PROBLEMS[code][0], new_request_id()
        body = problem_body(code, detail, instance="", request_id=request_id)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        _log.info("refused", code=code, status=status, request_id=request_id)
        lines = [name + b": " + value for name, value in headers]
        self.transport.write(STATUS_LINE[status] + b"\r\n".join([*lines, b"", body]))
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _watch_stall(self) -> None:
        self._stalled_at = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self.config.stall_timeout, self._check_stall)

    def _check_stall(self) -> None:
        self._stall_timer = None
        if self.transport.get_write_buffer_size() >= self._stalled_at:
            # An orderly end would wait in the kernel behind what is never read.
            reset(self.transport)
        else:
            self._watch_stall()

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None


class _Flow(FlowControl):
    """uvicorn's, which goes on reading while requests wait: only who reads hears that the caller has hung up, and what
    may come meanwhile is bounded."""

    def pause_reading(self) -> None:
        pass


def _with_path(url: bytes) -> bytes:
    """An absolute URL, as proxies get it, where `http://host` means `http://host/` (RFC 9110, section 4.2.3)."""
    parsed = httptools.parse_url(url)
    return url if parsed.path else b"/?" + parsed.query if parsed.query else b"/"


def _weight(cycle: RequestResponseCycle) -> int:
    scope = cycle.scope
    text = len(scope["raw_path"]) + len(scope["query_string"])
    return _REQUEST + text + sum(len(name) + len(value) + _HEADER for name, value in scope["headers"])
