"""Instruments of an emulator for tests: call log, faults and latency."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import Faults

Clock = Callable[[], datetime]
LOG_LENGTH = 20_000  #: calls of 2 KB each, because a sandbox may run for weeks


def utc_now() -> datetime:
    """The real time, in UTC."""
    return datetime.now(UTC)


def to_milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970 (an aware datetime; rounded down, without floats)."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


@dataclass(slots=True)
class Call:
    """One request and its response. `started` and `finished` are `time.monotonic()` seconds."""

    method: str
    path: str
    params: dict[str, str]
    body: Any
    headers: dict[str, str]
    started: float
    finished: float = 0.0
    status: int = 0
    records: int = 0
    refused: str | None = None


class CallLog:
    """The latest calls in order of arrival, and counts of all calls.

    `refused`: calls that the vendor's documents declare invalid for any account. A correct gateway makes none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Remove all calls, including those in flight."""
        with self._lock:
            self.calls: deque[Call] = deque(maxlen=LOG_LENGTH)
            self.refused: list[Call] = []
            self.total = 0
            self.records = 0
            self.in_flight = 0
            self.most_in_flight = 0
            self.by_path: dict[str, int] = {}

    def count(self, path_suffix: str = "") -> int:
        """Return the number of calls to paths with this suffix (default: all)."""
        return sum(number for path, number in self.by_path.items() if path.endswith(path_suffix))

    def begin(self, call: Call) -> None:
        """Record the arrival of a call."""
        with self._lock:
            self.calls.append(call)
            self.total += 1
            self.by_path[call.path] = self.by_path.get(call.path, 0) + 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self, call: Call) -> None:
        """Record the end of a call: response sent, or caller disconnected."""
        call.finished = time.monotonic()
        with self._lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.records += call.records
            if call.refused is not None:
                self.refused.append(call)


class Instrumented:
    """ASGI application wrapped in instruments. Handlers get their `Call` from `call_of`.

    `calls`: the requests and their responses. `faults`: for the next calls. `latency`: seconds before every response;
    may be set while serving."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self.calls = CallLog()
        self.faults = Faults()
        self.latency = 0.0

    @property
    def app(self) -> ASGIApp:
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Log the call, wait for the latency, apply the next fault or the application; set `Date` from the clock."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = body
        call = Call(
            method=request.method,
            path=request.scope["path"],
            params=dict(request.query_params),
            body=parsed,
            headers=dict(request.headers),
            started=time.monotonic(),
        )

        async def replay() -> Message:
            return {"type": "http.request", "body": body}

        self.calls.begin(call)
        try:
            await asyncio.sleep(self.latency)
            fault = self.faults.take(call.path)
            app, dated_send = self._app, self._dated(send, call, is_cut=fault is not None and fault.kind == "cut")
            if fault is not None and fault.kind == "hang":
                await asyncio.sleep(fault.seconds)
            elif fault is not None and fault.kind == "status":
                app = Response(fault.body, fault.status, fault.headers)
            await app({**scope, "emulator.call": call}, replay, dated_send)
        finally:
            self.calls.end(call)

    def _dated(self, send: Send, call: Call, *, is_cut: bool) -> Send:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                date = format_datetime(self._clock().astimezone(UTC), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            elif is_cut:
                # Half of the Content-Length without an end: the server then drops the connection.
                half = message["body"][: len(message["body"]) // 2]
                message = {**message, "body": half, "more_body": True}
            await send(message)

        return dated


def call_of(request: Request) -> Call:
    """Return the current request's log entry, in which handlers set `records` and `refused`."""
    call = request.scope["emulator.call"]
    assert isinstance(call, Call)
    return call
