"""Replicas of one gateway: several applications in this process, or real processes, that share a Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.config import Configuration, Settings
from app.main import assemble
from tests.api.conftest import ALL, KEYS, opened
from tests.process import Running, serving
from tests.valkey import Valkey
from tests.waiting import until
from tests.worlds import SECRET, World

KEY_LINES = "\n".join(key.line() for key in KEYS.values())
HEADERS = {"Authorization": f"Bearer {ALL}"}


def replica(world: World, redis_url: str | None, **settings: Any) -> FastAPI:
    """One more replica, in this process, by the machine's clock."""
    given = {"api_keys": KEY_LINES, "cursor_secret": SECRET, "default_window": "P36500D", **settings}
    configuration = Configuration(Settings(redis_url=redis_url, **given), world.env)
    return assemble(configuration)


@asynccontextmanager
async def replicas(
    world: World, redis_url: str | None, count: int, key: str = ALL, **settings: Any
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of so many."""
    async with AsyncExitStack() as stack:
        apps = [replica(world, redis_url, **settings) for _ in range(count)]
        yield [await stack.enter_async_context(opened(app, key)) for app in apps]


@contextmanager
def processes(world: World, valkey: Valkey, folder: Path, *arguments: str, **env: str) -> Iterator[Running]:
    """`audit-gateway serve` over the world's accounts. `env` without the prefix `GATEWAY_`."""
    settings = {"API_KEYS": KEY_LINES, "DEFAULT_WINDOW": "P36500D", "REDIS_URL": valkey.url(), **env}
    given = world.env | {f"GATEWAY_{name}": value for name, value in settings.items() if value}
    folder.mkdir(exist_ok=True)
    with serving(*arguments, cwd=folder, env=given) as running:
        yield running


async def get_all(urls: list[str], path: str, times: int, **more: Any) -> list[httpx.Response]:
    """So many requests at once, each over a connection of its own, so that any worker may get it."""

    async def get(url: str) -> httpx.Response:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            return await client.get(f"{url}{path}", **more)

    return await asyncio.gather(*(get(urls[number % len(urls)]) for number in range(times)))


async def settled(world: World) -> int:
    """The calls that were made at the providers, once none is under way."""
    await until(lambda: not any(each.calls.in_flight for each in (world.taktikal, world.subnoto) if each))
    return world.calls()
