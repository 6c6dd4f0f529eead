"""An application over sources in memory, called without a socket."""

import io
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.api_keys import ApiKey, hash_of
from app.config import Settings
from app.domain.caller import SCOPES
from app.main import create_app
from app.providers.base import Source
from tests.api.memory import MemorySource, history
from tests.logged import logged
from tests.providers.acme import PROVIDER

ALL = "key-of-all-scopes"
#: Keys by what they grant; `Authorization: Bearer <name>`.
KEYS = {
    ALL: ApiKey("all", hash_of(ALL), frozenset(SCOPES)),
    "reader": ApiKey("reader", hash_of("reader"), frozenset({"events:read"})),
    "plain": ApiKey("plain", hash_of("plain"), frozenset(SCOPES) - {"pii:read"}),
    "nothing": ApiKey("nothing", hash_of("nothing"), frozenset({"metrics:read"})),
    "limited": ApiKey("limited", hash_of("limited"), frozenset(SCOPES), frozenset({"north"})),
}


def make_app(sources: Sequence[Source], sandbox: bool = False, **settings: Any) -> FastAPI:
    lines = "\n".join(key.line() for key in KEYS.values())
    return create_app(
        Settings(api_keys=lines, default_window="P36500D", **settings),
        sources,
        providers={"acme": PROVIDER},
        sandbox=sandbox,
    )


@asynccontextmanager
async def opened(app: FastAPI, key: str | None = ALL) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the started application. `key` goes along with every call."""
    given: dict[str, Any] = {"headers": {"Authorization": f"Bearer {key}"} if key else {}, "timeout": 60}
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway.example", **given) as client,
    ):
        yield client


@pytest.fixture
def sources() -> list[MemorySource]:
    return [MemorySource("north", history("north", 30)), MemorySource("south", history("south", 20))]


@pytest.fixture
def application(sources: list[MemorySource]) -> FastAPI:
    return make_app(sources)


@pytest.fixture
async def client(application: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with all scopes."""
    async with opened(application) as found:
        yield found


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged while the test runs."""
    with logged() as stream:
        yield stream
