"""One server for all attacks, with sources in memory behind it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.logs import configure_logging
from tests.api.conftest import make_app
from tests.api.memory import MemorySource, history
from tests.api.server import served


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """What the server logs in the meantime."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def url(log: io.StringIO) -> Iterator[str]:
    sources = [MemorySource("north", history("north", 40)), MemorySource("south", history("south", 25))]
    with served(make_app(sources, deadline=5)) as port:
        yield f"http://127.0.0.1:{port}"
