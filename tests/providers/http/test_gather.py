"""Calls side by side."""

import asyncio

import pytest

from app.providers.http.concurrency import gather_all


async def test_results_come_in_the_order_given() -> None:
    last = asyncio.Event()

    async def first() -> int:
        await last.wait()
        return 1

    async def second() -> int:
        last.set()
        return 2

    assert await gather_all([first(), second()]) == [1, 2]
    assert await gather_all([]) == []


async def test_the_first_failure_stops_the_others_and_comes_out_bare() -> None:
    stopped = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def fails() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await gather_all([waits(), fails()])
    assert stopped.is_set()
    with pytest.raises(KeyError, match="mine"):
        await gather_all([gather_all([fails()]), gather_all([fails()])])


async def test_a_caller_who_goes_away_stops_them() -> None:
    stopped = 0

    async def waits() -> None:
        nonlocal stopped
        try:
            await asyncio.Event().wait()
        finally:
            stopped += 1

    task = asyncio.create_task(gather_all([waits(), waits()]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped == 2
