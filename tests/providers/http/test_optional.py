"""Optional calls: their failures are remembered, and affect neither the circuit nor the pauses of the source."""

import time
from contextlib import nullcontext

import pytest

from app.domain.errors import SourceError, SourceTimeout, SourceUnauthorized, SourceUnavailable
from app.providers.base import CallBudget
from app.providers.http.client import error_for
from app.providers.http.observations import OptionalCalls
from app.providers.http.response import http_date
from tests.providers.http.scripted import DATE, Provider, Reply, answer, never


class Calls:
    """Optional calls of a scripted provider, with a clock that stands still."""

    def __init__(self, *replies: Reply | int) -> None:
        self.provider, self.now = Provider(*replies), 0
        self.optional = OptionalCalls(lambda: self.now * 1_000_000)

    async def hint(self, kind: str = "a", spent: CallBudget | None = None) -> int | None:
        return await self.optional.hint(kind, spent or CallBudget(), self._make)

    async def prove(self, kind: str = "a", spent: CallBudget | None = None) -> int | None:
        return await self.optional.prove(kind, spent or CallBudget(deadline=time.monotonic() + 20), self._make)

    async def _make(self, budget: CallBudget) -> int:
        response = await self.provider.http.call("GET", "x", budget)
        if not response.ok:
            raise error_for(response, code="C")
        return response.status


@pytest.mark.parametrize(("status", "seconds"), [(403, 600), (404, 600), (500, 600), (503, 60)])
async def test_a_failed_kind_of_call_is_omitted_for_ten_minutes_or_one(status: int, seconds: int) -> None:
    calls = Calls(status)
    assert await calls.hint() is None
    made = calls.provider.request_count
    assert made == (3 if status >= 500 else 1)
    calls.now += seconds - 1
    assert await calls.hint() is None
    assert calls.provider.request_count == made
    assert await calls.hint("b") is None
    assert calls.provider.request_count == 2 * made
    calls.now += 1
    calls.provider.replies[:] = [200]
    assert [await calls.hint(), await calls.hint("b")] == [200, None]


async def test_failures_do_not_open_the_circuit_and_a_pause_applies_to_their_kind() -> None:
    calls = Calls(500)
    for kind in "abc":
        assert await calls.hint(kind) is None
    health = calls.provider.http.health()
    assert (health.circuit, health.consecutive_failures) == ("closed", 0)
    calls.provider.replies[:] = [lambda _: answer(429, {"retry-after": "1800"}), 200]
    assert [await calls.hint("d"), await calls.hint("e")] == [None, 200]
    assert calls.provider.http.health().paused_until is None
    calls.now += 1799
    assert [await calls.hint("a"), await calls.hint("d")] == [200, None]
    calls.now += 1
    assert await calls.hint("d") == 200


async def test_a_proof_waits_for_a_retry_after_in_its_time_and_is_not_left_out() -> None:
    limited = lambda _: answer(429, {"retry-after": "3"})  # noqa: E731
    calls = Calls(limited)
    assert await calls.hint() is None
    calls.provider.replies[:] = [limited, 200]
    spent = CallBudget(deadline=time.monotonic() + 20)
    assert await calls.prove(spent=spent) == 200
    assert spent.calls == 2
    assert 3 <= calls.provider.timer.now - 1000 < 4


async def test_a_proof_that_cannot_be_made_now_fails_the_request() -> None:
    calls = Calls(lambda _: answer(429, {"retry-after": "300"}))
    for wait in (300, 250, 100):
        calls.provider.timer.now = 1300 - wait
        with pytest.raises(SourceUnavailable) as failure:
            await calls.prove()
        assert failure.value.retry_after == pytest.approx(wait, abs=1)
        assert calls.provider.request_count == 1, "the provider is not called before"
    calls.provider.timer.now = 1300
    calls.now += 300
    with pytest.raises(SourceUnavailable):
        await calls.prove()
    assert calls.provider.request_count == 2, "a time to retry after is no refusal, however often it is sent"


