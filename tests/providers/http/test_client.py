"""`ProviderHttp` over a scripted provider: retries, pauses, the circuit, limits, and what responses mean."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest

from app.domain.errors import SourceError, SourceFailed, SourceTimeout, SourceUnauthorized, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import RETRIED_STATUS, ProviderHttp, error_for
from app.providers.http.concurrency import CallLimiter
from app.providers.http.response import LONGEST_PAUSE, Response, http_date
from app.providers.http.transport import EXCEPTIONS, translate
from app.providers.observer import Observer
from tests.api.conftest import log as captured_log
from tests.providers.http.httpx_transport import HttpxTransport
from tests.waiting import until

pytestmark = pytest.mark.anyio
log = captured_log
Reply = Callable[[httpx.Request], Any]
DATE = "Mon, 01 Jun 2026 12:00:00 GMT"


class Timer:
    """A monotonic clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Watch(Observer):
    """Records its notifications."""

    def __init__(self) -> None:
        self.calls, self.retries, self.refused, self.states = [], [], [], []  # type: Any, Any, Any, Any

    def on_call(self, source: str, outcome: str, seconds: float) -> None:
        assert (source, seconds >= 0) == ("main", True)
        self.calls.append(outcome)

    def on_retry(self, source: str, reason: str) -> None:
        self.retries.append(reason)

    def on_refused(self, source: str, reason: str) -> None:
        self.refused.append(reason)

    def on_circuit(self, source: str, state: str) -> None:
        self.states.append(state)


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"[]") -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


class Provider:
    """`replies` are given in turn, the last one for ever."""

    def __init__(self, *replies: Reply | int, **common: Any) -> None:
        self.replies, self.requests = list(replies), list[httpx.Request]()
        self.timer, self.watch = Timer(), Watch()
        settings = CommonSettings(timer=self.timer, sleep=self.timer.sleep, observer=self.watch, **common)
        transport = HttpxTransport(httpx.MockTransport(self._reply), settings)
        base, keys = "http://provider.example/api", ("user", "word")
        self.http = ProviderHttp(base, settings, name="main", auth=keys, transport=transport)

    @property
    def asked(self) -> int:
        return len(self.requests)

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
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

    async def call(self, budget: CallBudget | None = None, **given: Any) -> Response:
        return await self.http.call("GET", "things", budget or CallBudget(deadline=time.monotonic() + 30), **given)


