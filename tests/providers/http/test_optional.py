"""Optional calls: their failures are remembered, and affect neither the circuit nor the pauses of the source."""

import random
import time

import pytest

from app.domain.errors import SourceUnauthorized
from app.providers.base import CallBudget
from app.providers.http.client import OptionalCalls, error_for
from app.providers.http.response import http_date
from tests.providers.http.scripted import DATE, Provider, Reply, answer, never


class Calls:
    """Optional calls of a scripted provider, with a clock that stands still."""

    def __init__(self, *replies: Reply | int) -> None:
        self.provider, self.now = Provider(*replies), 0
        self.optional = OptionalCalls(lambda: self.now * 1_000_000)

    async def attempt(self, kind: str = "a", spent: CallBudget | None = None) -> int | None:
        async def make(budget: CallBudget) -> int:
            response = await self.provider.http.call("GET", "x", budget)
            if not response.ok:
                raise error_for(response, code="C")
            return response.status

        return await self.optional.attempt(kind, spent or CallBudget(), make)


@pytest.mark.parametrize(("status", "seconds"), [(403, 600), (404, 600), (500, 600), (503, 60)])
async def test_a_failed_kind_of_call_is_omitted_for_ten_minutes_or_one(status: int, seconds: int) -> None:
    calls = Calls(status)
    assert await calls.attempt() is None
    made = len(calls.provider.requests)
    assert made == (3 if status >= 500 else 1)
    calls.now += seconds - 1
    assert await calls.attempt() is None
    assert len(calls.provider.requests) == made
    assert await calls.attempt("b") is None
    assert len(calls.provider.requests) == 2 * made
    calls.now += 1
    calls.provider.replies[:] = [200]
    assert [await calls.attempt(), await calls.attempt("b")] == [200, None]


async def test_failures_do_not_open_the_circuit_and_a_pause_applies_to_their_kind() -> None:
    calls = Calls(500)
    for kind in "abc":
        assert await calls.attempt(kind) is None
    health = calls.provider.http.health()
    assert (health.circuit, health.consecutive_failures) == ("closed", 0)
    calls.provider.replies[:] = [lambda _: answer(429, {"retry-after": "1800"}), 200]
    assert [await calls.attempt("d"), await calls.attempt("e")] == [None, 200]
    assert calls.provider.http.health().paused_until is None
    calls.now += 1799
    assert [await calls.attempt("a"), await calls.attempt("d")] == [200, None]
    calls.now += 1
    assert await calls.attempt("d") == 200


async def test_a_patient_request_retries_a_call_that_failed_for_another() -> None:
    limited = lambda _: answer(429, {"retry-after": "1"})  # noqa: E731
    calls, begun = Calls(limited), time.monotonic()
    assert await calls.attempt() is None
    assert len(calls.provider.requests) == 1
    calls.provider.replies[:] = [limited, 200]
    spent = CallBudget(deadline=begun + 20, is_patient=True)
    assert await calls.attempt(spent=spent) == 200
    assert (spent.calls, await calls.attempt()) == (2, None)
    assert 2 <= time.monotonic() - begun < 4


async def test_a_call_refused_to_a_patient_request_is_omitted_by_later_ones() -> None:
    calls = Calls(404)
    assert await calls.attempt() is None
    for made in (2, 2):
        assert await calls.attempt(spent=CallBudget(deadline=time.monotonic() + 20, is_patient=True)) is None
        assert len(calls.provider.requests) == made
    calls.provider.replies[:] = [lambda _: answer(429, {"retry-after": "300"})]
    for _ in range(2):
        assert await calls.attempt("b", CallBudget(deadline=time.monotonic() + 20, is_patient=True)) is None
    assert len(calls.provider.requests) == 3


async def test_a_wait_that_would_exceed_the_time_of_the_call_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout would be remembered for ten minutes, longer than the pause."""
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    calls, begun = Calls(lambda _: answer(429, {"retry-after": "20"})), time.monotonic()
    assert await calls.attempt(spent=CallBudget(deadline=begun + 42, is_patient=True)) is None
    assert time.monotonic() - begun < 5
    calls.now, calls.provider.replies[:] = 20, [200]
    assert await calls.attempt(spent=CallBudget(deadline=time.monotonic() + 42, is_patient=True)) == 200


async def test_a_call_uses_at_most_half_of_the_remaining_time() -> None:
    calls, begun = Calls(never), time.monotonic()
    spent = CallBudget(deadline=begun + 0.8)
    assert await calls.attempt(spent=spent) is None
    assert 0.2 < time.monotonic() - begun < 0.7
    assert spent.calls == 1


async def test_a_call_refused_by_the_gateway_itself_is_not_remembered() -> None:
    calls = Calls(200)
    assert await calls.attempt(spent=CallBudget(deadline=time.monotonic())) is None
    assert await calls.attempt() == 200


async def test_usage_is_added_to_the_requests_budget() -> None:
    calls, spent = Calls(lambda _: answer(200, {"date": DATE}, b"[1]")), CallBudget()
    assert await calls.attempt(spent=spent) == 200
    assert (spent.calls, spent.bytes, spent.as_of) == (1, 3, http_date(DATE))


async def test_refused_credentials_are_raised_each_time() -> None:
    calls = Calls(401)
    for _ in range(2):
        with pytest.raises(SourceUnauthorized):
            await calls.attempt()