@pytest.mark.parametrize(("status", "minutes"), [(403, 10), (404, 10), (501, 10), (500, 1)])
async def test_a_proof_that_is_refused_is_left_out_for_some_minutes(status: int, minutes: int) -> None:
    calls = Calls(status)
    attempts = 3 if status == 500 else 1
    for seconds, made in ((0, attempts), (60 * minutes - 1, attempts), (1, 2 * attempts)):
        calls.now += seconds
        assert await calls.prove() is None
        assert calls.provider.request_count == made
    calls.provider.replies[:] = [200]
    assert [await calls.prove(), await calls.prove("b")] == [None, 200]
    calls.now += 600
    assert await calls.prove() == 200


@pytest.mark.parametrize(("status", "kind"), [(503, SourceUnavailable), (504, SourceTimeout)])
async def test_a_proof_that_fails_for_half_a_minute_counts_as_refused(status: int, kind: type[SourceError]) -> None:
    calls = Calls(status)
    for seconds in (0, 1, 1, 1, 26):
        calls.now += seconds
        with pytest.raises(kind):
            await calls.prove()
    calls.now += 1
    assert await calls.prove() is None
    made = calls.provider.request_count
    assert await calls.prove() is None
    assert calls.provider.request_count == made
    calls.now += 3600
    assert await calls.prove() is None, "nothing has shown that the refusal has ended"
    calls.now += 600
    calls.provider.replies[:] = [200]
    assert await calls.prove() == 200
    calls.provider.replies[:] = [status]
    with pytest.raises(kind):
        await calls.prove()


@pytest.mark.parametrize("pauses", [[0, 601, 1200], [0, 60, 60, 60, 500], [0, 1, 1, 1, 1, 1]])
async def test_single_failures_of_a_proof_are_no_refusal(pauses: list[int]) -> None:
    """Some in a long time, and many in a short one."""
    calls = Calls(503)
    for seconds in pauses:
        calls.now += seconds
        with pytest.raises(SourceUnavailable):
            await calls.prove()
    assert calls.provider.http.health().consecutive_failures == 0


async def test_half_of_the_time_is_left_for_a_proof_that_fails_for_long() -> None:
    calls = Calls(never)
    for seconds in (0, 1, 2, 3, 30):
        begun, calls.now = time.monotonic(), seconds
        deadline = 0.8 if seconds == 30 else 0.3
        with pytest.raises(SourceTimeout) if seconds < 30 else nullcontext():
            assert await calls.prove(spent=CallBudget(deadline=begun + deadline)) is None
        assert 0.2 < time.monotonic() - begun < 0.7


async def test_a_call_uses_at_most_half_of_the_remaining_time() -> None:
    calls, begun = Calls(never), time.monotonic()
    spent = CallBudget(deadline=begun + 0.8)
    assert await calls.hint(spent=spent) is None
    assert 0.2 < time.monotonic() - begun < 0.7
    assert spent.calls == 1


async def test_a_call_refused_by_the_gateway_itself_is_not_remembered() -> None:
    calls = Calls(200)
    for _ in range(2):
        assert await calls.hint(spent=CallBudget(deadline=time.monotonic())) is None
        with pytest.raises(SourceTimeout):
            await calls.prove(spent=CallBudget(deadline=time.monotonic()))
        calls.now += 30
    assert [await calls.hint(), await calls.prove()] == [200, 200]


async def test_usage_is_added_to_the_requests_budget() -> None:
    calls, spent = Calls(lambda _: answer(200, {"date": DATE}, b"[1]")), CallBudget()
    assert await calls.hint(spent=spent) == 200
    assert (spent.calls, spent.bytes, spent.as_of) == (1, 3, http_date(DATE))


async def test_refused_credentials_are_raised_each_time() -> None:
    calls = Calls(401)
    for make in (calls.hint, calls.prove, calls.hint, calls.prove):
        with pytest.raises(SourceUnauthorized):
            await make()
