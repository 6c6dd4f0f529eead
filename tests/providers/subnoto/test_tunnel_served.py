"""`SUBNOTO_TRANSPORT=tunnel`: its settings, and a gateway that uses it beside one that reads the account by proxy."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from subnoto_api_client.transport import _needs_encryption

from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings
from app.providers.subnoto import PROVIDER
from app.providers.subnoto.settings import SubnotoSettings, sdk_encrypts
from sandbox.subnoto import EmulatorOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over, window
from tests.cli.served import call
from tests.worlds import world


async def test_the_tunnel_gives_the_same_events_and_ids_as_the_proxy(tmp_path: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    sources: dict[str, dict[str, Any]] = {}
    async with world(subnoto=EmulatorOptions(events=900, twins=0.1)) as one:
        assert one.subnoto is not None
        for transport in ("proxy", "tunnel"):
            one.reset_calls()
            env = {"SUBNOTO_TRANSPORT": transport}
            async with opened(app_over(one, env)) as client:
                asked: dict[str, str] = {**window(one), "include": "raw", "limit": "200"}
                found[transport] = []
                while asked:
                    page = (await client.get("/events", params=asked)).json()
                    found[transport] += page["data"]
                    asked = {"cursor": page["page"]["next_cursor"]} if page["page"]["has_more"] else {}
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
    ("changed", "said"),
    [
        ({"SUBNOTO_SECRET_KEY": "not-hexadecimal-geheim"}, "hexadecimal"),
        ({"SUBNOTO_BASE_URL": "https://enclave.example/api"}, "without a path"),
        ({"SUBNOTO_BASE_URL": "https://localhost.example"}, "would not encrypt"),
        ({"SUBNOTO_BASE_URL": "https://127.0.0.1.example"}, "would not encrypt"),
        ({"SUBNOTO_BASE_URL": "http://enclave.example"}, "https"),
    ],
)
def test_settings_that_the_sdk_would_fail_with_or_send_in_the_clear(changed: dict[str, str], said: str) -> None:
    keys = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "ab", "SUBNOTO_TRANSPORT": "tunnel"}
    with pytest.raises(ConfigurationError, match="SUBNOTO_TRANSPORT") as error:
        PROVIDER.from_environment(keys | changed, CommonSettings())
    assert said in error.value.detail
    assert "geheim" not in error.value.detail


@pytest.mark.parametrize(
    "host", ["enclave.subnoto.com", "localhost", "127.0.0.1", "127.1", "my-localhost.example", "10.0.0.1"]
)
def test_we_know_when_the_sdk_encrypts(host: str) -> None:
    assert sdk_encrypts(f"https://{host}:8443") == _needs_encryption(host, "/public/logs/list", "POST")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("subnoto_api_client")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "app.providers.subnoto.tunnel")
    env: dict[str, Any] = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "ab", "SUBNOTO_TRANSPORT": "tunnel"}
    with pytest.raises(ConfigurationError, match=r'pip install "\.\[subnoto-tunnel\]" in a checkout'):
        PROVIDER.from_environment(env, CommonSettings())
