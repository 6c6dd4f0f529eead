"""Each key's rate: counted, told, enforced, and forgiven with time."""

from typing import Any

import httpx
import limits.aio.storage.memory
import limits.aio.strategies
import pytest
from limits.aio.storage import MemoryStorage

from app.api.api_keys import ApiKey, hash_of
from app.api.auth import Rates
from app.config import Settings
from app.domain.caller import SCOPES, Caller
from app.main import create_app
from tests.api.conftest import make_app, opened
from tests.api.memory import MemorySource, history
from tests.providers.acme import PROVIDER


class FrozenTime:
    """Stands in for the module `time` where the counters look at it."""

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
    """An application with one key per name, which is its own text."""
    keys = [ApiKey(name, hash_of(name), frozenset(SCOPES), rate=rate) for name, rate in rates.items()]
    return create_app(
        Settings(api_keys="\n".join(key.line() for key in keys)),
        [MemorySource("north", history("north", 3))],
        providers={"acme": PROVIDER},
    )


async def get(client: httpx.AsyncClient, key: str, path: str = "/sources") -> httpx.Response:
    return await client.get(path, headers={"X-API-Key": key})


async def test_one_call_too_many_is_told_how_long_to_wait(clock: FrozenTime) -> None:
    async with opened(rated(a="3/minute", b="3/minute", free=None), None) as client:
        answers = [await get(client, "a") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=3;w=60'}
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited"
        assert "a has a rate of 3/minute;" in refused.json()["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"] == f'"key";r=0;t={refused.headers["retry-after"]}'
        assert (await get(client, "b")).status_code == 200, "a key's calls are its own"
        assert "ratelimit" not in (await get(client, "free")).headers
        clock.now += int(refused.headers["retry-after"])
        assert (await get(client, "a")).status_code == 200, "who waits as long as told gets through"


async def test_the_window_slides_so_that_no_minute_has_twice_the_rate(clock: FrozenTime) -> None:
    """Twice the rate around a full minute is what a fixed window would let through."""
    rates, caller = Rates(), Caller("a", frozenset(), rate="10/minute")
    clock.now += 59 - clock.now % 60
    first = [(await rates.count(caller))[1] for _ in range(10)]
    clock.now += 2
    second = [(await rates.count(caller))[1] for _ in range(10)]
    assert first == [None] * 10
    assert sum(error is None for error in second) <= 1


async def test_every_answer_to_a_key_tells_of_its_rate() -> None:
    async with opened(rated(a="9/day"), None) as client:
        for path, status in (("/events", 200), ("/events?x=1", 422), ("/events/unknown", 404), ("/sources", 200)):
            answer = await get(client, "a", path)
            assert (answer.status_code, "ratelimit" in answer.headers) == (status, True), path
        missing = await client.get("/events")
    assert missing.status_code == 401
    assert "ratelimit" not in missing.headers


async def test_callers_without_a_rate_of_their_own_have_the_gateways() -> None:
    rates = Rates(default="2/day")
    for caller, rate in ((Caller("plain", frozenset()), 2), (Caller("own", frozenset(), rate="7/day"), 7)):
        headers, _ = await rates.count(caller)
        assert headers[0] == (b"ratelimit-policy", b'"key";q=%d;w=86400' % rate)


async def test_a_refused_call_does_no_work() -> None:
    source = MemorySource("north", history("north", 3))
    app = make_app([source], rate="1/day")
    async with opened(app) as client:
        await client.get("/events/count")
        assert (await client.get("/events/count")).status_code == 429
    assert source.totals_asked == 1


async def test_what_is_kept_of_a_caller_does_not_grow_with_its_rate() -> None:
    storage, caller = MemoryStorage(), Caller("a", frozenset(), rate="1000000/day")
    rates = Rates(storage)
    for _ in range(500):
        await rates.count(caller)
    assert len(storage.storage) + len(storage.events) <= 4
