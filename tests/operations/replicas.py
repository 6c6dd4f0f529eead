"""Replicas of one gateway that share a Valkey: applications in this process, or real processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.config import Configuration, Settings
from app.main import assemble
from tests.api.conftest import ALL, KEYS, bearer, opened
from tests.process import Running, serving
from tests.valkey import Valkey
from tests.waiting import until
from tests.worlds import SECRET, World

KEY_LINES = "\n".join(key.line() for key in KEYS.values())


def replica(world: World, redis_url: str | None, **settings: Any) -> FastAPI:
    """Return a replica in this process. It uses the real time."""
    given = {"api_keys": KEY_LINES, "cursor_secret": SECRET, "default_window": "P36500D", **settings}
    configuration = Configuration(Settings(redis_url=redis_url, **given), world.env)
    return assemble(configuration)


@asynccontextmanager
async def replicas(
    world: World, redis_url: str | None, count: int, key: str = ALL, **settings: Any
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Start `count` replicas and yield a client of each."""
    async with AsyncExitStack() as stack:
        apps = [replica(world, redis_url, **settings) for _ in range(count)]
        yield [await stack.enter_async_context(opened(app, key)) for app in apps]


@contextmanager
def processes(world: World, valkey: Valkey, folder: Path, *arguments: str, **env: str) -> Iterator[Running]:
    """Run `audit-gateway serve` over the accounts of `world`. `env`: settings without the prefix `GATEWAY_`."""
    settings = {"API_KEYS": KEY_LINES, "DEFAULT_WINDOW": "P36500D", "REDIS_URL": valkey.url(), **env}
    given = world.env | {f"GATEWAY_{name}": value for name, value in settings.items() if value}
    folder.mkdir(exist_ok=True)
    with serving(*arguments, cwd=folder, env=given) as running:
        yield running


async def get_all(urls: list[str], path: str, times: int, **options: Any) -> list[httpx.Response]:
    """Send `times` requests concurrently, each over a new connection, so that any worker may get it."""

    async def get(url: str) -> httpx.Response:
        async with httpx.AsyncClient(headers=bearer(), timeout=60) as client:
            return await client.get(f"{url}{path}", **options)

    return await asyncio.gather(*(get(urls[number % len(urls)]) for number in range(times)))


async def finished_calls(world: World) -> int:
    """Wait until no call to a provider is in flight, and return the number of calls."""
    await until(lambda: not any(each.calls.in_flight for each in (world.taktikal, world.subnoto) if each))
    return world.calls()
