"""What is logged, held in memory."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

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
