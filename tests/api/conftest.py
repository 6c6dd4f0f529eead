"""An application over sources in memory, called without a socket, and its keys."""

import io
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from string import ascii_letters
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.api_keys import ApiKey, hash_of
from app.config import Settings
from app.domain.caller import SCOPES
from app.main import create_app
from app.providers.base import Source
from tests.api.memory import MemorySource, memory_source
from tests.logged import logged
from tests.providers.acme import PROVIDER

ALL = "key-of-all-scopes"
#: Keys by what they grant.
KEYS = {
    ALL: ApiKey("all", hash_of(ALL), frozenset(SCOPES)),
    "reader": ApiKey("reader", hash_of("reader"), frozenset({"events:read"})),
    "plain": ApiKey("plain", hash_of("plain"), frozenset(SCOPES) - {"pii:read"}),
    "nothing": ApiKey("nothing", hash_of("nothing"), frozenset({"metrics:read"})),
    "limited": ApiKey("limited", hash_of("limited"), frozenset(SCOPES), frozenset({"north"})),
}


#: Filters whose cursor is too long for a header.
LONG_FILTERS = [("provider_type", "".join(random.Random(number).choices(ascii_letters, k=300))) for number in range(20)]


def bearer(key: str = ALL) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def make_app(
    sources: Sequence[Source], sandbox: bool = False, keys: Iterable[ApiKey] | None = None, **settings: Any
) -> FastAPI:
    lines = "\n".join(key.line() for key in (KEYS.values() if keys is None else keys))
    return create_app(
        Settings(api_keys=lines or None, default_window="P36500D", **settings),
        sources,
        providers={"acme": PROVIDER},
        sandbox=sandbox,
    )


@asynccontextmanager
async def opened(app: FastAPI, key: str | None = ALL) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application and yield a client that sends `key` with every call."""
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://gateway.example",
        headers=bearer(key) if key else {},
        timeout=60,
    )
    async with app.router.lifespan_context(app), client:
        yield client


@pytest.fixture
def sources() -> list[MemorySource]:
    return [memory_source(30), memory_source(20, "south")]


@pytest.fixture
def application(sources: list[MemorySource]) -> FastAPI:
    return make_app(sources)


@pytest.fixture
async def client(application: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose key has all scopes."""
    async with opened(application) as with_all_scopes:
        yield with_all_scopes


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log of the test."""
    with logged() as stream:
        yield stream
