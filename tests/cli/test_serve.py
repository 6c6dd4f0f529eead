"""`audit-gateway serve` and `openapi`."""

import json
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.served import call
from tests.process import environment, run, serving, start

SANDBOX = {"Authorization": "Bearer sandbox"}
REPOSITORY = Path(__file__).parents[2]


def test_the_printed_command_of_the_sandbox_gets_a_merged_page(tmp_path: Path) -> None:
    with serving("--sandbox", "--sandbox-events", "300", cwd=tmp_path) as gateway:
        (line,) = [line for line in gateway.greeting.splitlines() if line.strip().startswith("try ")]
        command = shlex.split(line.strip().removeprefix("try"))
        assert command[0] == "curl"
        pasted = subprocess.run([*command, "-s"], capture_output=True, text=True, timeout=30, check=True)
        page = json.loads(pasted.stdout)
        paths = ("/health/live", "/health/ready", "/docs", "/events")
        statuses = [httpx.get(f"{gateway.url}{path}").status_code for path in paths]
        sources = httpx.get(f"{gateway.url}/sources", headers=SANDBOX).json()["data"]
        httpx.get(f"{gateway.url}/events?q=anna@example.com", headers={**SANDBOX, "X-Request-ID": "mine"})
    gateway.assert_clean_end()
    assert len(page["data"]) == 5
    assert [source["status"] for source in page["sources"]] == ["ok"] * len(sources)
    assert len(sources) >= 2
    assert statuses == [200, 200, 200, 401]
    assert "sandbox" in gateway.greeting
    for source in sources:
        assert f"{source['name']} ({source['provider']})" in gateway.greeting
    (line,) = [line for line in gateway.log if line["event"] == "request" and line["request_id"] == "mine"]
    assert (line["route"], line["status"], line["caller"]) == ("/events", 200, "sandbox")
    assert all(source["calls"] >= 1 for source in line["sources"].values())
    assert "anna" not in gateway.errors.read_text()


def test_a_signal_during_the_start_ends_the_server(tmp_path: Path) -> None:
    process = start("serve", "--sandbox", "--sandbox-events", "400000", "--port", "0", cwd=tmp_path)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM), "the latter before the signal handlers are installed"
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "settings", "messages"),
    [
        ([], {}, ["No source is configured", "--sandbox"]),
        (["--sandbox"], {"GATEWAY_DEADLINE": "soon"}, ["GATEWAY_DEADLINE"]),
        (["--sandbox"], {"GATEWAY_CURSOR_SECRET": "short"}, ["GATEWAY_CURSOR_SECRET", "openssl"]),
        (["--sandbox", "--host", "0.0.0.0"], {"GATEWAY_AUTH": "off"}, ["GATEWAY_AUTH=off", "--host 127.0.0.1"]),
        (["--sandbox", "--host", "not.a.host.example"], {}, ["--host", "127.0.0.1"]),
        (["--sandbox", "--host", "a" * 64], {}, ["--host", "127.0.0.1"]),
        (["--config", "absent.toml"], {}, ["absent.toml"]),
        (["--sandbox"], {"GATEWAY_API_KEYS": "nonsense"}, ["GATEWAY_API_KEYS, line 1"]),
        (["--sandbox"], {"GATEWAY_API_KEYS_FILE": "absent"}, ["GATEWAY_API_KEYS_FILE", "keys new"]),
    ],
)
def test_a_failed_start_names_the_setting(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], messages: list[str]
) -> None:
    ended = call("serve", "--port", "0", *arguments, env=settings, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("audit-gateway: ")]
    for part in messages:
        assert part in line
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("variables", "line", "sandbox"),
    [
        ({"TAKTIKAL_API_KEY": "x"}, "", False), ({"TAKTIKAL_COMPANY_KEY": "x"}, "", False),
        ({"SUBNOTO_ACCESS_KEY": "x"}, "", False), ({"SUBNOTO_SECRET_KEY": "x"}, "", False),
        ({"GATEWAY_CONFIG": "absent.toml"}, "", False), ({}, "TAKTIKAL_API_KEY=x", False),
        ({}, "export SUBNOTO_SECRET_KEY=x", False), ({}, "GATEWAY_CONFIG=absent.toml", False), ({}, "", True),
        ({}, "GATEWAY_URL=http://127.0.0.1:8000\nGATEWAY_KEY=x\n# TAKTIKAL_API_KEY=x", True),
    ],
)  # fmt: skip
def test_make_serve_uses_the_sandbox_without_account_settings(
    tmp_path: Path, variables: dict[str, str], line: str, sandbox: bool
) -> None:
    """Half an account starts no sandbox: `serve` names the missing variable. The command here prints its arguments."""
    (tmp_path / "Makefile").symlink_to(REPOSITORY / "Makefile")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "audit-gateway").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "bin" / "audit-gateway").chmod(0o755)
    (tmp_path / ".env").write_text(f"GATEWAY_URL=http://127.0.0.1:8000\n{line}\n")
    command = ("make", "--silent", "--assume-old=setup", "--assume-old=.venv/.ready", "BIN=bin", "PORT=1", "serve")
    ended = subprocess.run(
        command, env=environment(variables), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == f"serve {'--sandbox ' if sandbox else ''}--port 1\n"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("serve", "--sandbox", "--port", str(port), cwd=tmp_path)
    assert ended.returncode == 2
    assert f"--port: {port} on 127.0.0.1 is in use" in ended.stderr
    assert ended.stdout == ""


def test_without_api_keys_a_temporary_key_is_printed(tmp_path: Path) -> None:
    """With a provider's keys as the only settings, the printed command works."""
    account = {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "hunter2", "SUBNOTO_BASE_URL": "http://127.0.0.1:9"}
    for workers in ("1", "2"):
        with serving("--workers", workers, cwd=tmp_path, env=account) as gateway:
            (line,) = [line for line in gateway.greeting.splitlines() if line.strip().startswith("try ")]
            command = shlex.split(line.strip().removeprefix("try").replace("/events?limit=5", "/sources"))
            pasted = subprocess.run([*command, "-s"], capture_output=True, text=True, timeout=30, check=True)
        assert [source["name"] for source in json.loads(pasted.stdout)["data"]] == ["subnoto"]
        key = command[2].removeprefix("Authorization: Bearer ")
        assert key.startswith("agw_")
        assert key not in gateway.errors.read_text()
        assert "hunter2" not in gateway.greeting + gateway.errors.read_text() + pasted.stdout
    ended = run("serve", "--port", "0", "--host", "0.0.0.0", env=account, cwd=tmp_path)
    assert ended.returncode == 2
    assert "No API keys" in ended.stderr


def test_the_document_is_printed_and_written(tmp_path: Path) -> None:
    printed = call("openapi", env={}, cwd=tmp_path)
    written = call("openapi", "--output", "document.json", env={"GATEWAY_DEADLINE": "nonsense"}, cwd=tmp_path)
    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, "")
    assert (tmp_path / "document.json").read_text() == printed.stdout
    assert json.loads(printed.stdout)["openapi"].startswith("3.1")
    assert call("openapi", "--output", "/not/there.json", env={}, cwd=tmp_path).returncode == 2
