"""Callers who go away at any moment leave no connection behind: a source that lost all of them could never be asked
again."""

import asyncio
import random
from collections.abc import Callable

import pytest

from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.worlds import ask, world

ROUNDS = 100


async def ticks(count: int) -> None:
    """Turns of the event loop: what a cancellation meets is a matter of turns, not of time."""
    for _ in range(count):
        await asyncio.sleep(0)


def once(rng: random.Random) -> list[int]:
    return [rng.randrange(400)]


def twice(rng: random.Random) -> list[int]:
    return [rng.randrange(400), rng.randrange(4)]


@pytest.mark.parametrize("moments", [once, twice])
async def test_calls_that_are_cancelled_leave_no_connection_behind(
    moments: Callable[[random.Random], list[int]],
) -> None:
    rng = random.Random(1)
    async with world(taktikal=TaktikalOptions(events=200), subnoto=SubnotoOptions(events=200)) as one:
        feed = one.gateway(deadline=10, TAKTIKAL_CONCURRENCY="2", SUBNOTO_CONCURRENCY="2")
        for _ in range(ROUNDS):
            asking = asyncio.create_task(ask(feed))
            for moment in moments(rng):
                await ticks(moment)
                asking.cancel()
            await asyncio.wait([asking])
        page = await ask(feed)
        assert [source.status for source in page.sources] == ["ok", "ok"]
        assert page.records
