"""One server for all attacks, with sources in memory behind it."""

import io
from collections.abc import Iterator

import pytest

from tests.api.conftest import make_app
from tests.api.memory import memory_source
from tests.api.server import served
from tests.logged import logged


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """The log of the server."""
    with logged() as stream:
        yield stream


@pytest.fixture(scope="module")
def url(log: io.StringIO) -> Iterator[str]:
    sources = [memory_source(40), memory_source(25, "south")]
    with served(make_app(sources, deadline=5)) as port:
        yield f"http://127.0.0.1:{port}"
