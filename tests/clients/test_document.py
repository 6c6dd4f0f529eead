"""The committed OpenAPI document passes the linters, and its examples are current."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.recording import RECORDED, WINDOW, comparable, record, sandbox_gateway
from tests.clients.tools import DOCUMENT, HERE, ROOT, environment, npm_tool


def redocly(document: Path) -> subprocess.CompletedProcess[str]:
    config = str(ROOT / "openapi" / "redocly.yaml")
    return lint(npm_tool("redocly"), "lint", str(document), "--config", config)


def spectral(document: Path) -> subprocess.CompletedProcess[str]:
    rules = str(ROOT / "openapi" / ".spectral.yaml")
    return lint(npm_tool("spectral"), "lint", str(document), "--ruleset", rules, "--fail-severity", "hint")


def lint(*command: str) -> subprocess.CompletedProcess[str]:
    # By default, redocly checks for a newer version and sends telemetry.
    env = environment({"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


Lint = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("linter", [redocly, spectral])
def test_the_linter_finds_nothing(linter: Lint) -> None:
    done = linter(DOCUMENT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("linter", [redocly, spectral])
def test_the_linter_finds_planted_faults(linter: Lint, tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    document["paths"] = {path: document["paths"][path] for path in ("/events", "/events/{event_id}", "/events/count")}
    document["paths"]["/events"]["get"]["operationId"] = "get_event"
    example = document["paths"]["/events/count"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    example["sources"] = "none"
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    done = linter(file)
    assert done.returncode == 1, done.stdout + done.stderr
    output = (done.stdout + done.stderr).lower()
    assert "operationid" in output.replace("-", "")
    assert "example" in output


def test_every_example_is_a_response_of_the_sandbox() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert comparable(recorded) == comparable(record()), "record them: python -m tests.clients.recording"


def test_the_cursor_of_the_example_continues_after_its_page() -> None:
    page = json.loads(RECORDED.read_text(encoding="utf-8"))["list_events"]
    with sandbox_gateway() as client:
        following = client.get("/events", params={"cursor": page["page"]["next_cursor"], "limit": 1000}).json()
        whole = client.get("/events", params={**WINDOW, "limit": 1000}).json()
    ids = [event["id"] for event in [*page["data"], *following["data"]]]
    assert ids[:1000] == [event["id"] for event in whole["data"]]


def test_npm_can_install_the_tools_from_any_registry() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert locked.pop("")["devDependencies"] == wanted
    for name, package in locked.items():
        # A URL would be that of the registry of the file's author.
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
