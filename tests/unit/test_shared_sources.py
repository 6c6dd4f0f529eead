"""Several replicas of one source: what one was told holds for all, and one probe is made by all of them together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import SourceUnavailable
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.resilience import Resilience
from app.providers.http.responses import Answer
from app.providers.shared.interface import Shared, SharedState, SharedStateDown
from app.providers.shared.memory import MemoryState
from app.providers.shared.redis import RedisState
from tests.unit.shared_watch import SharedWatch
from tests.valkey import Valkey
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "a secret of at least thirty-two characters"


class Timer:
    """A clock that only sleeping moves; of all replicas, and of what they share in memory."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Replicated:
    """A provider, and several replicas of a gateway in front of it."""

    def __init__(self, state: SharedState, timer: Timer, count: int = 3, **common: Any) -> None:
        self.asked = 0
        self.status, self.headers = 200, dict[str, str]()
        self.release: asyncio.Event | None = None
        self.timer = timer
        self.replicas = [
            ProviderHttp(
                "http://provider.example/api",
                CommonSettings(timer=timer, sleep=timer.sleep, shared=Shared(state, SECRET), **common),
                name="main",
                transport=httpx.MockTransport(self._reply),
            )
            for _ in range(count)
        ]

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.release is not None:
            await self.release.wait()
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(b"[]"))

    async def call(self, replica: int, spent: CallBudget | None = None) -> Answer:
        return await self.replicas[replica].call("GET", "things", spent or CallBudget(deadline=time.monotonic() + 30))

    def states(self) -> list[str]:
        return [replica.health().circuit for replica in self.replicas]


@pytest.fixture
def timer() -> Timer:
    return Timer()


async def test_a_pause_that_one_was_told_holds_for_all(state: SharedState, timer: Timer) -> None:
    provider = Replicated(state, timer)
    provider.status, provider.headers = 429, {"retry-after": "120"}
    assert (await provider.call(0)).status == 429
    for replica in (1, 2, 0):
        with pytest.raises(SourceUnavailable) as refused:
            await provider.call(replica)
        assert refused.value.retry_after is not None
        assert 60 < refused.value.retry_after <= 120
    assert provider.asked == 1


async def test_a_circuit_that_opened_at_one_is_open_at_all(state: SharedState, timer: Timer) -> None:
    provider = Replicated(state, timer)
    provider.status = 500
    for _ in range(2):
        await provider.call(0)
    assert provider.asked == 5
    for replica in (1, 2):
        with pytest.raises(SourceUnavailable):
            await provider.call(replica)
    assert provider.asked == 5
    assert provider.states() == ["open"] * 3
    assert provider.replicas[1].health().consecutive_failures == 5


async def opened(provider: Replicated) -> None:
    """The circuit's time is up, in memory by its clock, in Valkey by writing there what it would be then."""
    provider.status = 500
    for _ in range(2):
        await provider.call(0)
    for replica in range(1, len(provider.replicas)):
        with pytest.raises(SourceUnavailable):
            await provider.call(replica)
    provider.asked = 0
    provider.timer.now += 30


@pytest.fixture(params=["memory", "valkey"])
async def half_open(request: pytest.FixtureRequest, timer: Timer) -> AsyncIterator[Replicated]:
    """Three replicas that may ask whether the provider is back."""
    if request.param == "memory":
        provider = Replicated(MemoryState(timer), timer)
        await opened(provider)
        yield provider
        return
    valkey: Valkey = request.getfixturevalue("valkey")
    valkey.flush()
    found = RedisState(valkey.url(), SharedWatch())
    provider = Replicated(found, timer)
    await opened(provider)
    with valkey.client as client:
        for key in client.keys("*:circuit"):
            client.hset(key, "until", 0)
    yield provider
    await found.aclose()


async def test_one_probe_in_all_replicas_together(half_open: Replicated) -> None:
    half_open.status, half_open.release = 200, asyncio.Event()
    calls = [asyncio.create_task(half_open.call(number % 3)) for number in range(12)]
    await until(lambda: sum(call.done() for call in calls) == 11)
    assert half_open.asked == 1
    half_open.release.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, Answer) for one in found) == 1
    assert all(one.retry_after == 1.0 for one in found if isinstance(one, SourceUnavailable))
    for replica in range(3):
        assert (await half_open.call(replica)).status == 200
    assert half_open.states() == ["closed"] * 3


async def test_a_probe_that_fails_keeps_all_away_for_longer(half_open: Replicated) -> None:
    assert (await half_open.call(1)).status == 500
    for replica in range(3):
        with pytest.raises(SourceUnavailable) as refused:
            await half_open.call(replica)
        assert refused.value.retry_after is not None
        assert 30 < refused.value.retry_after <= 60
    assert half_open.asked == 1


async def test_a_probe_whose_caller_goes_away_leaves_the_next_one_in(half_open: Replicated) -> None:
    half_open.status, half_open.release = 200, asyncio.Event()
    gone = asyncio.create_task(half_open.call(1))
    await until(lambda: half_open.asked > 0)
    with pytest.raises(SourceUnavailable):
        await half_open.call(2)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    half_open.release = None
    assert (await half_open.call(2)).status == 200


