"""The log, captured in memory."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from app.logs import configure_logging


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Capture the log of the block in the server's format, and restore logging afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(stream)
    try:
        yield stream
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()


def lines(log: io.StringIO, event: str = "request") -> list[dict[str, Any]]:
    """Return the lines of one event."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]