def answering(status: int, body: bytes = b"[]", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: answer(status, named, body)


async def never(*_: object) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_call_as_it_is_sent() -> None:
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
async def test_a_status_that_passes_is_retried(status: int) -> None:
    assert {408, 425, 429, 503, 520, 521, 522, 523, 524, 529} <= RETRIED_STATUS
    provider, budget = Provider(status, 200), CallBudget(deadline=time.monotonic() + 30)
    begun = time.monotonic()
    assert (await provider.call(budget)).status == 200
    assert (provider.asked, budget.calls, provider.watch.retries) == (2, 2, [str(status)])
    assert provider.watch.calls == [str(status), "200"]
    assert time.monotonic() - begun >= 0.1, "the first retry waits, too"


@pytest.mark.parametrize("status", [204, 301, 307, 400, 401, 403, 404, 409, 422, 501])
async def test_a_status_that_stays_is_not(status: int) -> None:
    provider = Provider(answering(status, location="http://elsewhere.example/", retry_after="1"))
    assert ((await provider.call()).status, provider.asked) == (status, 1)


async def test_three_attempts_and_the_last_answer() -> None:
    provider = Provider(500, 502, 503)
    assert ((await provider.call()).status, provider.asked) == (503, 3)
    broken = Provider(lambda request: httpx.RemoteProtocolError("cut"), 200)
    assert (await broken.call()).status == 200
    assert broken.watch.calls == ["connection", "200"]


async def test_the_deadline_bounds_attempts() -> None:
    provider = Provider(500)
    assert (await provider.call(CallBudget(deadline=time.monotonic() + 0.4))).status == 500
    assert provider.asked == 1
    with pytest.raises(SourceTimeout):
        await provider.call(CallBudget(deadline=time.monotonic()))
    assert (provider.asked, provider.watch.refused) == (1, ["deadline"])


async def test_the_retry_budget_bounds_the_load_on_a_provider_that_refuses() -> None:
    provider = Provider(429)  # does not open the circuit
    answers = await asyncio.gather(*(provider.call() for _ in range(100)))
    assert {answer.status for answer in answers} == {429}
    assert provider.asked == 100 + 20 + 100 // 5


# ---- pauses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_a_short_pause_is_waited_out_by_all(status: int) -> None:
    provider = Provider(answering(status, retry_after="3"), 200, max_concurrency=1)
    answers = await asyncio.gather(*(provider.call() for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert provider.asked == 9
    assert 3.0 <= provider.timer.slept[0] <= 3.3


async def test_a_long_pause_refuses(log: Any) -> None:
    provider = Provider(answering(429, retry_after="120"), 200)
    assert (await provider.call()).retry_after == 120
    for _ in range(3):
        with pytest.raises(SourceUnavailable) as refused:
            await provider.call()
        assert refused.value.retry_after == 120
    assert (provider.asked, provider.watch.refused) == (1, ["pause"] * 3)
    assert provider.http.health().paused_until is not None
    provider.timer.now += 115
    assert (await provider.call()).status == 200  # five seconds are waited out
    assert provider.http.health().paused_until is None
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "pause" in line]
    assert [(line["event"], line["level"], line["host"]) for line in lines] == [
        ("source_paused", "warning", "provider.example:80"), ("source_pause_ended", "warning", "provider.example:80")
    ]  # fmt: skip
    assert (lines[0]["cause"], lines[0]["seconds"]) == ("the provider answered 429", 120)


async def test_a_pause_that_begins_while_calls_queue_holds_them_back() -> None:
    provider = Provider(answering(429, retry_after="600"), 200, max_concurrency=1)
    found = await asyncio.gather(*(provider.call() for _ in range(5)), return_exceptions=True)
    assert (provider.asked, sum(isinstance(one, SourceUnavailable) for one in found)) == (1, 4)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), (" 7 ", 7.0), (DATE.replace("00:00", "00:09"), 9.0), (DATE.replace("12:", "11:"), 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", LONGEST_PAUSE), ("9" * 500, LONGEST_PAUSE), ("86400", LONGEST_PAUSE),
        # A unix time, in seconds or milliseconds: 12:00:30 of that day, and the day before.
        ("1780315230", 30.0), ("1780315230000", 30.0), ("1780228800", 0.0),
        ("-1", None), ("1e9", None), ("٣", None), ("soon", None), ("", None),
    ],
)  # fmt: skip
def test_forms_of_retry_after(header: str, seconds: float | None) -> None:
    headers = httpx.Headers([(b"retry-after", header.encode())])
    assert Response(429, b"", headers, http_date(DATE)).retry_after == seconds


# ---- the circuit -------------------------------------------------------------------------------------------------


async def opened(**common: Any) -> Provider:
    provider = Provider(500, **common)
    for _ in range(2):
        await provider.call()
    assert provider.http.health().circuit == "open"
    provider.requests.clear()
    return provider


async def test_an_open_circuit_answers_at_once_with_the_cause(log: Any) -> None:
    provider = await opened()
    with pytest.raises(SourceUnavailable, match="the provider answered 500") as refused:
        await provider.call()
    assert (refused.value.retry_after, provider.asked) == (30.0, 0)
    assert provider.http.health().consecutive_failures == 5
    provider.timer.now += 30
    provider.replies = [200]
    await provider.call()
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "circuit" in line]
    assert [(line["event"], line["level"], line.get("cause")) for line in lines] == [
        ("source_circuit_opened", "warning", "the provider answered 500"), ("source_circuit_closed", "warning", None)
    ]  # fmt: skip


async def test_one_trial_call_of_ten_requests() -> None:
    release = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        await release.wait()
        return answer(200)

    provider = await opened()
    provider.timer.now += 30
    provider.replies = [slow]
    requests = [asyncio.create_task(provider.call()) for _ in range(10)]
    await until(lambda: provider.asked > 0)
    release.set()
    found = await asyncio.gather(*requests, return_exceptions=True)
    assert provider.asked == 1
    assert sum(isinstance(one, Response) for one in found) == 1
    assert all(one.retry_after == 1.0 for one in found if isinstance(one, SourceUnavailable))
    assert provider.watch.states == ["closed", "open", "half_open", "closed"]


@pytest.mark.parametrize("status", [200, 500])
async def test_calls_of_the_request_that_makes_the_trial_call_wait_for_its_result(status: int) -> None:
    provider = await opened()
    provider.timer.now += 30
    provider.replies = [status]
    budget = CallBudget(deadline=time.monotonic() + 30)
    found = await asyncio.gather(*(provider.call(budget) for _ in range(8)), return_exceptions=True)
    if status == 200:
        assert all(isinstance(one, Response) for one in found)
    else:
        assert provider.asked == 1
        assert sum(isinstance(one, SourceUnavailable) and one.retry_after == 60.0 for one in found) == 7


