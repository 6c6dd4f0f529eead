"""A real Valkey that is killed, frozen, emptied, read-only or full of nonsense: nobody waits for it, and it is used
again as soon as it can be."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from app.domain.errors import ConfigurationError
from app.providers.http.circuit_breaker import Bulletin
from app.providers.shared.interface import SharedStateDown
from app.providers.shared.redis import RedisState
from tests.api.conftest import log as captured_log
from tests.unit.shared_watch import SharedWatch
from tests.valkey import IMPATIENT, Valkey, serving_valkey

pytestmark = pytest.mark.anyio

log = captured_log


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with serving_valkey() as server:
        yield server


@pytest.fixture
def watch() -> SharedWatch:
    return SharedWatch()


@pytest.fixture
async def state(valkey: Valkey, watch: SharedWatch) -> AsyncIterator[RedisState]:
    found = RedisState(valkey.url(IMPATIENT), watch)
    await found.start()
    yield found
    await found.aclose()


async def works(state: RedisState) -> None:
    """Waits until it does."""
    async with asyncio.timeout(30):
        while True:
            try:
                await state.put("a", b"value", 60)
                held = await state.get("a")
                assert held is not None
                assert held.value == b"value"
                return
            except SharedStateDown:
                await asyncio.sleep(0.05)


async def fails(state: RedisState, watch: SharedWatch) -> None:
    """The first operation notices, and the ones behind it do not ask again."""
    with pytest.raises(SharedStateDown):
        await state.get("a")
    errors = len(watch.errors)
    for operation in (
        state.get("a"), state.put("a", b"", 1), state.claim("a", "owner", 1), state.release("a", "owner"),
        state.take("a", 5.0), state.standing("a"), state.pause("a", 1), state.claim_probe("a", 1, "owner", 1),
        state.publish("a", Bulletin(1, False, 1.0, 1.0, 1), ""), state.release_probe("a", "owner"),
    ):  # fmt: skip
        with pytest.raises(SharedStateDown):
            await operation
    assert len(watch.errors) - errors <= 1, "no operation but the look in the background was tried"


async def test_it_is_killed_and_started_again(
    valkey: Valkey, state: RedisState, watch: SharedWatch, log: io.StringIO
) -> None:
    await works(state)
    assert watch.states == [True]
    valkey.kill()
    await fails(state, watch)
    assert watch.states == [True, False]
    valkey.start()
    await works(state)
    assert watch.states == [True, False, True]
    assert set(watch.errors) <= {"connection", "still_down"}
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["shared_state_down", "shared_state_up"]
    assert str(valkey.port) not in log.getvalue()


async def test_it_hangs(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    await works(state)
    valkey.freeze()
    try:
        await fails(state, watch)
        assert watch.errors[0] == "timeout"
    finally:
        valkey.thaw()
    await works(state)
    assert watch.states == [True, False, True]


async def test_it_was_never_there(watch: SharedWatch, valkey: Valkey) -> None:
    valkey.kill()
    state = RedisState(valkey.url(""), watch)
    try:
        await state.start()
        assert watch.states == [False]
        valkey.start()
        await works(state)
    finally:
        await state.aclose()


async def test_a_warning_is_not_repeated_for_each_outage(valkey: Valkey, state: RedisState, log: io.StringIO) -> None:
    for _ in range(3):
        valkey.kill()
        with pytest.raises(SharedStateDown):
            await state.get("a")
        valkey.start()
        await works(state)
    assert log.getvalue().count("shared_state_down") == 1


async def test_emptied_it_goes_on(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    await state.publish("a", Bulletin(4, False, 60.0, 60.0, 5), "")
    valkey.flush()
    with valkey.client as client:
        client.script_flush()
    assert (await state.standing("a")).circuit is None
    assert await state.claim("a", "owner", 60)
    assert await state.take("a", 0.01) == 0.0
    assert watch.errors == []


async def test_one_that_only_reads_is_none(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    with valkey.client as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(SharedStateDown):
            await state.put("a", b"", 60)
        assert watch.errors == ["answer"]
        client.replicaof("NO", "ONE")
    await works(state)


async def test_a_full_one_is_none(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    with valkey.client as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(SharedStateDown):
            await state.put("a", b"", 60)
        client.config_set("maxmemory", "0")
    await works(state)


async def test_values_of_somebody_else_are_nothing(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    with valkey.client as client:
        for field, value in (
            ("version", "x"), ("version", "-1"), ("version", "9" * 40), ("closed", "7"), ("until", "never"),
            ("duration", ""), ("failures", "-1"),
        ):  # fmt: skip
            whole = {"version": "3", "closed": "0", "until": "0", "duration": "1", "failures": "1", field: value}
            client.delete("s:circuit")
            client.hset("s:circuit", mapping=whole)
            assert (await state.standing("s")).circuit is None, (field, value)
        client.hset("u:circuit", mapping={"version": "3"})
        assert (await state.standing("u")).circuit is None
        client.set("rate", "9" * 15)
        assert await state.take("rate", 0.01) == 0.0
        client.set("rate", "nonsense")
        assert await state.take("rate", 0.01) == 0.0
    assert watch.errors == []


async def test_keys_of_another_kind_are_removed(valkey: Valkey, state: RedisState, watch: SharedWatch) -> None:
    with valkey.client as client:
        for key in ("a", "s:circuit", "s:probe", "rate"):
            client.rpush(key, "somebody else's")
    for operation in (
        lambda: state.get("a"),
        lambda: state.claim("a", "owner", 60),
        lambda: state.standing("s"),
        lambda: state.publish("s", Bulletin(4, False, 0.0, 60.0, 5), "owner"),
        lambda: state.claim_probe("s", 4, "owner", 60),
        lambda: state.take("rate", 5.0),
    ):
        for _ in range(2):
            try:
                await operation()
                break
            except SharedStateDown:
                continue
        else:
            raise AssertionError("the second time, too")
    assert watch.states == [True]


async def test_a_caller_who_goes_away_leaves_a_working_connection(valkey: Valkey, watch: SharedWatch) -> None:
    state = RedisState(valkey.url(), watch)
    await works(state)
    # More than there are connections, and few enough to have their turn in time on a busy machine.
    tasks = [asyncio.create_task(state.get("a")) for _ in range(60)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    values = [held.value for held in found[1::2] if held is not None and not isinstance(held, BaseException)]
    assert values == [b"value"] * 30
    assert watch.errors == []
    await state.aclose()


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host/0?socket_timeout=soon"])
def test_a_url_that_makes_no_sense_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        RedisState(url, SharedWatch())
    assert wrong.value.detail.startswith("GATEWAY_REDIS_URL")
    assert "host" not in wrong.value.detail.replace("localhost", "")


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_both_schemes(valkey: Valkey, watch: SharedWatch, scheme: str) -> None:
    state = RedisState(valkey.url().replace("redis", scheme, 1), watch)
    try:
        await works(state)
    finally:
        await state.aclose()
