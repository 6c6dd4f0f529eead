"""Logging: JSON lines on standard error, or readable lines on a terminal.

No log line contains an exception's own text, because libraries quote URLs, bodies and settings in theirs. Its type and
frames are logged.

Servers write through `QueuedStream`: a stalled log reader (a full pipe behind standard error) does not stop the event
loop (`tests/operations/test_logs.py`). The standard library's QueueHandler blocks or raises on a full queue and
serves `logging` alone, while structlog writes to a stream.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import msgspec
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from app.domain.times import format_micros, now_micros

_MAX_FRAMES = 40
_HTTP_LOGGERS = ("httpx", "httpcore", "h2", "hpack")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
AUDIT = "gateway.audit"  #: the logger of the audit trail, from INFO on

#: Return `trace_id` and `span_id` of the request that is being answered, for its log lines; `app.tracing` adds one.
TRACE_SOURCES: list[Callable[[], Mapping[str, str] | None]] = []


def configure_logging(stream: TextIO | None = None, *, level: str | None = None, form: str | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (standard error), one line each.

    `level` (GATEWAY_LOG_LEVEL, default `info`) bounds the gateway's own lines; `form` (GATEWAY_LOG_FORMAT) is `json`,
    `console` or `auto`: console on a terminal, else JSON.

    Libraries log from WARNING on, because some (httpx) put whole URLs, and so query values, into INFO.
    """
    stream = stream or sys.stderr
    level = level or os.environ.get("GATEWAY_LOG_LEVEL") or "info"
    form = form or os.environ.get("GATEWAY_LOG_FORMAT") or "auto"
    shared: list[Processor] = [structlog.stdlib.add_log_level, time_stamp, trace_fields, bare_exceptions]
    renderer: Processor = structlog.processors.JSONRenderer(_to_json)
    if form == "console" or (form == "auto" and stream.isatty()):
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,  # loggers are made at import, before this runs
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter([*shared, renderer]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(AUDIT).setLevel(logging.INFO)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Format the standard library's records. Records of the audit trail, one a request, pass through the processors
    without the copies that records of libraries need."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        *shared, renderer = self._chain = processors
        super().__init__(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, foreign_text, *shared],
            processors=[self.remove_processors_meta, renderer],
        )

    def format(self, record: logging.LogRecord) -> str:
        if record.name != AUDIT:
            return super().format(record)
        line: Any = {"event": record.msg, "logger": record.name, **getattr(record, "audit", {})}
        for process in self._chain:
            line = process(None, "info", line)
        return str(line)


def _to_json(event: EventDict, **settings: Any) -> str:
    """Return a line in plain ASCII, without terminal controls and line ends of any kind."""
    try:
        line = msgspec.json.encode(event)
        if line.isascii():
            return line.decode()
    except (TypeError, ValueError):
        pass
    return json.dumps(event, separators=(",", ":"), **settings)


def foreign_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: remove quotes from another library's message. HTTP clients put URLs with searched values
    into theirs; asyncio puts exceptions' texts after the first line."""
    name, text = str(event.get("logger", "")), str(event.get("event", ""))
    if name.partition(".")[0] in _HTTP_LOGGERS:
        text = text.partition(" ")[0]
    event["event"] = text.partition("\n")[0]
    return event


def time_stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: add the time. structlog's own goes through `datetime`, twice a request."""
    event["timestamp"] = format_micros(now_micros())
    return event


def trace_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: add the ids of the trace."""
    for source in TRACE_SOURCES:
        event.update(source() or {})
    return event


def bare_exceptions(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: replace `exc_info` by the exception's type and frames, without its text."""
    info: Any = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(describe_exception(error))
    event.pop("stack_info", None)
    return event


def describe_exception(error: BaseException) -> dict[str, Any]:
    """`{"exception": type names from the outermost to its cause, "frames": ["file:line function", ...]}`."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 10:
        names.append(type(current).__name__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"exception": " < ".join(names), "frames": places}


_CAPACITY = 10_000  #: lines; about 5 MB
_FLUSH_SECONDS = 2.0  #: at exit, for a reader that is slow


class QueuedStream:
    """A text stream over `target`. `write` drops the line and counts it if `capacity` lines already wait."""

    def __init__(self, target: TextIO, capacity: int = _CAPACITY) -> None:
        self._target, self._capacity = target, capacity
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        self._unreported = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.flush_at_exit)

    def write(self, text: str) -> int:
        if self._lines.qsize() < self._capacity:
            self._lines.put(text)
        else:
            self._unreported += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes after each line."""

    def isatty(self) -> bool:
        return self._target.isatty()

    def flush_at_exit(self) -> None:
        """Wait until the waiting lines are written, at most two seconds."""
        written = threading.Event()
        self._lines.put(written)
        written.wait(_FLUSH_SECONDS)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
                continue
            try:
                if self._unreported:
                    count, self._unreported = self._unreported, 0
                    self._target.write(f'{{"event":"log_lines_dropped","level":"warning","count":{count}}}\n')
                self._target.write(line)
                self._target.flush()
            except (OSError, ValueError):
                pass  # the reader is gone; there is no place left to report it