async def test_a_trial_call_whose_caller_hangs_up_lets_the_next_one_in() -> None:
    provider = await opened()
    provider.timer.now += 30
    provider.replies = [never, 200]
    gone = asyncio.create_task(provider.call())
    await until(lambda: provider.asked > 0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await provider.call()).status == 200
    assert provider.http.health().circuit == "closed"
    assert provider.watch.calls[-2:] == ["canceled", "200"]


async def test_what_opens_the_circuit_and_what_does_not() -> None:
    for status in (401, 403, 404):
        refusing = Provider(status)
        for _ in range(20):
            await refusing.call()
        assert refusing.http.health().circuit == "closed"
    hanging = Provider(lambda request: httpx.ReadTimeout("hangs"))
    for _ in range(2):
        with pytest.raises((SourceTimeout, SourceUnavailable)):
            await hanging.call()
    assert (hanging.http.health().circuit, hanging.asked) == ("open", 5)
    hurried = Provider(never)
    for _ in range(6):
        with pytest.raises(SourceTimeout):
            await hurried.call(CallBudget(deadline=time.monotonic() + 0.1))
    assert hurried.watch.calls == ["timeout"] * 6
    assert hurried.http.health().consecutive_failures == 0, "the deadline left it no time"


# ---- limits ------------------------------------------------------------------------------------------------------


async def served_by(limiter: CallLimiter, requests: list[int]) -> list[int]:
    served: list[int] = []

    async def call(request: int) -> None:
        await limiter.enter(request)
        served.append(request)
        await asyncio.sleep(0)
        limiter.leave()

    await asyncio.gather(*(call(request) for request in requests))
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    return served


async def test_a_request_of_many_calls_does_not_starve_another() -> None:
    served = await served_by(CallLimiter(1, None), [1] * 32 + [2, 3, 2])
    assert served.index(3) <= 5
    assert [place for place, request in enumerate(served) if request == 2][-1] <= 8
    assert len(served) == 35


async def test_no_more_at_a_time_and_a_second_than_allowed() -> None:
    limiter, most = CallLimiter(3, None), 0

    async def call() -> None:
        nonlocal most
        await limiter.enter(1)
        most = max(most, limiter.in_flight)
        await asyncio.sleep(0)
        limiter.leave()

    await asyncio.gather(*(call() for _ in range(50)))
    assert (most, limiter.in_flight) == (3, 0)
    slow, served = CallLimiter(32, 5.0), 0

    async def count() -> None:
        nonlocal served
        await slow.enter(1)
        served += 1
        slow.leave()

    tasks = [asyncio.create_task(count()) for _ in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert served == 5, "one second's calls; the others wait for the clock"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slow.in_flight, slow.waiting) == (0, 0)


async def test_callers_who_hang_up_in_the_queue_take_no_turn_with_them() -> None:
    limiter, release = CallLimiter(1, None), asyncio.Event()

    async def call(request: int) -> int:
        await limiter.enter(request)
        try:
            await release.wait()
        finally:
            limiter.leave()
        return request

    tasks = [asyncio.create_task(call(request)) for request in range(20)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    release.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in found if isinstance(one, int)] == list(range(0, 20, 2))
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    provider = Provider(never, max_concurrency=1)
    budgets = [CallBudget(deadline=time.monotonic() + 0.2) for _ in range(5)]
    ended = await asyncio.gather(*(provider.call(budget) for budget in budgets), return_exceptions=True)
    assert all(isinstance(one, SourceTimeout) for one in ended)
    health = provider.http.health()
    assert (provider.asked, health.in_flight, health.waiting) == (1, 0, 0)


# ---- bodies ------------------------------------------------------------------------------------------------------

