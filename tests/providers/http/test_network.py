"""Proxies and certificates: the environment's variables, and the error of each kind of unreachable provider."""

import ipaddress
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from app.domain.errors import ConfigurationError, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings, ProbeResult
from app.providers.http.client import ProviderHttp
from app.providers.http.network import VARIABLES, Network
from tests.api.conftest import log as captured_log
from tests.operations.nginx import free_port
from tests.providers.http.httpx_transport import HttpxTransport
from tests.providers.http.servers import OK, answering, server

log = captured_log
PROXY = "http://proxy.example:3128"

# ---- proxies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.9.8.7", "127.1", "2130706433",
     "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],
)  # fmt: skip
def test_loopback_hosts_are_called_without_a_proxy(host: str) -> None:
    network = Network({"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY})
    for url in (f"http://{host}/a", f"https://{host}:8443/"):
        assert network.proxy_for(url) is None
    assert network.proxy_for("http://127.0.0.1.example/") == PROXY


@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({}, None, None), ({"HTTP_PROXY": PROXY}, PROXY, None), ({"HTTPS_PROXY": PROXY}, None, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, None, PROXY), ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"all_proxy": PROXY, "http_proxy": "http://other:1"}, "http://other:1", PROXY),
        ({"HTTP_PROXY": "proxy.example:3128"}, PROXY, None),
        ({"HTTP_PROXY": " proxy.example:3128 ", "HTTPS_PROXY": ""}, PROXY, None),
        ({"HTTPS_PROXY": "https://user:pass@proxy:1/"}, None, "https://user:pass@proxy:1/"),
    ],
)  # fmt: skip
def test_the_variables_select_the_proxy(variables: dict[str, str], http: str | None, https: str | None) -> None:
    network = Network(variables)
    assert (network.proxy_for("http://a.example/"), network.proxy_for("https://a.example/")) == (http, https)


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("*", ["http://a.example"], []),
        ("a.example", ["http://a.example", "http://A.EXAMPLE:81", "http://b.a.example"], ["http://aa.example"]),
        (".example", ["http://a.example", "http://example"], ["http://examples"]),
        ("*.a.example", ["http://b.a.example"], ["http://b.example"]),
        ("a.example.", ["http://a.example", "http://a.example."], []),
        ("x, a.example:8080 y", ["http://a.example:8080", "http://x", "http://y"], ["http://a.example"]),
        ("a.example:443", ["https://a.example"], ["http://a.example"]),
        ("10.0.0.0/8", ["http://10.1.2.3"], ["http://11.1.2.3", "http://a10.0.0.0"]),
        ("10.1.2.3/8,192.168.0.1:81", ["http://10.9.9.9", "http://192.168.0.1:81"], ["http://192.168.0.1"]),
        ("2001:db8::/32", ["http://[2001:db8::1]:81"], ["http://[2001:db9::1]"]),
        ("2001:db8::1", ["http://[2001:db8:0::1]"], ["http://[2001:db8::2]"]),
        ("[2001:db8::1]", ["http://[2001:db8::1]:81"], ["http://[2001:db8::2]"]),
        ("[2001:db8::1]:81", ["http://[2001:db8::1]:81"], ["http://[2001:db8::1]:82"]),
        ("[2001:db8::]/32", ["http://[2001:db8::5]"], ["http://[2001:db9::1]"]),
    ],
)
def test_no_proxy_excludes_the_hosts_that_it_names(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    network = Network({"ALL_PROXY": PROXY, "NO_PROXY": no_proxy})
    assert [url for url in direct if network.proxy_for(url)] == []
    assert [url for url in proxied if not network.proxy_for(url)] == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "socks5://secret:1"), ("ALL_PROXY", "socks5h://secret:1"), ("http_proxy", "http://secret:port"),
        ("HTTP_PROXY", "ftp://secret"), ("HTTP_PROXY", "http://"), ("HTTP_PROXY", "http://[secret"),
        ("HTTPS_PROXY", "secret"),
        ("HTTP_PROXY", "http://secret:1/path"), ("NO_PROXY", "a, secret.example:99999"), ("NO_PROXY", "10.0.0.0/99"),
        ("no_proxy", "http://secret"), ("NO_PROXY", "[::1"), ("NO_PROXY", "10.0.0"),
    ],
)  # fmt: skip
def test_an_invalid_variable_is_a_configuration_error(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as error:
        Network({variable: value})
    assert "secret" not in error.value.detail


async def call(url: str, network: Network) -> bytes:
    http = ProviderHttp(url, CommonSettings(network=network), name="main")
    try:
        return (await http.call("GET", "log", CallBudget())).body
    finally:
        await http.aclose()


async def test_calls_use_the_proxy_except_to_loopback() -> None:
    async with server(answering(OK)) as (proxy, heads), server(answering(OK)) as (direct, direct_heads):
        network = Network({"HTTP_PROXY": proxy.replace("http://", "http://user:word@")})
        assert await call("http://provider.example/api", network) == b"{}"
        assert heads[0].startswith(b"GET http://provider.example/api/log HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in heads[0]
        assert await call(direct, network) == b"{}"
        assert (len(heads), len(direct_heads)) == (1, 1)
    with pytest.raises(SourceUnavailable, match=r"proxy towards the provider cannot be reached.*HTTPS_PROXY"):
        await call("http://provider.example/api", network)
    async with server(answering(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")) as (proxy, _):
        with pytest.raises(SourceUnavailable, match="proxy towards the provider refused"):
            await call("https://provider.example/api", Network({"HTTPS_PROXY": proxy}))


# ---- certificate authorities -------------------------------------------------------------------------------------


def test_the_documented_variables_are_those_that_are_read() -> None:
    class Environment(dict[str, str]):
        def get(self, name: str, *default: Any) -> Any:
            read.add(name)
            return super().get(name, *default)

    read: set[str] = set()
    Network(Environment({"": ""}))
    assert {name.upper() for name in read} == VARIABLES.keys()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_of_authorities_is_read_or_refused_by_its_variable(variable: str, tmp_path: Path) -> None:
    bad = {"empty": b"", "text": b"no PEM", "der": b"\x30\x82\x01", "key": trustme.CA().private_key_pem.bytes()}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    for name in (*bad, "missing", "."):
        with pytest.raises(ConfigurationError, match=variable):
            Network({variable: str(tmp_path / name)})
    good = tmp_path / "good.pem"
    trustme.CA().cert_pem.write_to_path(good)
    assert Network({variable: str(good)}).ssl_context().cert_store_stats()["x509_ca"] == 1


def test_a_folder_of_authorities_is_read_or_refused_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("not a certificate")
    for path in (tmp_path, tmp_path / "README", tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="SSL_CERT_DIR"):
            Network({"SSL_CERT_DIR": str(path)})
    for name in ("a.pem", "b.crt"):
        trustme.CA().cert_pem.write_to_path(tmp_path / name)
    assert Network({"SSL_CERT_DIR": str(tmp_path)}).ssl_context().cert_store_stats()["x509_ca"] == 2


def test_without_a_variable_the_systems_authorities_are_trusted() -> None:
    context = Network().ssl_context()
    assert context.cert_store_stats()["x509_ca"] > 50
    assert context.verify_mode == ssl.CERT_REQUIRED


# ---- unreachable providers ---------------------------------------------------------------------------------------

CA, OTHER = trustme.CA(), trustme.CA()
PAST = datetime.now(UTC) - timedelta(days=2)
KINDS = {
    "unknown host": "host name is unknown", "refused": "refuses connections", "untrusted": "not trusted.*SSL_CERT_FILE",
    "expired": "has expired", "wrong name": "for another host name", "no TLS": "no common TLS",
}  # fmt: skip


@pytest.mark.parametrize("client", ["aiohttp", "httpx"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_unreachable_provider_has_its_error(
    kind: str, client: str, tmp_path: Path, log: Any
) -> None:
    authority = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(authority)
    network = Network({"SSL_CERT_FILE": str(authority)})
    issuer = OTHER if kind == "untrusted" else CA
    name = "other.example" if kind == "wrong name" else str(ipaddress.ip_address("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(name, not_after=PAST if kind == "expired" else None).configure_cert(context)
    plain = kind == "no TLS"
    async with server(answering(OK), None if plain else context, greeting=b"HTTP/1.1 400 B\r\n\r\n" * plain) as (
        url,
        _,
    ):
        base = {
            "unknown host": "https://no-such-host.invalid",
            "refused": f"https://127.0.0.1:{free_port()}",
            "no TLS": url.replace("http:", "https:"),
        }.get(kind, url)
        common = CommonSettings(network=network)
        inner = httpx.AsyncHTTPTransport(verify=network.ssl_context())
        transport = HttpxTransport(inner, common) if client == "httpx" else None
        http = ProviderHttp(base, common, name="main", transport=transport)
        with pytest.raises(SourceUnavailable, match=KINDS[kind]) as error:
            await http.call("GET", "log", CallBudget())
        await http.aclose()
    (line,) = [json.loads(line) for line in log.getvalue().splitlines() if "source_call_failed" in line]
    assert (line["level"], line["source"], line["cause"]) == ("warning", "main", error.value.detail)
    assert line["host"].removesuffix(":443") in base
    assert ProbeResult.of_failure(error.value, "KEYS", "URL").found == error.value.detail
    assert [other for other, text in KINDS.items() if text.split(".*")[0] in error.value.detail] == [kind]
