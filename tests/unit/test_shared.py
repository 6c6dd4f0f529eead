"""What replicas hold together: one suite for what keeps it in memory and for what keeps it in a real Valkey."""

from __future__ import annotations

import asyncio
import time

import pytest
from limits import parse

from app.providers.http.circuit_breaker import Bulletin
from app.providers.shared.interface import Shared, SharedState
from app.providers.shared.memory import MemoryState
from app.providers.shared.value_cipher import ValueCipher
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "a secret of at least thirty-two characters"
OPEN = Bulletin(3, False, 0.0, 30.0, 5)


# ---- values ------------------------------------------------------------------------------------------------------


async def test_a_value_is_kept_for_its_time(state: SharedState) -> None:
    assert await state.get("a") is None
    await state.put("a", b"\x00one", 60)
    held = await state.get("a")
    assert held is not None
    assert held.value == b"\x00one"
    assert 0 < held.left <= 60
    await state.put("a", b"two", 0.05)

    async def gone() -> bool:
        return await state.get("a") is None

    await until(gone)


async def test_moments_are_in_order(state: SharedState) -> None:
    moments = [await state.moment() for _ in range(20)]
    assert moments == sorted(moments)


# ---- owners ------------------------------------------------------------------------------------------------------


async def test_one_of_ten_becomes_the_owner(state: SharedState) -> None:
    claims = await asyncio.gather(*(state.claim("a", f"owner {number}", 60) for number in range(10)))
    assert sum(claims) == 1
    owner = f"owner {claims.index(True)}"
    assert await state.claim("a", owner, 60), "the owner renews it"
    assert await state.claim("b", "another", 60)
    await state.release("a", "another")
    assert not await state.claim("a", "another", 60), "only its owner can give it up"
    await state.release("a", owner)
    assert await state.claim("a", "another", 60)


async def test_an_owner_that_is_gone_is_not_waited_for(state: SharedState) -> None:
    assert await state.claim("a", "gone", 0.05)
    await until(lambda: state.claim("a", "next", 60))


# ---- rates -------------------------------------------------------------------------------------------------------


async def test_a_seconds_worth_of_calls_may_go_at_once(state: SharedState) -> None:
    begun = time.monotonic()
    waits = [await state.take("a", 20.0) for _ in range(60)]
    taken = waits.count(0.0)
    assert 20 <= taken <= 20 + 20 * (time.monotonic() - begun)
    assert all(wait <= 0.05 + 1e-6 for wait in waits)
    assert await state.take("b", 20.0) == 0.0, "each key has a rate of its own"


async def test_less_than_one_call_a_second(state: SharedState) -> None:
    assert await state.take("a", 0.01) == 0.0
    assert 0 < await state.take("a", 0.01) <= 100.0


async def test_calls_of_callers_are_counted_together(state: SharedState) -> None:
    item = parse("3/day")
    allowed = [(await state.count(item, "anna"))[0] for _ in range(5)]
    assert allowed == [True, True, True, False, False]
    begun = time.time()
    fine, stats = await state.count(item, "jonas")
    assert fine
    assert stats.remaining == 2
    assert stats.reset_time >= begun


# ---- a source ----------------------------------------------------------------------------------------------------


async def test_nothing_is_known_at_first(state: SharedState) -> None:
    standing = await state.standing("a")
    assert (standing.pause, standing.circuit) == (0.0, None)


async def test_the_longest_pause_holds(state: SharedState) -> None:
    for seconds in (5.0, 60.0, 20.0):
        await state.pause("a", seconds)
    assert 20.0 < (await state.standing("a")).pause <= 60.0
    assert (await state.standing("b")).pause == 0.0
    await state.pause("c", 0.05)

    async def over() -> bool:
        return (await state.standing("c")).pause == 0.0

    await until(over)


async def test_the_newest_bulletin_holds(state: SharedState) -> None:
    assert await state.publish("a", OPEN, "") == OPEN
    older = Bulletin(2, True, 0.0, 30.0, 0)
    assert await state.publish("a", older, "") == OPEN
    assert await state.publish("a", Bulletin(3, True, 0.0, 30.0, 0), "") == OPEN, "the first one of its version"
    newer = Bulletin(4, True, 0.0, 30.0, 0)
    assert await state.publish("a", newer, "") == newer
    assert (await state.standing("a")).circuit == newer


