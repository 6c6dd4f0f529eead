"""Answers kept for seconds: equal reads are one call, nobody suffers for another, no reader goes back in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import SourceError, SourceTimeout
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import Answer, ProviderHttp
from app.providers.http.gather import gather_all
from app.providers.shared.interface import Shared, SharedState
from app.providers.shared.memory import MemoryState
from app.providers.shared.redis import RedisState
from sandbox.instruments import utc_now
from tests.unit.shared_watch import SharedWatch
from tests.valkey import Valkey
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "a secret of at least thirty-two characters"


class Provider:
    """Counts its answers: each says the number that it is. `replicas` of a gateway in front of it."""

    def __init__(self, state: SharedState | None = None, replicas: int = 1, seconds: float = 60.0) -> None:
        self.asked = 0
        self.status, self.dated, self.size = 200, True, 0
        self.before: Callable[[httpx.Request], Awaitable[None]] | None = None
        shared = None if state is None else Shared(state, SECRET)
        self.replicas = [
            ProviderHttp(
                "http://provider.example/api",
                CommonSettings(page_cache=seconds, shared=shared),
                name="main",
                transport=httpx.MockTransport(self._reply),
            )
            for _ in range(replicas)
        ]

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.before is not None:
            await self.before(request)
        headers = {"date": format_datetime(utc_now(), usegmt=True)} if self.dated else {}
        body = str(self.asked).encode().ljust(self.size)
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(body))

    async def get(self, replica: int = 0, spent: CallBudget | None = None, path: str = "log", **more: Any) -> Answer:
        return await self.replicas[replica].call("POST", path, spent or reader(), **more)


def reader(seconds: float = 30, kept_will_do: bool = True) -> CallBudget:
    return CallBudget(deadline=time.monotonic() + seconds, kept_will_do=kept_will_do)


async def begun(provider: Provider, count: int) -> None:
    """Waits until the provider was asked so often."""
    await until(lambda: provider.asked >= count)


# ---- one call for all --------------------------------------------------------------------------------------------


async def test_equal_calls_are_one_at_the_same_time_and_later() -> None:
    provider = Provider()
    spent = [reader() for _ in range(200)]
    answers = await asyncio.gather(*(provider.get(spent=one, json={"page": 1, "of": "a"}) for one in spent))
    assert provider.asked == 1
    assert {answer.body for answer in answers} == {b"1"}
    assert len({answer.date for answer in answers}) == 1
    assert sum(one.calls for one in spent) == 1, "whoever made the call bears it"
    assert (await provider.get(json={"of": "a", "page": 1})).body == b"1"
    assert provider.asked == 1


async def test_other_calls_are_others() -> None:
    provider = Provider()
    calls: list[dict[str, Any]] = [
        {}, {"path": "total"}, {"json": {"page": 1}}, {"json": {"page": "1"}}, {"params": {"page": "1"}},
        {"params": {"page": "2"}}, {"params": {"Page": "1"}}, {"params": {"page": "1"}, "json": {"page": 1}},
    ]  # fmt: skip
    for _ in range(2):
        bodies = [(await provider.get(**call)).body for call in calls]
    assert len(set(bodies)) == provider.asked == len(calls)


async def test_who_wants_it_fresh_goes_past() -> None:
    provider = Provider()
    for expected in (b"1", b"2", b"3"):
        assert (await provider.get(spent=reader(kept_will_do=False))).body == expected
    assert (await provider.get()).body == b"4"


async def test_nothing_is_kept_unless_asked_for() -> None:
    provider = Provider(seconds=0.0)
    await asyncio.gather(*(provider.get() for _ in range(5)))
    assert provider.asked == 5


async def test_an_answer_grows_old() -> None:
    provider = Provider(seconds=0.05)
    await provider.get()

    async def is_asked_again() -> bool:
        return (await provider.get()).body != b"1"

    await until(is_asked_again)


@pytest.mark.parametrize("status", [201, 204, 301, 400, 404, 418])
async def test_only_a_200_is_kept(status: int) -> None:
    provider = Provider()
    provider.status = status
    answers = await asyncio.gather(*(provider.get() for _ in range(5)))
    assert [answer.status for answer in answers] == [status] * 5
    assert provider.asked == 5


async def test_an_answer_without_a_date_is_not_kept() -> None:
    """It would pass for one of now, and a page made of it for complete up to now."""
    provider = Provider()
    provider.dated = False
    await asyncio.gather(*(provider.get() for _ in range(5)))
    await provider.get()
    assert provider.asked == 6


async def test_memory_is_bounded() -> None:
    provider = Provider()
    provider.size = 1_000_000
    for number in range(50):
        await provider.get(params={"page": str(number)})
    kept = provider.replicas[0]._kept
    assert kept is not None
    assert 30_000_000 < kept._kept.currsize <= 32 * 1024 * 1024
    provider.size = 33 * 1024 * 1024
    assert len((await provider.get(params={"page": "large"})).body) == provider.size


# ---- nobody suffers for another ----------------------------------------------------------------------------------


async def test_the_first_one_hangs_up_and_the_others_are_served() -> None:
    provider, release = Provider(), asyncio.Event()

    async def wait(_: httpx.Request) -> None:
        await release.wait()

    provider.before = wait
    first = asyncio.create_task(provider.get())
    await begun(provider, 1)
    others = [asyncio.create_task(provider.get()) for _ in range(5)]
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    release.set()
    assert [(await other).body for other in others] == [b"1"] * 5
    assert provider.asked == 1


async def test_a_call_that_nobody_waits_for_any_more_is_given_up() -> None:
    provider, given_up = Provider(), asyncio.Event()

    async def wait(_: httpx.Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    provider.before = wait
    tasks = [asyncio.create_task(provider.get()) for _ in range(3)]
    await begun(provider, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10):
        await given_up.wait()
    provider.before = None
    assert (await provider.get()).body == b"2"


async def test_a_short_deadline_is_ones_own() -> None:
    provider = Provider()

    async def slow_at_first(_: httpx.Request) -> None:
        if provider.asked == 1:
            await asyncio.sleep(20)

    provider.before = slow_at_first
    hasty = asyncio.create_task(provider.get(spent=reader(0.3)))
    await begun(provider, 1)
    patient = [asyncio.create_task(provider.get()) for _ in range(3)]
    with pytest.raises(SourceTimeout):
        await hasty
    assert [answer.status for answer in await asyncio.gather(*patient)] == [200] * 3


async def test_who_joins_with_a_short_deadline_ends_alone() -> None:
    provider, release = Provider(), asyncio.Event()

    async def wait(_: httpx.Request) -> None:
        await release.wait()

    provider.before = wait
    patient = asyncio.create_task(provider.get())
    await begun(provider, 1)
    with pytest.raises(SourceTimeout):
        await provider.get(spent=reader(0.2))
    release.set()
    assert (await patient).body == b"1"


async def test_an_error_is_ones_own() -> None:
    provider = Provider()

    async def broken_at_first(_: httpx.Request) -> None:
        await asyncio.sleep(0.01)
        if provider.asked == 1:
            raise httpx.DecodingError("broken")

    provider.before = broken_at_first
    found = await asyncio.gather(*(provider.get() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, SourceError) for one in found) == 1
    assert sum(isinstance(one, Answer) for one in found) == 3


# ---- with other replicas -----------------------------------------------------------------------------------------


async def test_replicas_share_answers(state: SharedState) -> None:
    provider = Provider(state, replicas=4)
    answers = await asyncio.gather(*(provider.get(number % 4) for number in range(40)))
    assert provider.asked == 1
    assert {(answer.body, answer.date) for answer in answers} == {(b"1", answers[0].date)}
    assert (await provider.get(3, path="total")).body == b"2"
    assert (await provider.get(0, path="total")).body == b"2"


async def test_an_answer_is_not_to_be_read_by_others_and_grows_old(valkey: Valkey) -> None:
    valkey.flush()
    state = RedisState(valkey.url(), SharedWatch())
    provider = Provider(state, replicas=2)
    provider.size = 200
    await provider.get(json={"q": "anna@example.com"})
    with valkey.client as client:
        kept = [(key, client.get(key), client.pttl(key)) for key in client.keys("*:page:*")]
        assert len(kept) == 1
        assert 0 < kept[0][2] <= 60_000
        assert b"    " not in kept[0][1], "the body was padded with spaces"
        assert b"anna" not in kept[0][0]
        client.set(kept[0][0], b"nonsense")
    assert (await provider.get(1, json={"q": "anna@example.com"})).body.startswith(b"2")
    await state.aclose()


async def test_a_large_answer_stays_here(valkey: Valkey) -> None:
    valkey.flush()
    state = RedisState(valkey.url(), SharedWatch())
    provider = Provider(state, replicas=2)
    provider.size = 2 * 1024 * 1024
    bodies = [(await provider.get(replica)).body.strip() for replica in (0, 1, 0, 1)]
    assert bodies == [b"1", b"2", b"1", b"2"]
    await state.aclose()


# ---- no reader goes back in time ---------------------------------------------------------------------------------

#: What a reader does: rounds of calls made side by side.
PLAN = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=5)
READERS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), PLAN), min_size=2, max_size=8)


async def read(provider: Provider, replica: int, delay: int, rounds: list[list[int]]) -> None:
    for _ in range(delay * 3):
        await asyncio.sleep(0)
    spent, latest = reader().part(), 0
    for calls in rounds:
        answers = await gather_all(provider.get(replica, spent, params={"page": str(page)}) for page in calls)
        numbers = [int(answer.body) for answer in answers]
        assert min(numbers) > latest, "an answer that is older than one that was read before"
        latest = max(numbers)


@settings(max_examples=80, deadline=None)
@given(readers=READERS, replicas=st.integers(1, 3), is_shared=st.booleans())
def test_whatever_is_kept_no_reader_goes_back_in_time(
    readers: list[tuple[int, int, list[list[int]]]], replicas: int, is_shared: bool
) -> None:
    async def all_of_them() -> None:
        provider = Provider(MemoryState() if is_shared else None, replicas)

        async def wait_a_little(request: httpx.Request) -> None:
            for _ in range(int(request.url.params["page"]) * 2):
                await asyncio.sleep(0)

        provider.before = wait_a_little
        await gather_all(read(provider, replica % replicas, delay, rounds) for replica, delay, rounds in readers)

    asyncio.run(all_of_them())


async def test_readers_that_do_the_same_cost_what_one_costs(state: SharedState) -> None:
    rounds = [[0], [1, 2, 3], [4], [5, 6]]
    provider = Provider(state, replicas=3)
    for replica in (0, 0, 1, 2, 1):
        await read(provider, replica, 0, rounds)
    await asyncio.gather(*(read(provider, number % 3, 0, rounds) for number in range(30)))
    assert provider.asked == 7
