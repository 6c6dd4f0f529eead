"""A connection before it has become a request: half-sent, oversized, no HTTP at all, never read."""

from __future__ import annotations

import json
import re
import select
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import make_app
from tests.api.memory import MemorySource, history
from tests.api.server import rest, served, talk

SHORT = 0.3  #: seconds


@pytest.fixture
def port() -> Iterator[int]:
    sources = [MemorySource("north", history("north", 1000))]
    with served(make_app(sources, auth="off"), head_timeout=SHORT, stall_timeout=SHORT) as port:
        yield port


def problem(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    found: dict[str, Any] = json.loads(body)
    assert f"x-request-id: {found['request_id']}".encode() in head
    return int(head.split()[1]), found


@pytest.mark.parametrize("sent", [b"G", b"GET /health/live HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHo"])
def test_half_a_request_is_answered_and_closed(port: int, sent: bytes) -> None:
    status, body = problem(rest(talk(port, sent)))
    assert (status, body["code"]) == (408, "request_timeout")


def test_a_connection_on_which_nothing_is_sent_is_closed(port: int) -> None:
    assert rest(talk(port)) == b""


def test_bytes_that_trickle_in_do_not_put_it_off(port: int) -> None:
    connection = talk(port, b"GET / HTTP/1.1\r\n")
    answer = b""
    try:
        for _ in range(200):
            connection.sendall(b"a: b\r\n")
            time.sleep(SHORT / 10)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        raise AssertionError("it was never closed")
    finally:
        connection.settimeout(5)
        answer = rest(connection)
    assert answer == b"" or problem(answer)[0] == 408


def test_the_second_request_of_a_connection_is_timed_too(port: int) -> None:
    connection = talk(port, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    time.sleep(2 * SHORT)
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200"), "between requests a connection may rest"
    connection.sendall(b"GET /hea")
    assert problem(rest(connection))[0] == 408


def test_a_body_that_trickles_in_behind_the_answer_is_cut_off(port: int) -> None:
    connection = talk(port, b"GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200")

    def trickle() -> None:
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(SHORT / 10)

    with connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        trickle()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 600_000, 431, "headers_too_large"),
        (b"GET /" + b"x" * 600_000, 431, "headers_too_large"),
        (b"NONSENSE\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", 400, "bad_request"),
        ("GET /events?q=Þórður HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400, "bad_request"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            400,
            "bad_request",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x:\r\n" * 600 + b"\r\n", 431, "headers_too_large"),
        (b"GET /?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET /\r\n\r\n", 400, "bad_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
        ),
    ],
)
def test_what_is_no_request_is_a_problem(port: int, sent: bytes, status: int, code: str) -> None:
    connection = talk(port)
    try:
        connection.sendall(sent)
        answer = rest(connection)
    except (BrokenPipeError, ConnectionResetError):
        return  # closed before all of it was sent, as it should be
    if answer or len(sent) < 1_000:  # the kernel throws the answer away where unread bytes remain
        assert problem(answer)[0] == status
        assert problem(answer)[1]["code"] == code


def is_complete(answer: bytes) -> bool:
    """Whether a client takes this for the whole of an answer."""
    head, parted, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
    if not parted:
        return False
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def test_a_body_that_is_no_http_cuts_the_connection(port: int) -> None:
    head = b"GET /events?since=2001-01-01 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = rest(talk(port, head, b"ZZZ\r\n"))
    assert not is_complete(answer), "whoever sent it must not take it for answered"


HEALTH = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST /health/live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_missing_host_is_named(port: int) -> None:
    assert "one Host header" in problem(rest(talk(port, b"GET /health/live HTTP/1.1\r\n\r\n")))[1]["detail"]
    assert rest(talk(port, b"GET /health/live HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200"), "as HTTP/1.0 allows"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (b"http://a/health/live", 200),
        (b"http://a/docs?x=1", 200),
        (b"http://a", 307),  # to /docs
        (b"http://a?x=1", 307),
        (b"HTTPS://a", 307),
        (b"*", 404),
        (b"http:", 400),
        (b"http://", 400),
    ],
)
def test_an_absolute_url_is_taken(port: int, url: bytes, status: int) -> None:
    answer = rest(talk(port, b"GET " + url + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert int(answer.split(b" ", 2)[1]) == status


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"GET /\xc3\xbe HTTP/1.1\r\nHost: a\r\n\r\n", "percent-encoded"),
        (b"GET events HTTP/1.1\r\nHost: a\r\n\r\n", "must begin with /"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "must begin with /"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "Invalid header token"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "Expected CRLF"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", "Content-Length"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/2.0 is not spoken here"),
        (b"GET /health/live\r\n\r\n", "HTTP/0.9 is not spoken here"),
    ],
)
def test_what_is_wrong_with_it_is_named(port: int, sent: bytes, told: str) -> None:
    assert told in problem(rest(talk(port, sent)))[1]["detail"]


