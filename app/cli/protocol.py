"""HTTP/1.1 as uvicorn speaks it, with bounds on a caller's patience with us: uvicorn itself waits for half a request
for ever, and for a reader who never reads.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import uuid
from typing import Any

import httptools
import structlog
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from app.cli.coalescing import CoalescingTransport

_log = structlog.get_logger("gateway.connection")

_MOST_WITHOUT = 65_536  #: bytes in which no head ends and nothing of a body is
_MOST_WAITING = 1_000  #: requests that wait behind another on one connection


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings and ours, in seconds. `head_timeout`: from a connection's, or a further request's, first byte
    until the end of its headers. `stall_timeout`: without a caller taking anything of an answer that waits for it."""

    def __init__(self, app: Any, *, head_timeout: float, stall_timeout: float = 60.0, **settings: Any) -> None:
        super().__init__(app, http="app.cli.protocol:BoundedProtocol", **settings)
        self.head_timeout, self.stall_timeout = head_timeout, stall_timeout


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Refusals of what is not yet a request are problems, too."""

    config: BoundedConfig
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _stalled_at = 0  #: bytes that waited when the stall timer was set
    _in_head = False  #: a request has begun, and its headers have not ended
    _progress = False  #: the bytes just received ended a head, or held some of a body
    _without = 0  #: bytes since there was any
    _fault = "in a URL, what is not plain ASCII is percent-encoded (curl -G --data-urlencode 'q=Þórður' ...)"
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # A transport in all that uvicorn asks of one; made anew it would have to copy two dozen methods.
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        # uvicorn tells the request that came last; another may be under way, with more behind it.
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before, self._progress = self.cycle, False
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser keeps what has not ended, however long it is.
        self._without = 0 if self._progress else self._without + len(data)
        if self._without > _MOST_WITHOUT:
            self._refuse_or_cut("headers_too_large", "The request's line and headers are too large.")
        elif len(self.pipeline) > _MOST_WAITING:
            self.transport.abort()
        elif self.cycle is not before and not self._in_head:
            self._head_came()
        elif self.cycle is None or self.cycle.response_complete:
            # Also where a body that nobody asked for trickles in behind the answer: each of its bytes puts off
            # uvicorn's own timer.
            self._expect_head()

    # ---- what the parser calls -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers behind a chunked body are none of the request's headers.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        # A ValueError ends the parsing, as if the parser itself had found fault with the request.
        if not self.url.isascii():
            raise ValueError("not ASCII")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._fault = "it must have one Host header (RFC 9112, section 3.2)"
            raise ValueError(self._fault)
        super().on_headers_complete()
        self._in_head, self._progress = False, True
        if self.parser.should_upgrade():
            # To nothing that we speak; the parser reads no further request here.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

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
        # Called while the parser's error is handled.
        if isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError):
            self._fault = "it begins with no method that HTTP knows, such as GET"
        self._refuse_or_cut("bad_request", f"This is no HTTP request; {self._fault}.")

    def _refuse_or_cut(self, code: str, detail: str) -> None:
        """Answer with a problem and close. There is no request yet, and so neither a path nor a caller's own id."""
        if self.cycle is not None and not self.cycle.response_complete:
            # A request is being answered: there is no place for a second answer.
            self.transport.abort()
            return
        status, request_id = PROBLEMS[code][0], uuid.uuid4().hex
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
            # Reset, not ended: an orderly end would wait in the kernel behind what is never read.
            connection = self.transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self._watch_stall()

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None
