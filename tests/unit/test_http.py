"""The one way out, against answers as no provider should give them."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import respx
import stamina

from app.domain.errors import (
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
)
from app.domain.times import parse_rfc3339
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import TRANSLATION, Answer, ProviderHttp, error_for, translate

pytestmark = pytest.mark.anyio
URL = "https://provider.example/api/log"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Back-off is stamina's business; nobody waits for it here."""
    stamina.set_testing(True, attempts=3, cap=True)
    yield
    stamina.set_testing(False)


class Pauses:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []  # type: float, list[float]

    def timer(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def http(pauses: Pauses) -> AsyncIterator[ProviderHttp]:
    common = CommonSettings(max_answer_bytes=100_000, timer=pauses.timer, sleep=pauses.sleep)
    # respx answers in the place of httpx's own connections.
    transport = httpx.AsyncHTTPTransport()
    base = "https://provider.example/api"
    found = ProviderHttp(base, common, name="main", auth=("user", "word"), transport=transport)
    yield found
    await found.aclose()


async def test_a_call_as_it_is_sent(http: ProviderHttp, respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(URL, params={"a": "1 2"}).respond(
        200, text="[]", headers={"Date": "Mon, 01 Jun 2026 12:00:00 GMT"}
    )
    spent = CallBudget()
    answer = await http.call("GET", "/log", spent, params={"a": "1 2"})
    assert (answer.ok, answer.body, answer.date, spent.calls) == (
        True,
        b"[]",
        parse_rfc3339("2026-06-01T12:00:00Z"),
        1,
    )
    request = route.calls.last.request
    assert request.headers["authorization"] == "Basic dXNlcjp3b3Jk"
    assert request.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_passing_statuses_are_asked_again_twice(
    http: ProviderHttp, respx_mock: respx.MockRouter, status: int
) -> None:
    route = respx_mock.get(URL)
    route.side_effect = [httpx.Response(status), httpx.Response(status), httpx.Response(200, text="ok")]
    spent = CallBudget()
    assert (await http.call("GET", "log", spent)).body == b"ok"
    assert spent.calls == route.call_count == 3
    route.side_effect = [httpx.Response(status)] * 9
    assert (await http.call("GET", "log", CallBudget())).status == status
    assert route.call_count == 6


@pytest.mark.parametrize("status", [200, 204, 301, 302, 400, 401, 403, 404, 409, 418, 501])
async def test_other_statuses_are_final(http: ProviderHttp, respx_mock: respx.MockRouter, status: int) -> None:
    respx_mock.get(URL).respond(status, headers={"Location": "https://elsewhere.example/", "Retry-After": "1"})
    spent = CallBudget()
    assert (await http.call("GET", "log", spent)).status == status
    assert spent.calls == 1, "a redirect is not followed"


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for(
    http: ProviderHttp, respx_mock: respx.MockRouter, pauses: Pauses, form: str
) -> None:
    """A date is judged by the provider's own clock."""
    now = datetime(2001, 2, 3, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=3), usegmt=True)
    headers = {"Retry-After": "3" if form == "seconds" else later, "Date": format_datetime(now, usegmt=True)}
    respx_mock.get(URL).side_effect = [httpx.Response(503, headers=headers), httpx.Response(200, text="ok")]
    assert (await http.call("GET", "log", CallBudget(deadline=time.monotonic() + 60))).body == b"ok"
    assert 3 <= sum(pauses.slept) <= 3.4


async def test_a_retry_after_beyond_the_deadline_is_handed_on(http: ProviderHttp, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(429, headers={"Retry-After": "50"})
    spent = CallBudget(deadline=time.monotonic() + 60)
    answer = await http.call("GET", "log", spent)
    assert (answer.status, answer.retry_after, spent.calls) == (429, 50.0, 1)
    error = error_for(answer)
    assert (type(error), error.retry_after) == (SourceUnavailable, 50.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("-1", None), ("1.5", None), ("soon", None), ("", None), ("٣", None),
     ("99999999999999999999", 3600.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("Thu, 99 Jan 1970 00:00:00 GMT", None)],
)  # fmt: skip
def test_forms_of_retry_after(text: str, seconds: float | None) -> None:
    headers = httpx.Headers([(b"retry-after", text.encode())])
    assert Answer(503, b"", headers, 10**15).retry_after == seconds


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "Mon, 99 Jun 2026 12:00:00 GMT", "0", "Fri, 31 Dec 9999 23:59:59 -2300",
     "Fri, 01 Jan 9999 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"],
)  # fmt: skip
async def test_a_date_that_is_none_is_no_date(http: ProviderHttp, respx_mock: respx.MockRouter, text: str) -> None:
    respx_mock.get(URL).respond(200, headers={"Date": text})
    assert (await http.call("GET", "log", CallBudget())).date is None


async def test_after_the_deadline_nothing_is_sent(http: ProviderHttp, respx_mock: respx.MockRouter) -> None:
    spent = CallBudget(deadline=time.monotonic() - 1)
    with pytest.raises(SourceTimeout):
        await http.call("GET", "log", spent)
    assert spent.calls == 0


