"""Fixtures of several files."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from app.providers.shared.interface import SharedState
from app.providers.shared.memory import MemoryState
from app.providers.shared.redis import RedisState
from tests.unit.shared_watch import SharedWatch
from tests.valkey import Valkey, serving_valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with serving_valkey() as server:
        yield server


@pytest.fixture
def timer() -> Callable[[], float]:
    """The clock of state that is kept in memory; a file may have one of its own."""
    return time.monotonic


@pytest.fixture(params=["memory", "valkey"])
async def state(request: pytest.FixtureRequest, timer: Callable[[], float]) -> AsyncIterator[SharedState]:
    """What replicas share, empty, in either kind of store."""
    if request.param == "memory":
        yield MemoryState(timer)
        return
    valkey: Valkey = request.getfixturevalue("valkey")
    valkey.flush()
    found = RedisState(valkey.url(), SharedWatch())
    yield found
    await found.aclose()
