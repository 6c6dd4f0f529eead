"""A connection before it has become a request: half-sent, oversized, no HTTP at all, never read."""

from __future__ import annotations

import json
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
    ],
)
def test_what_is_no_request_is_a_problem(port: int, sent: bytes, status: int, code: str) -> None:
    connection = talk(port)
    try:
        connection.sendall(sent)
        answer = rest(connection)
    except (BrokenPipeError, ConnectionResetError):
        return  # closed before all of it was sent, as it should be
    if answer:  # the kernel throws the answer away where unread bytes remain
        assert problem(answer)[0] == status
        assert problem(answer)[1]["code"] == code


def test_a_body_that_is_no_http_cuts_the_connection(port: int) -> None:
    head = b"GET /events?since=2001-01-01 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    rest(talk(port, head, b"ZZZ\r\n"))


def test_who_never_reads_is_cut_off(port: int) -> None:
    """Two hundred answers of half a megabyte are more than any socket's buffers hold."""
    request = b"GET /events?since=2001-01-01&limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n"
    with talk(port, request * 200) as connection:
        watched = select.poll()
        watched.register(connection, select.POLLHUP)
        assert watched.poll(60_000), "still open"
