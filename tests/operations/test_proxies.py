"""Loopback addresses are called directly, not through a proxy, and an invalid proxy variable is named at start."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import structlog

from app.api.tokens import Tokens
from app.cli.client import Client
from app.cli.forwarding import open_target, tls_context
from app.forward import Temporary
from app.privacy.pseudonyms import Pseudonyms
from app.providers.http.network import Network
from tests.listening import answering, send
from tests.process import run

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy")
SECRET = "whsec_" + "A" * 32


@contextmanager
def recording() -> Iterator[tuple[str, list[str]]]:
    """Serve an empty JSON object for every request; yield the address and the request lines."""
    requests: list[str] = []

    def record(request: BaseHTTPRequestHandler, _: bytes) -> None:
        requests.append(request.requestline)
        send(request)

    with answering(record) as address:
        yield address, requests


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The request lines of a proxy that all variables name."""
    with recording() as (address, requests):
        for name in VARIABLES[:6]:
            monkeypatch.setenv(name, f"http://{address}")
        for name in VARIABLES[6:]:
            monkeypatch.delenv(name, raising=False)
        yield requests


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_cli_calls_a_loopback_gateway_directly(proxied: list[str], host: str) -> None:
    with recording() as (address, requests):
        port = address.partition(":")[2]
        client = Client(f"http://{host}:{port}", "key")
        try:
            client.get("/sources", ())
        finally:
            client.close()
    assert (len(requests), proxied) == (1, [])


def test_verify_calls_a_loopback_gateway_directly(proxied: list[str], tmp_path: Path) -> None:
    (tmp_path / "export.ndjson").touch()
    with recording() as (address, requests):
        proxies = {name: os.environ[name] for name in VARIABLES[:6]}
        run("verify", "export.ndjson", env={**proxies, "GATEWAY_URL": f"http://{address}"}, cwd=tmp_path)
    assert (len(requests), proxied) == (1, [])


def test_forward_calls_a_loopback_receiver_directly(proxied: list[str]) -> None:
    with recording() as (address, requests):
        opened = open_target(
            f"http://{address}/hook", None, {**os.environ, "FORWARD_SECRET": SECRET}, tls_context(None, None)
        )
        opened.target.deliver([])
        opened.target.close()
    assert (len(requests), proxied) == (1, [])


def test_forward_calls_other_receivers_through_the_proxy(proxied: list[str]) -> None:
    environment = {**os.environ, "FORWARD_SECRET": SECRET}
    opened = open_target("https://receiver.invalid/hook", None, environment, tls_context(None, None))
    with pytest.raises(Temporary):
        opened.target.deliver([])
    opened.target.close()
    assert {line.partition(" HTTP")[0] for line in proxied} == {"CONNECT receiver.invalid:443"}


async def test_tokens_call_a_loopback_issuer_directly(proxied: list[str]) -> None:
    with recording() as (address, requests), structlog.testing.capture_logs():
        keys = Tokens("i", "a", f"http://{address}/jwks", Pseudonyms("x" * 32), network=Network(os.environ))
        await keys._read()
        await keys.aclose()
    assert (len(requests), proxied) == (1, [])


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        (["serve", "--sandbox", "--port", "0"], "HTTPS_PROXY", "ftp://proxy:1"),
        (["events"], "NO_PROXY", "a.example,10.0.0.0/40"),
        (["sources"], "SSL_CERT_DIR", "/nowhere"),
    ],
)
def test_an_unusable_variable_is_named_at_start(
    command: list[str], name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*VARIABLES, "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    gateway = {} if command[0] == "serve" else {"GATEWAY_URL": "http://gateway.example", "GATEWAY_KEY": "key"}
    ended = run(*command, env={**gateway, name: value}, cwd=tmp_path)
    assert ended.returncode not in (0, None)
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Audit gateway on" not in ended.stdout
