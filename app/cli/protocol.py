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

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from app.cli.coalescing import CoalescingTransport

_log = structlog.get_logger("gateway.connection")


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings and ours, in seconds. `head_timeout`: from a connection's, or a further request's, first byte
    until the end of its headers. `stall_timeout`: without a caller taking anything of an answer that waits for it."""

    def __init__(self, app: Any, *, head_timeout: float, stall_timeout: float = 60.0, **settings: Any) -> None:
        super().__init__(app, http="app.cli.protocol:BoundedProtocol", **settings)
        self.head_timeout, self.stall_timeout = head_timeout, stall_timeout


class BoundedProtocol(H11Protocol):
    """One connection. Refusals of what is not yet a request are problems, too."""

    config: BoundedConfig
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _stalled_at = 0  #: bytes that waited when the stall timer was set

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # A transport in all that uvicorn asks of one; made anew it would have to copy two dozen methods.
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._head_came()
        elif before is None or before.response_complete:
            # Also where a body that nobody asked for trickles in behind the answer: each of its bytes puts off
            # uvicorn's own timer.
            self._expect_head()

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
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse("request_timeout", "The request's headers did not come in time.")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # A body that is no HTTP, while its request is being answered: there is no place for a second answer.
            self.transport.abort()
            return
        # Called while the parser's error is handled; it knows which status fits.
        if getattr(sys.exc_info()[1], "error_status_hint", 400) == 431:
            self._refuse("headers_too_large", "The request's line and headers are too large.")
        else:
            hint = "in a URL, what is not plain ASCII is percent-encoded (curl -G --data-urlencode 'q=Þórður' ...)"
            self._refuse("bad_request", f"This is no HTTP request; {hint}.")

    def _refuse(self, code: str, detail: str) -> None:
        """Answer with a problem and close. There is no request yet, and so neither a path nor a caller's own id."""
        status, request_id = PROBLEMS[code][0], uuid.uuid4().hex
        body = problem_body(code, detail, instance="", request_id=request_id)
        headers = [
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            ("x-request-id", request_id),
            ("connection", "close"),
        ]
        _log.info("refused", code=code, status=status, request_id=request_id)
        try:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            self.transport.abort()
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