def test_an_unknown_method_is_named(port: int) -> None:
    answer = rest(talk(port, b"BREW /events HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert "no method that HTTP knows" in problem(answer)[1]["detail"]


def test_requests_sent_at_once_are_answered_one_after_the_other(port: int) -> None:
    paths = [b"/health/live", b"/events?limit=1", b"/event-types", b"/nowhere", b"/health/live"]
    sent = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths[:-1])
    answer = rest(talk(port, sent, HEALTH + b"Connection: close\r\n\r\n"))
    order = [answer.find(mark) for mark in (b'{"status":"ok"}', b'"next_cursor"', b'"mapping_version"', b'"not_found"')]
    assert order == sorted(order)
    assert order[0] > 0
    assert answer.endswith(b'{"status":"ok"}')
    assert answer.count(b"HTTP/1.1 200") == 4


def test_who_sends_requests_without_end_is_cut_off(port: int) -> None:
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        rest(talk(port, *[(HEALTH + b"\r\n") * 1_000] * 100))


@pytest.mark.parametrize(
    "endless", [b"3;" + b"x" * 300_000, b"0\r\nX: " + b"x" * 300_000], ids=["a chunk's extension", "a trailer"]
)
def test_what_never_ends_behind_a_request_is_cut_off(port: int, endless: bytes) -> None:
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        talk(port, CHUNKED, endless, *[b"x" * 60_000] * 1_000)


def test_a_trailer_is_no_header(port: int) -> None:
    """Whoever stands before the gateway and checks headers has not seen it."""
    head = CHUNKED.replace(b"POST", b"GET").replace(b"/health/live", b"/events")
    answer = rest(talk(port, head, b"0\r\nX-Request-ID: from-behind\r\n\r\n", HEALTH + b"Connection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"from-behind" not in answer


def test_a_trailer_that_ends_the_connection_ends_it_at_once(port: int) -> None:
    """The parser heeds it, and would pass over whatever comes then without a word."""
    connection = talk(port, CHUNKED, b"0\r\nConnection: close\r\n\r\n")
    begun = time.monotonic()
    assert rest(connection).startswith(b"HTTP/1.1 405")
    assert time.monotonic() - begun < SHORT


def test_space_around_a_headers_value_is_none_of_it(port: int) -> None:
    answer = rest(talk(port, HEALTH + b"X-Request-ID: \tmine \t \r\nConnection: close\r\n\r\n"))
    assert b"x-request-id: mine\r\n" in answer


def test_no_chunks_for_a_caller_of_http_1_0(port: int) -> None:
    answer = rest(talk(port, b"GET /events/export?since=2001-01-01 HTTP/1.0\r\n\r\n"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    lines = [json.loads(line) for line in body.splitlines()]
    assert len(lines) == 1001
    assert lines[-1] == {"cursor": None, "complete": True}


def test_a_large_body_that_nobody_asked_for(port: int) -> None:
    sent = b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
    answer = rest(talk(port, sent, HEALTH + b"Connection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 405")
    assert answer.endswith(b'{"status":"ok"}'), "the next request is found behind it"


def test_bursts_of_requests_may_come_as_long_as_they_are_answered(port: int) -> None:
    with talk(port) as connection:
        for _ in range(15):
            connection.sendall((HEALTH + b"\r\n") * 200)
            answers = b""
            while answers.count(b'{"status":"ok"}') < 200:
                answers += (received := connection.recv(65_536))
                assert received, "cut off"


def test_what_waits_on_a_connection_takes_little_memory(port: int) -> None:
    heavy = HEALTH + b"a:\r\n" * 400 + b"\r\n"
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        rest(talk(port, *[heavy * 100] * 100))


def test_an_upgrade_is_not_taken_up_and_ends_the_connection(port: int) -> None:
    asked = HEALTH + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    answer = rest(talk(port, asked))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


def test_who_never_reads_is_cut_off(port: int) -> None:
    """Two hundred answers of half a megabyte are more than any socket's buffers hold."""
    request = b"GET /events?since=2001-01-01&limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n"
    with talk(port, request * 200) as connection:
        watched = select.poll()
        watched.register(connection, select.POLLHUP)
        assert watched.poll(60_000), "still open"
