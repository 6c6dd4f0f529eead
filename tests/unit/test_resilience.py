"""What calls to one source share: turns, pauses, probes; and what is made of a provider's answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.domain.errors import SourceFailed, SourceTimeout, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.availability import LONGEST_PAUSE
from app.providers.http.client import TRANSLATION, ProviderHttp, translate
from app.providers.http.limiter import Turns
from app.providers.http.resilience import Resilience
from app.providers.http.responses import Answer, http_date
from app.providers.observer import NoObserver

pytestmark = pytest.mark.anyio


class Timer:
    """A monotonic clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Watch(NoObserver):
    """Everything that an observer is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.retries: list[str] = []
        self.refused: list[str] = []
        self.states: list[str] = []

    def on_call(self, source: str, outcome: str, seconds: float) -> None:
        assert source == "main"
        assert seconds >= 0
        self.calls.append(outcome)

    def on_retry(self, source: str, reason: str) -> None:
        self.retries.append(reason)

    def on_refused(self, source: str, reason: str) -> None:
        self.refused.append(reason)

    def on_circuit(self, source: str, state: str) -> None:
        self.states.append(state)


Reply = Callable[[httpx.Request], Any]


def answer(status: int, headers: dict[str, str] | None = None) -> httpx.Response:
    # One that was not read yet, as it comes over a socket.
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(b"[]"))


class Provider:
    """A provider behind httpx's own seam. `replies` are given in turn, the last one for ever."""

    def __init__(self, *replies: Reply | int, **common: Any) -> None:
        self.replies = list(replies)
        self.asked = 0
        self.timer, self.watch = Timer(), Watch()
        settings = CommonSettings(timer=self.timer, sleep=self.timer.sleep, observer=self.watch, **common)
        self.http = ProviderHttp(
            "http://provider.example/api", settings, name="main", transport=httpx.MockTransport(self._reply)
        )

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, int):
            return answer(reply)
        found = reply(request)
        if isinstance(found, Exception):
            raise found
        if asyncio.iscoroutine(found):
            found = await found
        assert isinstance(found, httpx.Response)
        return found

    async def call(self, spent: CallBudget | None = None) -> Answer:
        return await self.http.call("GET", "things", spent or CallBudget(deadline=time.monotonic() + 30))


def answering(status: int, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: answer(status, named)


# ---- retries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_status_that_passes_is_retried(status: int) -> None:
    provider = Provider(status, 200)
    spent = CallBudget(deadline=time.monotonic() + 30)
    assert (await provider.call(spent)).status == 200
    assert (provider.asked, spent.calls) == (2, 2)
    assert provider.watch.retries == [str(status)]
    assert provider.watch.calls == [str(status), "200"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 409, 422, 501])
async def test_a_status_that_stays_is_not(status: int) -> None:
    provider = Provider(answering(status, location="http://elsewhere.example/"))
    assert (await provider.call()).status == status
    assert provider.asked == 1


async def test_three_attempts_and_the_last_answer() -> None:
    provider = Provider(500, 502, 503)
    assert (await provider.call()).status == 503
    assert provider.asked == 3


async def test_a_connection_that_breaks_is_retried() -> None:
    provider = Provider(lambda request: httpx.RemoteProtocolError("cut"), 200)
    assert (await provider.call()).status == 200
    assert provider.watch.calls == ["connection", "200"]


async def test_too_little_time_is_not_spent_on_retries() -> None:
    provider = Provider(500)
    assert (await provider.call(CallBudget(deadline=time.monotonic() + 0.4))).status == 500
    assert provider.asked == 1


async def test_no_call_after_the_deadline() -> None:
    provider = Provider(200)
    with pytest.raises(SourceTimeout):
        await provider.call(CallBudget(deadline=time.monotonic()))
    assert provider.asked == 0
    assert provider.watch.refused == ["deadline"]


async def test_the_retry_budget_bounds_the_load_on_a_provider_that_refuses() -> None:
    # 429 does not open the circuit: it is the budget alone that ends the retries.
    provider = Provider(429)
    answers = await asyncio.gather(*(provider.call() for _ in range(100)))
    assert {answer.status for answer in answers} == {429}
    assert provider.asked == 100 + 20 + 100 // 5


# ---- pauses ------------------------------------------------------------------------------------------------------


async def test_a_short_wait_is_waited_out_by_all() -> None:
    provider = Provider(answering(429, retry_after="3"), 200)
    assert (await provider.call()).status == 200
    assert provider.timer.slept
    assert 3.0 <= provider.timer.slept[0] <= 3.3


