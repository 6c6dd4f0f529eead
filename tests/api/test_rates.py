"""Rates of keys: headers, refusals and the sliding window."""

from typing import Any

import httpx
import limits.aio.storage.memory
import limits.aio.strategies
import pytest
from limits.aio.storage import MemoryStorage

from app.api.api_keys import ApiKey, hash_of
from app.api.auth import Rates
from app.domain.caller import SCOPES, Caller
from tests.api.conftest import make_app, opened
from tests.api.memory import memory_source


class FrozenTime:
    """A replacement of the module `time`."""

    def __init__(self) -> None:
        self.now = 1_800_000_007.25

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FrozenTime:
    frozen = FrozenTime()
    for module in (limits.aio.storage.memory, limits.aio.strategies):
        monkeypatch.setattr(module, "time", frozen)
    monkeypatch.setattr("app.api.auth.time", frozen)
    return frozen


def rated(**rates: str | None) -> Any:
    """Return an application with keys of these names, each of which is its own text."""
    keys = [ApiKey(name, hash_of(name), frozenset(SCOPES), rate=rate) for name, rate in rates.items()]
    return make_app([memory_source(3)], keys=keys)


async def get(client: httpx.AsyncClient, key: str, path: str = "/sources") -> httpx.Response:
    return await client.get(path, headers={"X-API-Key": key})


async def test_a_call_beyond_the_rate_gets_a_retry_after_that_suffices(clock: FrozenTime) -> None:
    async with opened(rated(a="3/minute", b="3/minute", free=None), None) as client:
        responses = [await get(client, "a") for _ in range(4)]
        assert [response.status_code for response in responses] == [200, 200, 200, 429]
        assert [response.headers["ratelimit"].split(";")[1] for response in responses] == ["r=2", "r=1", "r=0", "r=0"]
        assert {response.headers["ratelimit-policy"] for response in responses} == {'"key";q=3;w=60'}
        refused = responses[-1]
        assert refused.json()["code"] == "rate_limited"
        assert "a has a rate of 3/minute;" in refused.json()["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"] == f'"key";r=0;t={refused.headers["retry-after"]}'
        assert (await get(client, "b")).status_code == 200, "each key has its own count"
        assert "ratelimit" not in (await get(client, "free")).headers
        clock.now += int(refused.headers["retry-after"])
        assert (await get(client, "a")).status_code == 200, "after the time of Retry-After"


async def test_the_window_of_a_rate_slides(clock: FrozenTime) -> None:
    """A fixed window would admit twice the rate around a full minute."""
    rates, caller = Rates(), Caller("a", frozenset(), rate="10/minute")
    clock.now += 59 - clock.now % 60
    first = [(await rates.count(caller))[1] for _ in range(10)]
    clock.now += 2
    second = [(await rates.count(caller))[1] for _ in range(10)]
    assert first == [None] * 10
    assert sum(error is None for error in second) <= 1


async def test_every_response_to_a_key_has_rate_headers() -> None:
    async with opened(rated(a="9/day"), None) as client:
        for path, status in (("/events", 200), ("/events?x=1", 422), ("/events/unknown", 404), ("/sources", 200)):
            response = await get(client, "a", path)
            assert (response.status_code, "ratelimit" in response.headers) == (status, True), path
        missing = await client.get("/events")
    assert missing.status_code == 401
    assert "ratelimit" not in missing.headers


async def test_the_rate_of_the_gateway_is_the_default() -> None:
    rates = Rates(default="2/day")
    for caller, rate in ((Caller("plain", frozenset()), 2), (Caller("own", frozenset(), rate="7/day"), 7)):
        headers, _ = await rates.count(caller)
        assert headers[0] == (b"ratelimit-policy", b'"key";q=%d;w=86400' % rate)


async def test_a_call_refused_by_rate_reads_no_source() -> None:
    source = memory_source(3)
    app = make_app([source], rate="1/day")
    async with opened(app) as client:
        await client.get("/events/count")
        assert (await client.get("/events/count")).status_code == 429
    assert source.total_calls == 1


async def test_memory_per_caller_does_not_grow_with_its_rate() -> None:
    storage, caller = MemoryStorage(), Caller("a", frozenset(), rate="1000000/day")
    rates = Rates(storage)
    for _ in range(500):
        await rates.count(caller)
    assert len(storage.storage) + len(storage.events) <= 4
