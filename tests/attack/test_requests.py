"""Malformed and hostile requests get an expected status, every error of the application is a problem, and no caller can
forge a line of the log. uvicorn itself refuses requests that are not HTTP.
"""

from __future__ import annotations

import io
import json
import os
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.api.problems import PROBLEMS
from app.api.schemas import Problem
from app.domain.parameters import parameter_names
from app.domain.query import EventQuery
from tests.api.conftest import ALL
from tests.api.server import send_raw
from tests.api.shapes import assert_shape

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
AUTH = f"Authorization: Bearer {ALL}\r\n".encode()
PATHS = [
    "/events", "/events/count", "/events/x", "/sources", "/event-types", "/metrics", "/health/live", "/nowhere",
    "/ui", "/ui/app.js", "/ui/setup.js", "/ui/nowhere.js", "/docs", "/docs/start.js",
]  # fmt: skip
LOG_BREAKERS = [
    "\r\nforged: line", '\n{"event": "request"}', "\x1b[31mred", "\u2028forged", "\u2029", "\x85", "\x00", "\x7f",
]  # fmt: skip

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def send(url: str, head: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send raw bytes; return the status, headers and body of the response. The status is 0 if the server closes the
    connection without a response."""
    response = b""
    with send_raw(int(url.rpartition(":")[2]), head) as connection:
        while not is_complete(response):
            try:
                part = connection.recv(65_536)
            except ConnectionResetError:
                break
            if not part:
                break
            response += part
    first, _, body = response.partition(b"\r\n\r\n")
    status, *lines = first.split(b"\r\n")
    headers = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines}
    return int(status.split()[1]) if b"\r\n\r\n" in response else 0, headers, body


def is_complete(response: bytes) -> bool:
    head, end, body = response.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and (length is None or len(body) >= int(length[1]) or head.startswith(b"HTTP/1.1 100"))


def is_not_http(status: int, body: bytes) -> bool:
    """Whether uvicorn refused the request itself. nginx sends a problem instead (tests/operations/test_nginx.py)."""
    return status == 400 and body == b"Invalid HTTP request received."


def assert_expected(url: str, head: bytes, log: io.StringIO) -> None:
    status, headers, body = send(url, head)
    # 307: from "/" to the documentation.
    assert status in {0, 200, 307, *(row[0] for row in PROBLEMS.values())} - {500}, head
    if status >= 400 and not is_not_http(status, body):
        assert headers[b"content-type"] == b"application/problem+json", head
        if body:  # none for HEAD
            problem = json.loads(body[: int(headers[b"content-length"])])
            assert_shape(problem, Problem)
            assert problem["status"] == status
            assert problem["request_id"].encode() == headers[b"x-request-id"]
    assert "unexpected_error" not in log.getvalue()


values = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", " ", "true", "TRUE", "1", "0", "-1", "1e3", "²", "٣", "null", "NaN", "*", ".*", "a.*", "asc", "raw",
         "2026-05-01", "0001-01-01", "9999-12-31T23:59:59Z", "2026-13-01", "2026-05-01T00:00:00+99:99", "10000-01-01",
         "2026-05-01T24:00:00Z", "2026-05-01T23:59:60Z", "0000-01-01", "north", "acme", "e1", "x" * 400, *LOG_BREAKERS]
    ),
)  # fmt: skip
names = st.one_of(
    st.sampled_from([*parameter_names(EventQuery), "exact", "format", "after", "limit[]", "since ", "SINCE"]),
    st.text(max_size=12),
)


def enc(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


PARAMETERS = st.lists(st.tuples(names, values), max_size=6).map(
    lambda pairs: "&".join(f"{enc(name)}={enc(value)}" for name, value in pairs).encode()
)
RAW = st.binary(max_size=80).map(lambda raw: bytes(byte for byte in raw if byte not in b" \r\n"))
ANY_PATH = st.sampled_from(PATHS).map(str.encode)
WITH_PARAMETERS, WITH_BYTES = (st.tuples(ANY_PATH, query).map(b"?".join) for query in (PARAMETERS, RAW))


@fuzzed
@given(target=st.one_of(WITH_PARAMETERS, WITH_PARAMETERS, WITH_BYTES, RAW.map(b"/".__add__)))
@example(target=b"/events?since=2026-05-01T23:59:60Z&until=2026-05-01T00:00:00%2B99:99")
@example(target=b"/events?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z&cursor=")
@example(target=b"/events/count?until=0000-01-01&since=2026-13-01&exact=true&exact=1")
def test_any_target_gets_an_expected_response(url: str, log: io.StringIO, target: bytes) -> None:
    assert_expected(url, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + AUTH + b"\r\n", log)


HEADERS = [
    "Host", "Authorization", "X-API-Key", "X-Request-ID", "Cache-Control", "Accept", "Accept-Encoding", "Origin",
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Content-Length", "Transfer-Encoding",
    "Connection", "Upgrade", "Expect", "Range", "If-None-Match", "Content-Type", "Cookie", "Last-Event-ID",
    "X-HTTP-Method-Override", "Access-Control-Request-Method", "traceparent", "User-Agent", "Referer",
]  # fmt: skip


@fuzzed
@given(
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "X-Y"]),
    path=st.sampled_from(PATHS),
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), st.binary(max_size=60)), max_size=5),
    known=st.booleans(),
)
def test_any_headers_get_an_expected_response(
    url: str, log: io.StringIO, method: str, path: str, headers: list[tuple[str, bytes]], known: bool
) -> None:
    head = f"{method} {path} HTTP/1.1\r\n".encode() + (b"Host: a\r\n" + AUTH if known else b"")
    for name, value in headers:
        head += name.encode() + b": " + bytes(byte for byte in value if byte not in b"\r\n") + b"\r\n"
    if not any(name == "Connection" for name, _ in headers):
        head += b"Connection: close\r\n"
    # The end of the body that a header may announce.
    assert_expected(url, head + b"\r\n0\r\n\r\n", log)


@pytest.mark.parametrize("path", ["/ui", "/ui/app.js", "/docs/start.js", "/events"])
@pytest.mark.parametrize(
    "byte_range", ["bytes=abc", "bytes=99999999-", "bytes=-", "bytes=0-5", "bytes=0-1,3-4", "pages=1-2"]
)
def test_range_requests_are_ignored(url: str, path: str, byte_range: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: {byte_range}\r\n".encode() + AUTH + b"\r\n"
    status, headers, _ = send(url, head)
    assert status == 200
    assert b"content-range" not in headers
    assert headers.get(b"accept-ranges", b"none") == b"none"


@pytest.mark.parametrize("breaker", LOG_BREAKERS)
def test_no_line_of_the_log_can_be_forged(url: str, log: io.StringIO, breaker: str) -> None:
    """Send line ends and control characters in every part of a request."""
    begin = len(log.getvalue())
    raw, encoded = breaker.encode(), enc("mark" + breaker)
    for head in (
        f"GET /events?q={encoded} HTTP/1.1\r\nHost: a\r\n",
        f"GET /events?{encoded}=1 HTTP/1.1\r\nHost: a\r\n",
        f"GET /events?source={encoded}&type={encoded}&cursor={encoded} HTTP/1.1\r\nHost: a\r\n",
        f"GET /events/{encoded} HTTP/1.1\r\nHost: a\r\n",
        f"GET /{encoded} HTTP/1.1\r\nHost: a\r\n",
        f"GET /docs/{encoded} HTTP/1.1\r\nHost: a\r\n",
    ):
        send(url, head.encode() + b"Connection: close\r\n" + AUTH + b"\r\n")
    for name in (b"X-Request-ID", b"User-Agent", b"Host", b"X-Forwarded-For", b"Authorization", b"X-API-Key"):
        send(url, b"GET /events HTTP/1.1\r\nConnection: close\r\n" + name + b": mark" + raw + b"\r\n\r\n")
    send(url, b"GET /events" + raw + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    send(url, b"G" + raw + b" /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    log_text = log.getvalue()[begin:]
    lines = log_text.split("\n")[:-1]
    assert len(lines) > 10
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] in ("request", "access", "refused", "Invalid HTTP request received.")
    assert "forged" not in log_text