PACKED = gzip.compress(b"x" * 500, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "found"),
    [
        ("gzip", PACKED, b"x" * 500), ("x-gzip", PACKED, b"x" * 500), (None, PACKED, b"x" * 500),
        ("utf-8", b'[{"a": 1}]', b'[{"a": 1}]'), ("br", b" []", b" []"), ("gzip", b"{}", b"{}"), ("none", b"", b""),
        ("UTF-8", b"\xef\xbb\xbf[]", b"\xef\xbb\xbf[]"), ("gzip, utf-8", PACKED, b"x" * 500),
        ("gzip", PACKED[:-6], SourceUnavailable), ("gzip", b"\x00no gzip", SourceFailed),
        ("gzip", PACKED + b"more", SourceFailed), ("gzip", PACKED + PACKED, SourceFailed),
        ("gzip, gzip", gzip.compress(PACKED, mtime=0), PACKED), ("gzip", b"\x1f\x8b[]", SourceFailed),
        ("br", b"\x8b\x02\x80", SourceFailed), ("br", b"\x0b\x00\x80[]\x03", SourceFailed),
        ("<script>", b"\x01", SourceFailed),
        (None, bytes(100_001), SourceFailed), ("gzip", gzip.compress(bytes(100_001), mtime=0), SourceFailed),
        ("gzip", gzip.compress(bytes(60_000_000), mtime=0), SourceFailed),
        (None, bytes(100_000), bytes(100_000)), ("gzip", gzip.compress(bytes(100_000), mtime=0), bytes(100_000)),
    ],
)  # fmt: skip
async def test_content_encodings_and_sizes(encoding: str | None, body: bytes, found: Any) -> None:
    headers = {} if encoding is None else {"content_encoding": encoding}
    provider = Provider(answering(200, body, **headers), max_answer_bytes=100_000)
    if isinstance(found, bytes):
        assert (await provider.call()).body == found
        return
    with pytest.raises(found) as error:
        await provider.call()
    assert "<" not in str(error.value)
    assert provider.asked == (3 if found is SourceUnavailable else 1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "Mon, 99 Jun 2026 12:00:00 GMT", "0", "Fri, 31 Dec 9999 23:59:59 -2300",
     "Fri, 01 Jan 9999 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"],
)  # fmt: skip
async def test_an_invalid_date_is_no_date(text: str) -> None:
    assert (await Provider(answering(200, date=text)).call()).date is None


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [*((status, None, SourceFailed) for status in (301, 302, 303, 307, 308)),
     (400, "C", SourceFailed), (401, None, SourceUnauthorized),
     (401, "C", SourceUnauthorized), (403, "C", SourceUnauthorized), (403, None, SourceFailed),
     (404, "C", SourceFailed),
     (418, "C", SourceFailed), (500, "C", SourceFailed), (502, None, SourceFailed), (504, None, SourceTimeout),
     *((status, None, SourceUnavailable) for status in (408, 425, 429, 503, 520, 524, 529))],
)  # fmt: skip
def test_what_a_status_means(status: int, code: str | None, kind: type[Exception]) -> None:
    found = error_for(Response(status, b"", {"retry-after": "9"}, None), code=code, request_id="r-1")
    assert (type(found), found.provider_request_id) == (kind, "r-1")
    assert str(status) in found.detail
    assert ("(C)" in found.detail) == (code is not None)
    assert (found.retry_after == 9) == (kind is SourceUnavailable)


@pytest.mark.parametrize("status", [301, 302, 401, 403])
def test_a_refusal_that_is_not_the_apis_names_what_answered(status: int) -> None:
    headers = {"content-type": "text/html; charset=utf-8", "server": "cloudflare"}
    found = error_for(Response(status, b"<html>who@example.com", headers, None))
    assert type(found) is SourceFailed
    assert f"{status} (text/html, server cloudflare)" in found.detail
    assert "base URL" in found.detail
    assert "credentials" not in found.detail
    assert "who" not in found.detail


def test_a_vendors_code_is_cut_down_to_a_word() -> None:
    found = error_for(Response(400, b"", {}, None), code="a b\n<script>\x1b[31m" + "x" * 500)
    assert found.detail == f"the provider answered 400 (abscript31m{'x' * 47})"


def below(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(below(one) for one in kind.__subclasses__()))


KINDS = {httpx.InvalidURL, *below(httpx.HTTPError), *below(aiohttp.ClientError)}


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_transports_has_a_meaning(kind: type[Exception]) -> None:
    assert len(KINDS) > 40
    error = kind.__new__(kind, "secret words of the transport")
    found = translate(error)
    assert isinstance(found, SourceError)
    assert "secret" not in found.detail
    if "Timeout" in kind.__name__:
        assert isinstance(found, SourceTimeout)
    last = EXCEPTIONS[-1][2]
    others = {"HTTPError", "RequestError", "TransportError", "HTTPStatusError", "TooManyRedirects", "ProtocolError",
              "LocalProtocolError", "ClientError", "RedirectClientError", "UploadAbortedError"}  # fmt: skip
    assert (found.detail == last) <= (kind.__name__ in others)


def test_what_is_no_error_of_a_transport_is_not_translated() -> None:
    with pytest.raises(TypeError):
        translate(KeyError())