async def test_a_pause_is_shared_by_all_requests() -> None:
    provider = Provider(answering(429, retry_after="120"), 200)
    assert (await provider.call()).retry_after == 120
    for _ in range(3):
        with pytest.raises(SourceUnavailable) as refused:
            await provider.call()
        assert refused.value.retry_after == 120
    assert provider.asked == 1
    assert provider.watch.refused == ["pause"] * 3
    assert provider.http.health().paused_until is not None
    provider.timer.now += 115
    assert (await provider.call()).status == 200  # five seconds are waited out
    assert provider.http.health().paused_until is None


async def test_a_pause_that_begins_while_a_call_waits_for_its_turn_holds_it_back() -> None:
    provider = Provider(answering(429, retry_after="600"), 200, max_concurrency=1)
    found = await asyncio.gather(*(provider.call() for _ in range(5)), return_exceptions=True)
    assert provider.asked == 1
    assert sum(isinstance(one, SourceUnavailable) for one in found) == 4


async def test_a_pause_of_years_is_asked_about_every_hour() -> None:
    provider = Provider(answering(503, retry_after="99999999999999"), 200)
    assert (await provider.call()).retry_after == LONGEST_PAUSE
    provider.timer.now += LONGEST_PAUSE + 1
    assert (await provider.call()).status == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Mon, 01 Jun 2026 12:00:09 GMT", 9.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", LONGEST_PAUSE),
        ("9" * 500, LONGEST_PAUSE),
        ("-1", None),
        ("1e9", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_both_forms_of_retry_after(header: str, seconds: float | None) -> None:
    headers = httpx.Headers([(b"retry-after", header.encode())])
    date = http_date("Mon, 01 Jun 2026 12:00:00 GMT")
    assert Answer(429, b"", headers, date).retry_after == seconds


# ---- the circuit -------------------------------------------------------------------------------------------------


async def opened(provider: Provider) -> None:
    for _ in range(2):
        await provider.call()
    assert provider.http.health().circuit == "open"
    provider.asked = 0


async def test_an_open_circuit_answers_at_once() -> None:
    provider = Provider(500)
    await opened(provider)
    with pytest.raises(SourceUnavailable) as refused:
        await provider.call()
    assert refused.value.retry_after == 30.0
    assert provider.asked == 0
    health = provider.http.health()
    assert health.consecutive_failures == 5
    assert health.retry_at is not None


async def test_one_probe_of_ten_requests() -> None:
    release = asyncio.Event()

    async def slow() -> httpx.Response:
        await release.wait()
        return answer(200)

    provider = Provider(500)
    await opened(provider)
    provider.timer.now += 30
    provider.replies = [lambda request: slow()]
    requests = [asyncio.create_task(provider.call()) for _ in range(10)]
    await asyncio.sleep(0.01)
    assert provider.asked == 1
    release.set()
    found = await asyncio.gather(*requests, return_exceptions=True)
    assert sum(isinstance(one, Answer) for one in found) == 1
    assert all(one.retry_after == 1.0 for one in found if isinstance(one, SourceUnavailable))
    assert provider.watch.states == ["closed", "open", "half_open", "closed"]


async def test_other_calls_of_the_request_that_probes_wait_for_its_outcome() -> None:
    provider = Provider(500)
    await opened(provider)
    provider.timer.now += 30
    provider.replies = [200]
    spent = CallBudget(deadline=time.monotonic() + 30)
    answers = await asyncio.gather(*(provider.call(spent) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8


async def test_a_probe_that_fails_fails_its_siblings_without_asking() -> None:
    provider = Provider(500)
    await opened(provider)
    provider.timer.now += 30
    spent = CallBudget(deadline=time.monotonic() + 30)
    found = await asyncio.gather(*(provider.call(spent) for _ in range(8)), return_exceptions=True)
    assert provider.asked == 1
    assert sum(isinstance(one, SourceUnavailable) and one.retry_after == 60.0 for one in found) == 7


async def test_a_probe_whose_caller_goes_away_leaves_the_next_one_in() -> None:
    async def never() -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    provider = Provider(500)
    await opened(provider)
    provider.timer.now += 30
    provider.replies = [lambda request: never(), 200]
    gone = asyncio.create_task(provider.call())
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await provider.call()).status == 200
    assert provider.http.health().circuit == "closed"
    assert provider.watch.calls[-2:] == ["canceled", "200"]


async def test_refusals_of_ours_and_theirs_do_not_open_it() -> None:
    provider = Provider(404)
    for _ in range(20):
        await provider.call()
    assert provider.http.health().circuit == "closed"


async def test_a_hanging_provider_opens_it() -> None:
    provider = Provider(lambda request: httpx.ReadTimeout("hangs"))
    for _ in range(2):
        with pytest.raises((SourceTimeout, SourceUnavailable)):
            await provider.call()
    assert provider.http.health().circuit == "open"


async def test_a_deadline_that_left_no_time_is_not_held_against_the_provider() -> None:
    async def slow() -> httpx.Response:
        await asyncio.sleep(5)
        raise AssertionError

    provider = Provider(lambda request: slow())
    for _ in range(6):
        with pytest.raises(SourceTimeout):
            await provider.call(CallBudget(deadline=time.monotonic() + 0.1))
    assert provider.watch.calls == ["timeout"] * 6
    assert provider.http.health().consecutive_failures == 0


# ---- turns -------------------------------------------------------------------------------------------------------


async def test_a_request_of_many_calls_does_not_starve_another() -> None:
    turns, served = Turns(1, None), list[int]()

    async def call(request: int) -> None:
        async with turns.turn(request):
            served.append(request)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(call(1)) for _ in range(32)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(call(request)) for request in (2, 3, 2)]
    await asyncio.gather(*tasks)
    assert served.index(3) <= 5
    assert [place for place, request in enumerate(served) if request == 2][-1] <= 8
    assert len(served) == 35


async def test_no_more_at_a_time_than_allowed() -> None:
    turns, most = Turns(3, None), 0

    async def call() -> None:
        nonlocal most
        async with turns.turn(1):
            most = max(most, turns.in_flight)
            await asyncio.sleep(0)

    await asyncio.gather(*(call() for _ in range(50)))
    assert most == 3
    assert (turns.in_flight, turns.waiting) == (0, 0)


async def test_those_who_go_away_while_they_wait_take_no_turn_with_them() -> None:
    turns = Turns(1, None)
    release = asyncio.Event()

    async def call(request: int) -> int:
        async with turns.turn(request):
            await release.wait()
            return request

    tasks = [asyncio.create_task(call(request)) for request in range(20)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    release.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in found if isinstance(one, int)] == list(range(0, 20, 2))
    assert (turns.in_flight, turns.waiting) == (0, 0)
    async with asyncio.timeout(1), turns.turn(99):
        pass


async def test_no_more_a_second_than_allowed() -> None:
    turns, served = Turns(32, 5.0), 0

    async def call() -> None:
        nonlocal served
        async with turns.turn(1):
            served += 1

    tasks = [asyncio.create_task(call()) for _ in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert served == 5  # a second's worth at once; for the others, a clock would have to tick
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (turns.in_flight, turns.waiting) == (0, 0)


async def test_a_call_that_never_gets_its_turn_ends_with_the_deadline() -> None:
    async def slow() -> httpx.Response:
        await asyncio.sleep(5)
        raise AssertionError

    provider = Provider(lambda request: slow(), max_concurrency=1)
    found = await asyncio.gather(
        *(provider.call(CallBudget(deadline=time.monotonic() + 0.2)) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(one, SourceTimeout) for one in found)
    assert provider.asked == 1
    health = provider.http.health()
    assert (health.in_flight, health.waiting) == (0, 0)


# ---- translation -------------------------------------------------------------------------------------------------


def all_kinds(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_kinds(sub) for sub in kind.__subclasses__()))


def test_every_exception_of_httpx_is_translated() -> None:
    for kind in all_kinds(httpx.HTTPError):
        if kind is httpx.HTTPStatusError:
            error: Exception = kind("", request=None, response=None)  # type: ignore[call-arg]
        else:
            error = kind("")
        assert translate(error).detail
    assert type(translate(httpx.InvalidURL(""))) is SourceFailed
    with pytest.raises(TypeError):
        translate(KeyError())


def test_special_exceptions_come_before_general_ones() -> None:
    kinds = [kind for kind, _, _ in TRANSLATION]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place])


def test_a_source_that_was_not_asked_is_closed_and_idle() -> None:
    health = Resilience("main", CommonSettings(clock=lambda: 5)).health()
    assert (health.circuit, health.since, health.consecutive_failures) == ("closed", 5, 0)
    assert (health.retry_at, health.paused_until, health.in_flight, health.waiting) == (None, None, 0, 0)
