"""The tunnel, which uses the vendor's SDK: calls are signed and, except to loopback, encrypted.

The SDK treats hosts with `localhost` or `127.0.0.1` in their name as loopback. `127.1` is the same address under
another name, so that both modes are tested over real sockets. The emulator has no hardware for an attestation: its
sessions have none, and tunnels that require it are refused.
"""

import asyncio
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from subnoto_api_client.transport import _needs_encryption

from app.domain.errors import (
    ConfigurationError,
    SourceFailed,
    SourceForbidden,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
)
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.response import Response
from app.providers.subnoto import PROVIDER
from app.providers.subnoto.client import LogQuery, SubnotoClient
from app.providers.subnoto.probe import tunnel_finding
from app.providers.subnoto.settings import SubnotoSettings, sdk_encrypts
from app.providers.subnoto.tunnel import Tunnel
from sandbox.faults import Faults
from sandbox.serving import serve
from sandbox.subnoto import Emulator, EmulatorOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over
from tests.cli.served import call
from tests.waiting import until
from tests.worlds import window, world

TEAM = LogQuery("team")
BODY = {"category": "team", "page": 1, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
LOST = json.dumps({"statusCode": 401, "error": {"code": "TUNNEL_SESSION_NOT_FOUND"}}).encode()
SEALED = {"x-subnoto-encrypted-response": "true", "content-type": "application/octet-stream"}
SECRETS = ("sandbox-access-key", "5a5a5a5a")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(EmulatorOptions(events=600))
    with serve(emulator.app) as base_url:
        yield emulator, base_url


@pytest.fixture
def emulator(served: tuple[Emulator, str]) -> Emulator:
    emulator, _ = served
    emulator.calls.reset()
    emulator.faults.clear()
    emulator.tunnels.forget()
    emulator.tunnels.opened = 0
    emulator.latency = 0.0
    return emulator


@pytest.fixture
def url(served: tuple[Emulator, str]) -> str:
    return served[1]


def settings(base_url: str, *, encrypted: bool = True, **changed: str) -> SubnotoSettings:
    account = EmulatorOptions()
    keys = {"access_key": account.access_key, "secret_key": account.secret_key, **changed}
    found = SubnotoSettings.read({"base_url": base_url, "transport": "tunnel", **keys}, {})
    if encrypted:
        found = found.model_copy(update={"base_url": base_url.replace("127.0.0.1", "127.1")})
    return found


@asynccontextmanager
async def tunneled(
    base_url: str, *, encrypted: bool = True, attested: bool = False, common: CommonSettings | None = None, **keys: str
) -> AsyncIterator[tuple[Tunnel, ProviderHttp]]:
    common = common or CommonSettings()
    chosen = settings(base_url, encrypted=encrypted, **keys)
    tunnel = Tunnel(chosen, common, attested=attested)
    http = ProviderHttp(chosen.base_url, common, name="subnoto", transport=tunnel)
    try:
        yield tunnel, http
    finally:
        await http.aclose()


async def list_logs(http: ProviderHttp, budget: CallBudget | None = None) -> Response:
    budget = budget or CallBudget(deadline=time.monotonic() + 20)
    return await http.call("POST", "public/logs/list", budget, json=BODY)


async def event_types(http: ProviderHttp, category: str) -> list[str]:
    client, found = SubnotoClient(http), []
    pages = await client.list_logs(LogQuery(category), range(1, 15), 50, CallBudget())
    for _, page in pages:
        found += [row.body["eventType"] for row in page.rows]
    return found


@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_tunnel_returns_the_whole_log(emulator: Emulator, url: str, encrypted: bool) -> None:
    async with tunneled(url, encrypted=encrypted) as (tunnel, http):
        for category in ("envelope", "team"):
            truth = [item["eventType"] for item in emulator.history.truth(category)]
            assert (await event_types(http, category))[: len(truth)] == truth
            assert truth
        state = tunnel.describe()
    calls = [call for call in emulator.calls.calls if call.path == "/public/logs/list"]
    assert all(call.headers["signature"].startswith("team=:") for call in calls)
    assert not any("authorization" in call.headers for call in calls)
    # Encrypted bodies are not JSON.
    assert {type(call.body) for call in calls} == ({bytes} if encrypted else {dict})
    assert (state["encrypted"], state["session"]) == (encrypted, "open" if encrypted else "none")
    assert emulator.calls.refused == []


async def test_a_lost_session_is_renewed_once_for_all(emulator: Emulator, url: str) -> None:
    emulator.latency, bodies = 0.05, set()
    async with tunneled(url) as (tunnel, http):
        for sessions in (1, 2):
            budget = CallBudget(deadline=time.monotonic() + 20)
            answers = await asyncio.gather(*(list_logs(http, budget) for _ in range(40)))
            assert {answer.status for answer in answers} == {200}
            bodies |= {answer.body for answer in answers}
            assert (emulator.tunnels.opened, tunnel.describe()["sessions_opened"]) == (sessions, sessions)
            # A lost session is not a failure of the provider: no retry, and no failure in the circuit.
            assert (budget.calls, http.health().consecutive_failures) == (40, 0)
            emulator.tunnels.forget()
    assert len(bodies) == 1
    assert emulator.calls.most_in_flight > 1


async def test_calls_in_flight_finish_in_their_session(emulator: Emulator, url: str) -> None:
    async with tunneled(url) as (_, http):
        await list_logs(http)
        # The first is delayed while the second loses the session and opens another.
        emulator.faults.hang(0.5)
        slow = asyncio.create_task(list_logs(http))
        await until(lambda: emulator.calls.in_flight)
        emulator.faults.answer(401, body=LOST)
        assert (await list_logs(http)).status == 200
        assert emulator.tunnels.opened == 2
        assert (await slow).status == 200
    assert emulator.tunnels.opened == 2


async def test_an_enclave_that_drops_every_session_is_unavailable(emulator: Emulator, url: str) -> None:
    async with tunneled(url) as (_, http):
        emulator.faults.answer(401, body=LOST, times=100, path="/logs/list")
        with pytest.raises(SourceUnavailable):
            await list_logs(http)
    # Three attempts, each with one renewal.
    assert emulator.calls.count("/logs/list") == 6


async def test_an_enclave_without_attestation_receives_no_call(emulator: Emulator, url: str) -> None:
    async with tunneled(url, attested=True) as (tunnel, http):
        for _ in range(3):
            with pytest.raises(SourceFailed, match="did not prove what it is"):
                await list_logs(http)
        assert tunnel.describe() == {"encrypted": True, "session": "none", "sessions_opened": 0, "attestation": None}
    assert emulator.calls.count("/logs/list") == 0
    assert emulator.calls.count("/tunnel/session") == 3


SESSION, LIST = "/tunnel/session", "/logs/list"


@pytest.mark.parametrize(
    ("inject", "error", "detail"),
    [
        (lambda faults: faults.answer(503, {"Retry-After": "0"}, path=SESSION), None, None),
        (lambda faults: faults.cut(path=SESSION), None, None),
        (lambda faults: faults.answer(403, body=b"private", path=SESSION), SourceFailed, "the handshake with 403"),
        (lambda faults: faults.answer(200, {"x-session-id": "x"}, body=b"\xff" * 50, path=SESSION), SourceFailed,
         "did not prove"),
        (lambda faults: faults.answer(200, body=b"", path=SESSION), SourceFailed, None),
        (lambda faults: faults.hang(3, path=SESSION), SourceTimeout, None),
        (lambda faults: faults.answer(200, body=b'{"logs": [], "totalCount": 0}', path=LIST), SourceFailed,
         "did not come through the tunnel"),
        # Errors may be unencrypted: proxies in front of the enclave have no keys.
        (lambda faults: faults.answer(503, {"Retry-After": "0"}, path=LIST), None, None),
    ],
)  # fmt: skip
async def test_a_failed_handshake_or_response_affects_no_later_call(
    emulator: Emulator, url: str, inject: Callable[[Faults], None], error: type[Exception] | None, detail: str | None
) -> None:
    async with tunneled(url) as (_, http):
        inject(emulator.faults)
        if error:
            with pytest.raises(error, match=detail) as raised:
                await list_logs(http, CallBudget(deadline=time.monotonic() + (0.3 if error is SourceTimeout else 20)))
            assert "private" not in str(raised.value)
        assert (await list_logs(http)).status == 200


async def test_a_response_that_cannot_be_decrypted_ends_its_session(emulator: Emulator, url: str) -> None:
    async with tunneled(url) as (_, http):
        for body in (b"garbage", b"", b"\x1a\x05\x0a\x03abc"):
            emulator.faults.answer(200, SEALED, body=body, path="/logs/list")
            with pytest.raises(SourceFailed, match="cannot be decrypted") as error:
                await list_logs(http)
            assert not any(secret in error.value.detail for secret in SECRETS)
        assert (await list_logs(http)).status == 200
    assert emulator.tunnels.opened == 4


@pytest.mark.parametrize("encrypted", [False, True])
async def test_responses_above_the_bound_are_refused(emulator: Emulator, url: str, encrypted: bool) -> None:
    # Two connections: if each response that is too large left one in use, the third call would wait for ever.
    common = CommonSettings(max_answer_bytes=3000, max_concurrency=2)
    async with tunneled(url, encrypted=encrypted, common=common) as (_, http):
        for _ in range(5):
            with pytest.raises(SourceFailed, match="larger than 3000 bytes"):
                await list_logs(http)
        bomb = gzip.compress(bytes(2_000_000))
        for path in ["/logs/list", *(["/tunnel/session"] if encrypted else [])]:
            emulator.tunnels.forget()
            emulator.faults.answer(200, SEALED | {"content-encoding": "gzip"}, body=bomb, path=path)
            with pytest.raises(SourceFailed, match="larger than 3000 bytes"):
                await list_logs(http)


async def test_errors_are_the_same_with_and_without_the_tunnel(url: str) -> None:
    limited = Emulator(EmulatorOptions(events=10, permissions=frozenset({"team"})))
    with serve(limited.app) as base_url:
        async with tunneled(base_url) as (_, http):
            with pytest.raises(SourceForbidden):
                await SubnotoClient(http).list_logs(LogQuery("envelope"), [1], 50, CallBudget())
    for keys in ({"secret_key": "00" * 32}, {"access_key": "somebody"}):
        for encrypted in (False, True):
            async with tunneled(url, encrypted=encrypted, **keys) as (_, http):
                with pytest.raises(SourceUnauthorized) as error:
                    await SubnotoClient(http).list_logs(TEAM, [1], 50, CallBudget())
                assert "AUTHENTICATION_ERROR" in error.value.detail
                assert error.value.provider_request_id


async def test_an_unreachable_enclave_is_unavailable() -> None:
    with serve(Emulator(EmulatorOptions(events=0)).app) as base_url:
        pass
    async with tunneled(base_url) as (_, http):
        with pytest.raises(SourceUnavailable, match="refuses connections"):
            await list_logs(http)


async def test_a_tunnel_can_be_created_in_another_thread(url: str) -> None:
    tunnel = await asyncio.to_thread(Tunnel, settings(url), CommonSettings(), attested=False)
    http = ProviderHttp(settings(url).base_url, CommonSettings(), name="subnoto", transport=tunnel)
    assert (await list_logs(http)).status == 200
    await http.aclose()


def test_the_probes_result_for_the_tunnel() -> None:
    state = {"encrypted": True, "session": "open", "sessions_opened": 1, "attestation": "Passed"}
    for changed, expected, text in (
        ({}, "ok", "Passed"),
        ({"attestation": None}, "unknown", "attestation"),
        ({"session": "none"}, "failed", "no session"),
        ({"encrypted": False}, "warning", "not encrypted"),
    ):
        finding = tunnel_finding(state | changed)
        assert (finding.state, text in finding.found) == (expected, True)


async def test_the_tunnel_returns_the_same_events_and_ids_as_the_proxy(tmp_path: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    sources: dict[str, dict[str, Any]] = {}
    async with world(subnoto=EmulatorOptions(events=900, twins=0.1)) as one:
        for transport in ("proxy", "tunnel"):
            one.reset_calls()
            env = {"SUBNOTO_TRANSPORT": transport}
            async with opened(app_over(one, env)) as client:
                query: dict[str, str] = {**window(one, 61), "include": "raw", "limit": "200"}
                found[transport] = []
                while query:
                    page = (await client.get("/events", params=query)).json()
                    found[transport] += page["data"]
                    query = {"cursor": page["page"]["next_cursor"]} if page["page"]["has_more"] else {}
                (sources[transport],) = (await client.get("/sources")).json()["data"]
            signed = {"signature" in call.headers for call in one.subnoto.calls.calls}
            bearer = {"authorization" in call.headers for call in one.subnoto.calls.calls}
            assert (signed, bearer) == (({False}, {True}) if transport == "proxy" else ({True}, {False}))
            assert one.subnoto.options.secret_key not in str(sources[transport])
        report = await asyncio.to_thread(
            call, "probe", "--wait", "0", env=one.env | env | {"COLUMNS": "200"}, cwd=tmp_path
        )
        secret = one.subnoto.options.secret_key
    assert found["tunnel"] == found["proxy"]
    assert len({event["id"] for event in found["tunnel"]}) == len(found["tunnel"]) > 100
    assert "tunnel" not in sources["proxy"]["details"]
    assert sources["tunnel"]["details"]["tunnel"] == {
        "encrypted": False, "session": "none", "sessions_opened": 0, "attestation": None,
    }  # fmt: skip
    assert report.returncode == 0, report.stderr
    assert "signed, not encrypted" in report.stdout
    assert secret not in report.stdout + report.stderr


def test_the_default_is_the_vendors_enclave() -> None:
    keys = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "ab"}
    found = SubnotoSettings.from_environment("subnoto", keys | {"SUBNOTO_TRANSPORT": "tunnel"})
    assert found.base_url == "https://enclave.subnoto.com"
    assert sdk_encrypts(found.base_url)


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"SUBNOTO_SECRET_KEY": "not-hexadecimal-geheim"}, "hexadecimal"),
        ({"SUBNOTO_BASE_URL": "https://enclave.example/api"}, "without a path"),
        ({"SUBNOTO_BASE_URL": "https://localhost.example"}, "would not encrypt"),
        ({"SUBNOTO_BASE_URL": "https://127.0.0.1.example"}, "would not encrypt"),
        ({"SUBNOTO_BASE_URL": "http://enclave.example"}, "https"),
    ],
)
def test_settings_that_the_sdk_rejects_or_sends_unencrypted_are_rejected(changed: dict[str, str], detail: str) -> None:
    keys = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "ab", "SUBNOTO_TRANSPORT": "tunnel"}
    with pytest.raises(ConfigurationError, match="SUBNOTO_TRANSPORT") as error:
        PROVIDER.from_environment(keys | changed, CommonSettings())
    assert detail in error.value.detail
    assert "geheim" not in error.value.detail


@pytest.mark.parametrize(
    "host", ["enclave.subnoto.com", "localhost", "127.0.0.1", "127.1", "my-localhost.example", "10.0.0.1"]
)
def test_sdk_encrypts_agrees_with_the_sdk(host: str) -> None:
    assert sdk_encrypts(f"https://{host}:8443") == _needs_encryption(host, "/public/logs/list", "POST")


def test_without_the_extra_the_error_names_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("subnoto_api_client")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "app.providers.subnoto.tunnel")
    env: dict[str, Any] = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "ab", "SUBNOTO_TRANSPORT": "tunnel"}
    with pytest.raises(ConfigurationError, match=r'pip install "\.\[subnoto-tunnel\]" in a checkout'):
        PROVIDER.from_environment(env, CommonSettings())
