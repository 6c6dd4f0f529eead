"""`ProviderHttp` over a scripted provider: retries, pauses and the circuit breaker."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from app.domain.errors import SourceTimeout, SourceUnavailable
from app.providers.base import CallBudget
from app.providers.http.client import RETRIED_STATUS
from app.providers.http.response import Response, http_date
from tests.api.conftest import log as captured_log
from tests.providers.http.scripted import DATE, Provider, answer, answering, never
from tests.waiting import until

log = captured_log


async def test_the_request_of_a_call() -> None:
    provider = Provider(answering(200, date=DATE))
    budget = CallBudget()
    found = await provider.call(budget, params={"a": "1 2&é"})
    assert (found.ok, found.body, found.date, budget.calls) == (True, b"[]", http_date(DATE), 1)
    sent = provider.requests[0]
    assert (sent.method, sent.url.params["a"], sent.url.path) == ("GET", "1 2&é", "/api/things")
    assert (sent.headers["authorization"], sent.headers["accept-encoding"]) == ("Basic dXNlcjp3b3Jk", "gzip")
    await provider.call(json={"b": 1})
    assert json.loads(provider.requests[1].content) == {"b": 1}
    assert provider.requests[1].headers["content-type"] == "application/json"


# ---- retries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(RETRIED_STATUS))
async def test_a_transient_status_is_retried(status: int) -> None:
    assert {408, 425, 429, 503, 520, 521, 522, 523, 524, 529} <= RETRIED_STATUS
    provider, budget = Provider(status, 200), CallBudget(deadline=time.monotonic() + 30)
    assert (await provider.call(budget)).status == 200
    assert (provider.request_count, budget.calls, provider.watch.retries) == (2, 2, [str(status)])
    assert provider.watch.calls == [str(status), "200"]
    (slept,) = provider.timer.slept
    assert 0.1 <= slept <= 0.3, "the first retry did not wait"


@pytest.mark.parametrize("status", [204, 301, 307, 400, 401, 403, 404, 409, 422, 501])
async def test_a_permanent_status_is_not_retried(status: int) -> None:
    provider = Provider(answering(status, location="http://elsewhere.example/", retry_after="1"))
    assert ((await provider.call()).status, provider.request_count) == (status, 1)


async def test_a_call_returns_the_response_of_the_third_attempt() -> None:
    provider = Provider(500, 502, 503)
    assert ((await provider.call()).status, provider.request_count) == (503, 3)
    broken = Provider(lambda request: httpx.RemoteProtocolError("cut"), 200)
    assert (await broken.call()).status == 200
    assert broken.watch.calls == ["connection", "200"]


@pytest.mark.parametrize("body", [b"<html>Maintenance</html>\n", b'[{"a": 1}, {"b', b"Bad gateway", b"nul"])
async def test_a_response_that_is_no_json_is_retried(body: bytes) -> None:
    broken = answering(200, body)
    provider = Provider(broken, broken, 200)
    assert (await provider.call()).body != body
    assert (provider.request_count, provider.watch.retries) == (3, ["unusable", "unusable"])
    always = Provider(broken)
    assert ((await always.call()).body, always.request_count) == (body, 3)


@pytest.mark.parametrize("body", [b"", b" \n", b"null\n", b"[] ", b'{"total": 3}\r\n', b"\xef\xbb\xbf[1]"])
async def test_a_response_that_may_be_json_is_not(body: bytes) -> None:
    provider = Provider(answering(200, body))
    shown = body.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is no part of the text
    assert ((await provider.call()).body, provider.request_count) == (shown, 1)


async def test_the_deadline_bounds_attempts() -> None:
    provider = Provider(500)
    assert (await provider.call(CallBudget(deadline=time.monotonic() + 0.4))).status == 500
    assert provider.request_count == 1
    with pytest.raises(SourceTimeout):
        await provider.call(CallBudget(deadline=time.monotonic()))
    assert (provider.request_count, provider.watch.refused) == (1, ["deadline"])


async def test_the_retry_budget_bounds_the_load_on_a_provider_that_refuses() -> None:
    provider = Provider(429)  # does not open the circuit
    answers = await asyncio.gather(*(provider.call() for _ in range(100)))
    assert {answer.status for answer in answers} == {429}
    assert provider.request_count == 100 + 20 + 100 // 5


# ---- pauses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_all_calls_wait_for_the_end_of_a_short_pause(status: int) -> None:
    provider = Provider(answering(status, retry_after="3"), 200, max_concurrency=1)
    answers = await asyncio.gather(*(provider.call() for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert provider.request_count == 9
    assert 3.0 <= provider.timer.slept[0] <= 3.3


async def test_calls_during_a_long_pause_are_refused(log: Any) -> None:
    provider = Provider(answering(429, retry_after="120"), 200)
    assert (await provider.call()).retry_after == 120
    for _ in range(3):
        with pytest.raises(SourceUnavailable) as refused:
            await provider.call()
        assert refused.value.retry_after == 120
    assert (provider.request_count, provider.watch.refused) == (1, ["pause"] * 3)
    assert provider.http.health().paused_until is not None
    provider.timer.now += 115
    assert (await provider.call()).status == 200  # waits for the remaining five seconds
    assert provider.http.health().paused_until is None
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "pause" in line]
    assert [(line["event"], line["level"], line["host"]) for line in lines] == [
        ("source_paused", "warning", "provider.example:80"), ("source_pause_ended", "warning", "provider.example:80")
    ]  # fmt: skip
    assert (lines[0]["cause"], lines[0]["seconds"]) == ("the provider answered 429", 120)


async def test_a_pause_applies_to_queued_calls() -> None:
    provider = Provider(answering(429, retry_after="600"), 200, max_concurrency=1)
    found = await asyncio.gather(*(provider.call() for _ in range(5)), return_exceptions=True)
    assert (provider.request_count, sum(isinstance(one, SourceUnavailable) for one in found)) == (1, 4)


# ---- the circuit -------------------------------------------------------------------------------------------------


async def opened(**common: Any) -> Provider:
    provider = Provider(500, **common)
    for _ in range(2):
        await provider.call()
    assert provider.http.health().circuit == "open"
    provider.requests.clear()
    return provider


async def test_an_open_circuit_refuses_calls_with_the_cause(log: Any) -> None:
    provider = await opened()
    with pytest.raises(SourceUnavailable, match="the provider answered 500") as refused:
        await provider.call()
    assert (refused.value.retry_after, provider.request_count) == (pytest.approx(30.0), 0)
    assert provider.http.health().consecutive_failures == 5
    provider.timer.now += 30
    provider.replies = [200]
    await provider.call()
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "circuit" in line]
    assert [(line["event"], line["level"], line.get("cause")) for line in lines] == [
        ("source_circuit_opened", "warning", "the provider answered 500"), ("source_circuit_closed", "warning", None)
    ]  # fmt: skip


async def test_one_of_ten_requests_makes_the_trial_call() -> None:
    release = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        await release.wait()
        return answer(200)

    provider = await opened()
    provider.timer.now += 30
    provider.replies = [slow]
    requests = [asyncio.create_task(provider.call()) for _ in range(10)]
    await until(lambda: provider.request_count > 0)
    release.set()
    found = await asyncio.gather(*requests, return_exceptions=True)
    assert provider.request_count == 1
    assert sum(isinstance(one, Response) for one in found) == 1
    assert all(one.retry_after == 1.0 for one in found if isinstance(one, SourceUnavailable))
    assert provider.watch.states == ["closed", "open", "half_open", "closed"]


@pytest.mark.parametrize("status", [200, 500])
async def test_calls_of_the_request_that_makes_the_trial_call_wait_for_its_result(status: int) -> None:
    async def later(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # or each call would end before the next begins
        return answer(status)

    provider = await opened()
    provider.timer.now += 30
    provider.replies = [later]
    budget = CallBudget(deadline=time.monotonic() + 30)
    found = await asyncio.gather(*(provider.call(budget) for _ in range(8)), return_exceptions=True)
    if status == 200:
        assert all(isinstance(one, Response) for one in found)
    else:
        assert provider.request_count == 1
        assert sum(isinstance(one, SourceUnavailable) and one.retry_after == pytest.approx(60.0) for one in found) == 7


async def test_a_cancelled_trial_call_allows_the_next() -> None:
    provider = await opened()
    provider.timer.now += 30
    provider.replies = [never, 200]
    cancelled = asyncio.create_task(provider.call())
    await until(lambda: provider.request_count > 0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await provider.call()).status == 200
    assert provider.http.health().circuit == "closed"
    assert provider.watch.calls[-2:] == ["canceled", "200"]


async def test_failures_and_timeouts_of_the_provider_open_the_circuit() -> None:
    for status in (401, 403, 404):
        refusing = Provider(status)
        for _ in range(20):
            await refusing.call()
        assert refusing.http.health().circuit == "closed"
    hanging = Provider(lambda request: httpx.ReadTimeout("hangs"))
    for _ in range(2):
        with pytest.raises((SourceTimeout, SourceUnavailable)):
            await hanging.call()
    assert (hanging.http.health().circuit, hanging.request_count) == ("open", 5)
    hurried = Provider(never)
    for _ in range(6):
        with pytest.raises(SourceTimeout):
            await hurried.call(CallBudget(deadline=time.monotonic() + 0.1))
    assert hurried.watch.calls == ["timeout"] * 6
    assert hurried.http.health().consecutive_failures == 0, "a failure that the deadline caused was counted"
