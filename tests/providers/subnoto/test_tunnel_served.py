"""The running gateway with `SUBNOTO_TRANSPORT=tunnel`, beside one that reads the same account as through the proxy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sandbox.serving import serve
from sandbox.subnoto import Emulator, EmulatorOptions
from tests.process import run, serving

KEY = {"Authorization": "Bearer anything"}


def everything(url: str, **parameters: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = parameters
    while True:
        answer = httpx.get(f"{url}/events", params={"limit": "200", **cursor}, headers=KEY, timeout=30)
        assert answer.status_code == 200, answer.text
        events += answer.json()["data"]
        if not answer.json()["page"]["has_more"]:
            return events
        cursor = {"cursor": answer.json()["page"]["next_cursor"]}


def test_the_tunnel_gives_the_same_events_and_ids_as_the_proxy(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    window = {"since": (now - timedelta(days=20)).isoformat(), "until": (now - timedelta(minutes=5)).isoformat()}
    emulator = Emulator(EmulatorOptions(events=900, twins=0.1))
    found: dict[str, list[dict[str, Any]]] = {}
    sources: dict[str, dict[str, Any]] = {}
    with serve(emulator.app) as base_url:
        for transport in ("proxy", "tunnel"):
            env = {**emulator.env(base_url), "SUBNOTO_TRANSPORT": transport, "GATEWAY_AUTH": "off"}
            place = tmp_path / transport
            place.mkdir()
            emulator.calls.reset()
            with serving(cwd=place, env=env) as gateway:
                found[transport] = everything(gateway.url, **window, include="raw")
                (sources[transport],) = httpx.get(f"{gateway.url}/sources", headers=KEY).json()["data"]
            signed = {"signature" in call.headers for call in emulator.calls.calls}
            bearer = {"authorization" in call.headers for call in emulator.calls.calls}
            assert (signed, bearer) == (({False}, {True}) if transport == "proxy" else ({True}, {False}))
            assert emulator.options.secret_key not in gateway.errors.read_text() + str(sources[transport])
        report = run("probe", "--wait", "0", env=env | {"COLUMNS": "200"}, cwd=tmp_path)
    assert found["tunnel"] == found["proxy"]
    assert len({event["id"] for event in found["tunnel"]}) == len(found["tunnel"]) > 100
    assert "tunnel" not in sources["proxy"]["details"]
    assert sources["tunnel"]["details"]["tunnel"] == {
        "encrypted": False, "session": "none", "sessions_opened": 0, "attestation": None,
    }  # fmt: skip
    assert report.returncode == 0, report.stderr
    assert "signed, not encrypted" in report.stdout
    assert emulator.options.secret_key not in report.stdout + report.stderr