async def test_an_answer_in_gzip(http: ProviderHttp, respx_mock: respx.MockRouter) -> None:
    packed = gzip.compress(b"x" * 5000, mtime=0)
    respx_mock.get(URL).respond(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed))
    assert (await http.call("GET", "log", CallBudget())).body == b"x" * 5000


@pytest.mark.parametrize("size", [100_001, 60_000_000])
@pytest.mark.parametrize("packed", [True, False])
async def test_an_oversized_answer_is_refused(
    http: ProviderHttp, respx_mock: respx.MockRouter, size: int, packed: bool
) -> None:
    body = gzip.compress(bytes(size), mtime=0) if packed else bytes(size)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    route = respx_mock.get(URL).respond(200, headers=headers, stream=httpx.ByteStream(body))
    with pytest.raises(SourceFailed, match="larger than 100000 bytes"):
        await http.call("GET", "log", CallBudget())
    assert route.call_count == 1


async def test_an_answer_of_exactly_the_bound_is_taken(http: ProviderHttp, respx_mock: respx.MockRouter) -> None:
    for headers, body in (
        ({}, bytes(100_000)),
        ({"Content-Encoding": "gzip"}, gzip.compress(bytes(100_000), mtime=0)),
    ):
        respx_mock.get(URL).respond(200, headers=headers, stream=httpx.ByteStream(body))
        assert len((await http.call("GET", "log", CallBudget())).body) == 100_000


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        ("gzip", gzip.compress(b"x" * 500, mtime=0)[:-6], SourceUnavailable),
        ("gzip", b"no gzip at all", SourceFailed),
        ("gzip", gzip.compress(b"x", mtime=0) + b"more", SourceFailed),
        ("br", b"x", SourceFailed),
        ("gzip, gzip", b"x", SourceFailed),
        ("<script>", b"x", SourceFailed),
    ],
)
async def test_broken_encodings(
    http: ProviderHttp, respx_mock: respx.MockRouter, encoding: str, body: bytes, kind: type[Exception]
) -> None:
    respx_mock.get(URL).respond(200, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(body))
    with pytest.raises(kind) as error:
        await http.call("GET", "log", CallBudget(deadline=time.monotonic() + 30))
    assert "<" not in str(error.value)


def tree(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(tree(each) for each in kind.__subclasses__()))


HTTPX = sorted(
    {kind for kind in tree(httpx.HTTPError) if kind.__module__.startswith("httpx")} | {httpx.InvalidURL},
    key=lambda kind: kind.__name__,
)


def made(kind: type[Any]) -> Exception:
    if kind is httpx.HTTPStatusError:
        return kind("m", request=httpx.Request("GET", URL), response=httpx.Response(500))
    error: Exception = kind("secret words of the transport")
    return error


@pytest.mark.parametrize("kind", HTTPX, ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_translated(kind: type[Exception]) -> None:
    found = translate(made(kind))
    assert isinstance(found, SourceError)
    assert "secret" not in found.detail
    timeouts = issubclass(kind, httpx.TimeoutException)
    assert isinstance(found, SourceTimeout) == timeouts


def test_no_row_of_the_table_is_hidden_by_an_earlier_one() -> None:
    for number, (kind, _, _) in enumerate(TRANSLATION):
        assert not any(issubclass(kind, earlier) for earlier, _, _ in TRANSLATION[:number])
    with pytest.raises(TypeError):
        translate(ValueError())


@pytest.mark.parametrize("kind", HTTPX, ids=lambda kind: kind.__name__)
async def test_what_the_transport_raises_becomes_ours(
    http: ProviderHttp, respx_mock: respx.MockRouter, kind: type[Exception]
) -> None:
    error = made(kind)
    route = respx_mock.get(URL).mock(side_effect=error)
    spent = CallBudget(deadline=time.monotonic() + 30)
    with pytest.raises(type(translate(error))):
        await http.call("GET", "log", spent)
    assert spent.calls == route.call_count == (1 if isinstance(translate(error), SourceFailed) else 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(302, SourceFailed), (400, SourceFailed), (401, SourceUnauthorized), (403, SourceUnauthorized),
     (404, SourceFailed), (418, SourceFailed), (429, SourceUnavailable), (500, SourceFailed), (502, SourceFailed),
     (503, SourceUnavailable), (504, SourceTimeout)],
)  # fmt: skip
def test_error_for(status: int, kind: type[Exception]) -> None:
    found = error_for(Answer(status, b"", httpx.Headers(), None), code="Some_Code", request_id="r-1")
    assert type(found) is kind
    assert found.provider_request_id == "r-1"
    assert str(status) in found.detail
    assert "Some_Code" in found.detail


def test_a_vendors_code_is_cut_down_to_a_word() -> None:
    found = error_for(Answer(400, b"", httpx.Headers(), None), code="a b\n<script>\x1b[31m" + "x" * 500)
    assert found.detail == f"the provider answered 400 (abscript31m{'x' * 47})"
