"""What is logged, held in memory."""

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
    """All that is logged in the block, as the server would write it. Afterwards, logging is as it was before."""
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
    """The lines of one event."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]
