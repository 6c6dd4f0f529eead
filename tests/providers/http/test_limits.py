"""Concurrent calls: their number, rate and order, and their cancellation."""

import asyncio
import time

import pytest

from app.domain.errors import SourceTimeout
from app.providers.base import CallBudget
from app.providers.http.concurrency import CallLimiter, gather_all
from tests.providers.http.scripted import Provider, never


async def served_by(limiter: CallLimiter, requests: list[int]) -> list[int]:
    served: list[int] = []

    async def call(request: int) -> None:
        await limiter.enter(request)
        served.append(request)
        await asyncio.sleep(0)
        limiter.leave()

    await asyncio.gather(*(call(request) for request in requests))
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    return served


async def test_a_request_of_many_calls_does_not_starve_another() -> None:
    served = await served_by(CallLimiter(1, None), [1] * 32 + [2, 3, 2])
    assert served.index(3) <= 5
    assert [place for place, request in enumerate(served) if request == 2][-1] <= 8
    assert len(served) == 35


async def test_the_limiter_bounds_concurrency_and_rate() -> None:
    limiter, most = CallLimiter(3, None), 0

    async def call() -> None:
        nonlocal most
        await limiter.enter(1)
        most = max(most, limiter.in_flight)
        await asyncio.sleep(0)
        limiter.leave()

    await asyncio.gather(*(call() for _ in range(50)))
    assert (most, limiter.in_flight) == (3, 0)
    slow, served = CallLimiter(32, 5.0), 0

    async def count() -> None:
        nonlocal served
        await slow.enter(1)
        served += 1
        slow.leave()

    tasks = [asyncio.create_task(count()) for _ in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert served == 5, "not the calls of exactly one second"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slow.in_flight, slow.waiting) == (0, 0)


async def test_cancelled_callers_leave_the_queue() -> None:
    limiter, release = CallLimiter(1, None), asyncio.Event()

    async def call(request: int) -> int:
        await limiter.enter(request)
        try:
            await release.wait()
        finally:
            limiter.leave()
        return request

    tasks = [asyncio.create_task(call(request)) for request in range(20)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    release.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in found if isinstance(one, int)] == list(range(0, 20, 2))
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    provider = Provider(never, max_concurrency=1)
    budgets = [CallBudget(deadline=time.monotonic() + 0.2) for _ in range(5)]
    ended = await asyncio.gather(*(provider.call(budget) for budget in budgets), return_exceptions=True)
    assert all(isinstance(one, SourceTimeout) for one in ended)
    health = provider.http.health()
    assert (provider.request_count, health.in_flight, health.waiting) == (1, 0, 0)


async def test_results_are_in_the_order_of_the_coroutines() -> None:
    last = asyncio.Event()

    async def first() -> int:
        await last.wait()
        return 1

    async def second() -> int:
        last.set()
        return 2

    assert await gather_all([first(), second()]) == [1, 2]
    assert await gather_all([]) == []


async def test_the_first_failure_cancels_the_others_and_is_raised_unwrapped() -> None:
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


async def test_cancellation_of_the_caller_cancels_all() -> None:
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
