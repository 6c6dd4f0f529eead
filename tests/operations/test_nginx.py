"""The protections of `deploy/nginx.conf`, with a real nginx and raw sockets."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import ALL, make_app
from tests.api.memory import memory_source
from tests.api.server import read_to_end, send_raw, served
from tests.operations.nginx import nginx
from tests.waiting import wait_until

#: Shorter timeouts than those of the file, to save waiting.
SHORT = {
    "client_header_timeout 10s": "client_header_timeout 1s",
    "client_body_timeout 10s": "client_body_timeout 1s",
    "send_timeout 60s": "send_timeout 1s",
}
#: More than the buffers of all sockets contain.
EVENTS = 20_000
KEY = {"X-API-Key": ALL}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[tuple[int, int]]:
    app = make_app([memory_source(EVENTS)])
    with served(app) as upstream, nginx(folder, upstream, **SHORT) as ports:
        yield ports


def problem(response: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    value: dict[str, Any] = json.loads(body)
    return int(head.split()[1]), value


def test_pages_streams_and_exports_pass(ports: tuple[int, int]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", headers=KEY) as client:
        page = client.get("/events", params={"since": "2001-01-01", "limit": 1000}).json()
        assert len(page["data"]) == 1000
        export = client.get("/events/export", params={"since": "2001-01-01"}).text.splitlines()
        assert len(export) == EVENTS + 1
        with client.stream("GET", "/events/stream", timeout=10) as stream:
            assert stream.status_code == 200
            assert next(stream.iter_raw())  # the first bytes come at once: no buffering


def test_tls_is_served_with_the_mounted_certificate(ports: tuple[int, int], folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    response = httpx.get(f"https://localhost:{ports[1]}/health/live", verify=context)
    assert response.status_code == 200


def test_slow_headers_and_bodies_are_cut_off(ports: tuple[int, int]) -> None:
    head = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
    slow = [send_raw(ports[0], sent) for sent in (b"", b"G", head)]
    pipelined = send_raw(ports[0], head + b"\r\nGET /now")
    body = send_raw(ports[0], b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n")  # at most 30 s each
    for connection in slow:
        response = read_to_end(connection)
        assert response == b"" or problem(response)[0] == 408
    response = read_to_end(pipelined)
    assert response.startswith(b"HTTP/1.1 200 ")
    second = response[response.index(b"\r\n\r\n") :]
    assert b"HTTP/1.1" not in second or problem(second[second.index(b"HTTP/1.1") :])[0] == 408
    read_to_end(body)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET /?" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", 413, "content_too_large"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"a\r\nxxxxxxxxxx\r\n" * 999,
            413,
            "content_too_large",
        ),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"),
    ],
)
def test_requests_beyond_the_bounds_are_problems(ports: tuple[int, int], sent: bytes, status: int, code: str) -> None:
    with send_raw(ports[0]) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection)  # nginx lingers for five seconds before it closes
            response.begin()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            pytest.skip("closed before the response was read")
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status, body["code"]) == (status, code)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\nX-API-Key: " + ALL.encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(SMUGGLED) + 5),
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"Content-Length: +5\r\n\r\n12345",
    ],
)
def test_a_request_of_ambiguous_length_is_refused(ports: tuple[int, int], folder: Path, head: bytes) -> None:
    before = (folder / "access.log").read_text().count('"path":"/smuggled"')
    response = read_to_end(
        send_raw(ports[0], b"POST /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + SMUGGLED)
    )
    assert not re.match(rb"HTTP/1.1 2", response)
    assert (folder / "access.log").read_text().count('"path":"/smuggled"') == before


def test_a_caller_that_does_not_read_is_disconnected(ports: tuple[int, int], folder: Path) -> None:
    def ended() -> int:
        return (folder / "access.log").read_text().count('"path":"/events/export"')

    before = ended()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", ports[0]))
    head = f"Host: a\r\nX-API-Key: {ALL}\r\nConnection: close\r\n\r\n"
    request = f"GET /events/export?since=2001-01-01 HTTP/1.1\r\n{head}"
    connection.sendall(request.encode())
    wait_until(lambda: ended() > before)
    connection.settimeout(10)
    assert read_to_end(connection).count(b"\n") < EVENTS


def test_logs_contain_no_query(ports: tuple[int, int], folder: Path) -> None:
    httpx.get(f"http://127.0.0.1:{ports[0]}/events?q=anna@example.com", headers=KEY)
    logs = (folder / "access.log").read_text() + (folder / "error.log").read_text()
    assert '"path":"/events"' in logs
    assert "anna" not in logs


def test_without_a_replica_a_request_gets_a_problem(tmp_path: Path) -> None:
    with nginx(tmp_path, 9) as (plain, _):
        response = httpx.get(f"http://127.0.0.1:{plain}/events")
    assert (response.status_code, response.headers["Retry-After"], response.json()["code"]) == (503, "1", "overloaded")