async def test_other_calls_of_the_request_that_probes_wait_for_its_outcome(half_open: Replicated) -> None:
    half_open.status = 200
    spent = CallBudget(deadline=time.monotonic() + 30)
    answers = await asyncio.gather(*(half_open.call(1, spent) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8


async def test_emptied_it_learns_again_what_a_replica_knows(state: SharedState, timer: Timer) -> None:
    provider = Replicated(state, timer)
    provider.status = 500
    for _ in range(2):
        await provider.call(0)
    if isinstance(state, MemoryState):
        await state.flush()
    else:
        assert isinstance(state, RedisState)
        await state._redis.flushall()
    with pytest.raises(SourceUnavailable):
        await provider.call(0)
    with pytest.raises(SourceUnavailable):
        await provider.call(1)
    assert provider.asked == 5


async def test_the_rate_is_kept_by_all_together(state: SharedState, timer: Timer) -> None:
    provider = Replicated(state, timer, count=4, max_rate=40.0)
    if isinstance(state, MemoryState):
        state._timer = time.monotonic
    begun = time.monotonic()
    await asyncio.gather(*(provider.call(number % 4) for number in range(80)))
    # Each by itself would let forty go at once.
    assert provider.asked == 80 <= 40 + 40 * (time.monotonic() - begun) + 1


class Unreachable(MemoryState):
    """Fails whenever it is told to."""

    def __init__(self, timer: Timer, rng: random.Random) -> None:
        super().__init__(timer)
        self.rng, self.failing = rng, 0.0

    async def standing(self, source: str) -> Any:
        self._maybe_fail()
        return await super().standing(source)

    async def publish(self, *arguments: Any) -> Any:
        self._maybe_fail()
        return await super().publish(*arguments)

    async def claim_probe(self, *arguments: Any) -> bool:
        self._maybe_fail()
        return await super().claim_probe(*arguments)

    async def release_probe(self, *arguments: Any) -> None:
        self._maybe_fail()
        await super().release_probe(*arguments)

    def _maybe_fail(self) -> None:
        if self.rng.random() < self.failing:
            raise SharedStateDown


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "call", "call", "end", "end", "wait"]), st.integers(0, 10**6), st.booleans()),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_whatever_happens_there_is_one_probe_and_nothing_gets_stuck(
    steps: list[tuple[str, int, bool]], seed: int
) -> None:
    asyncio.run(_history(steps, seed))


async def _history(steps: list[tuple[str, int, bool]], seed: int) -> None:
    """Three replicas make calls that end as the steps say. While the shared state answers, at most one call is made
    once the circuit has opened, and none before its time."""
    timer, rng = Timer(), random.Random(seed)
    state = Unreachable(timer, rng)
    common = CommonSettings(timer=timer, sleep=timer.sleep, shared=Shared(state, SECRET))
    replicas = [Resilience("main", common) for _ in range(3)]
    under_way: list[tuple[asyncio.Task[None], asyncio.Future[bool | None], bool]] = []

    async def call(
        replica: Resilience, end: asyncio.Future[bool | None], began: asyncio.Event, left: float = 30.0
    ) -> None:
        try:
            async with replica.attempt(CallBudget(deadline=time.monotonic() + left)) as attempt:
                began.set()
                attempt.ok = await end
        except SourceUnavailable:
            began.set()

    async def begin(replica: Resilience) -> None:
        known = await state.standing(key)
        is_open = known.circuit is not None and not known.circuit.closed
        waits = is_open and known.circuit is not None and known.circuit.wait > 0
        end: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        began = asyncio.Event()
        # For longer than all the steps may wait: a probe is its replica's until its deadline, and no longer.
        task = asyncio.create_task(call(replica, end, began, 4000.0))
        await began.wait()
        await asyncio.sleep(0)
        if not task.done():
            assert not waits, "a call was made before the time was up"
            assert not is_open or not any(probe for _, _, probe in under_way), "a second probe"
            under_way.append((task, end, is_open))

    key = common.shared.key("source", "main") if common.shared else ""
    for kind, number, ok in steps:
        if kind == "wait":
            timer.now += number % 45
        elif kind == "call":
            await begin(replicas[number % 3])
        elif under_way:
            task, end, _ = under_way.pop(number % len(under_way))
            end.set_result(ok if number % 5 else None)
            await task
    for task, end, _ in under_way:
        end.set_result(None)
        await task
    under_way.clear()
    timer.now += 301
    # Now with a shared state that comes and goes: whatever a replica missed, it ends up where the others are.
    state.failing = 0.5
    for _ in range(40):
        timer.now += rng.choice((0, 1, 40))
        began = asyncio.Event()
        end = asyncio.get_running_loop().create_future()
        end.set_result(rng.random() < 0.3)
        await call(rng.choice(replicas), end, began)
    state.failing = 0.0
    timer.now += 301
    for replica in (*replicas, *replicas):
        end, began = asyncio.get_running_loop().create_future(), asyncio.Event()
        end.set_result(True)
        await call(replica, end, began)
    assert [replica.health().circuit for replica in replicas] == ["closed"] * 3