async def test_the_time_of_an_open_circuit_passes(state: SharedState) -> None:
    await state.publish("a", Bulletin(1, False, 40.0, 60.0, 7), "")
    found = (await state.standing("a")).circuit
    assert found is not None
    assert (found.version, found.closed, found.duration, found.failures) == (1, False, 60.0, 7)
    assert 0 < found.wait <= 40.0
    await state.publish("b", Bulletin(1, False, 0.05, 60.0, 7), "")

    async def over() -> bool:
        found = (await state.standing("b")).circuit
        return found is not None and found.wait == 0.0

    await until(over)


async def test_one_probe_of_ten(state: SharedState) -> None:
    await state.publish("a", OPEN, "")
    claims = await asyncio.gather(*(state.claim_probe("a", 3, f"owner {number}", 60) for number in range(10)))
    assert sum(claims) == 1
    owner = f"owner {claims.index(True)}"
    await state.release_probe("a", "another")
    assert not await state.claim_probe("a", 3, "another", 60)
    await state.release_probe("a", owner)
    assert await state.claim_probe("a", 3, "another", 0.05)
    await until(lambda: state.claim_probe("a", 3, "next", 60))


async def test_no_probe_of_a_circuit_that_is_another_by_now(state: SharedState) -> None:
    assert not await state.claim_probe("a", 3, "early", 60)
    await state.publish("a", Bulletin(3, False, 30.0, 30.0, 5), "")
    assert not await state.claim_probe("a", 3, "early", 60), "its time is not up"
    await state.publish("a", Bulletin(4, False, 0.0, 30.0, 5), "")
    assert not await state.claim_probe("a", 3, "late", 60)
    assert await state.claim_probe("a", 4, "in time", 60)
    # Whoever publishes what the probe found out gives it up in the same step.
    await state.publish("a", Bulletin(5, False, 0.0, 60.0, 6), "in time")
    assert await state.claim_probe("a", 5, "next", 60)
    await state.publish("a", Bulletin(6, True, 0.0, 60.0, 0), "next")
    assert not await state.claim_probe("a", 6, "nobody", 60), "it is closed"


# ---- names and covers --------------------------------------------------------------------------------------------


async def test_what_is_kept_says_nothing_and_cannot_be_forged(state: SharedState) -> None:
    shared = Shared(state, SECRET, {"main": {"API_KEY": "hunter2"}})
    key = shared.key("total", "main", "anna@example.com")
    assert "main" not in key
    assert "anna" not in key
    await shared.put(key, b"anna@example.com", 60)
    kept = await state.get(key)
    assert kept is not None
    assert b"anna" not in kept.value
    held = await shared.get(key)
    assert held is not None
    assert held.value == b"anna@example.com"
    changed = kept.value[:-1] + bytes([kept.value[-1] ^ 1])
    for value in (b"", b"12", b"anna@example.com", kept.value[:-1], changed, kept.value * 2):
        await state.put(key, value, 60)
        assert await shared.get(key) is None
    other = shared.key("total", "main", "jonas@example.com")
    await state.put(other, kept.value, 60)
    assert await shared.get(other) is None, "a value is good under its own name only"


def test_deployments_and_accounts_have_names_of_their_own() -> None:
    account = {"KEY": "one"}
    given = [
        (SECRET, {"main": account}, ("total", "main", "a")),
        (SECRET + ".", {"main": account}, ("total", "main", "a")),
        (SECRET, {"main": {"KEY": "two"}}, ("total", "main", "a")),
        (SECRET, {"main": account, "side": account}, ("total", "side", "a")),
        (SECRET, {"main": account}, ("page", "main", "a")),
        (SECRET, {"main": account}, ("total", "main", "b")),
        (SECRET, {"main": account}, ("total", "main", "a", "")),
    ]
    keys = [Shared(MemoryState(), secret, accounts).key(*parts) for secret, accounts, parts in given]
    assert len(set(keys)) == len(keys)
    again = Shared(MemoryState(), SECRET, {"other": {}, "main": dict(account)}).key("total", "main", "a")
    assert again == keys[0], "the same on every replica"
    callers = [Shared(MemoryState(), secret).caller("anna") for secret in (SECRET, SECRET + ".", SECRET)]
    assert callers[0] == callers[2] != callers[1]
    assert "anna" not in callers[0]


def test_parts_of_a_digest_do_not_run_together() -> None:
    sealing = ValueCipher(SECRET)
    assert (
        len({sealing.digest("ab", "c"), sealing.digest("a", "bc"), sealing.digest("abc"), sealing.digest(b"abc\0")})
        == 4
    )
