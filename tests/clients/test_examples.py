"""The programs of `examples/`, with generated clients, strictly type-checked, and with curl."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.tools import (
    DOCUMENT,
    HERE,
    NODE_MODULES,
    PYTHON,
    ROOT,
    call,
    environment,
    generator,
    node,
    npm_tool,
    python_tool,
)
from tests.clients.world import Gateway, faulty, later_gateway

EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Program:
    """The program `events` in one language; `texts` is the generated file with the descriptions of the parameters."""

    command: list[str]
    texts: str = ""
    flags: bool = True

    def arguments(self, since: str, until: str, *types: str) -> list[str]:
        pairs = [("since", since), ("until", until), *(("type", one) for one in types)]
        return [word for name, value in pairs for word in ([f"--{name}", value] if self.flags else [f"{name}={value}"])]

    def run(self, url: str, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = environment({"GATEWAY_URL": url, "GATEWAY_KEY": key})
        command = [*self.command, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def python(folder: Path) -> Program:
    output = str(folder / "gateway_client")
    command = [python_tool("openapi-python-client"), "generate", "--path", str(DOCUMENT), "--meta", "none"]
    call(*command, "--output-path", output, cwd=folder)
    shutil.copy(EXAMPLES / "python" / "events.py", folder)
    # The program is checked strictly, the generated code only for its signatures.
    strictly = ["--strict", "--follow-imports=silent", "--cache-dir", str(folder / "cache")]
    command = [sys.executable, "-m", "mypy", *strictly, "--python-executable", str(PYTHON), "events.py"]
    call(*command, cwd=folder, env={"MYPYPATH": str(folder)})
    texts = (folder / "gateway_client" / "api" / "events" / "list_events.py").read_text(encoding="utf-8")
    return Program([str(PYTHON), "-W", "error", str(folder / "events.py")], texts)


def typescript(folder: Path) -> Program:
    compiler = npm_tool("tsc")
    for name in ("events.ts", "package.json", "tsconfig.json"):
        shutil.copy(EXAMPLES / "typescript" / name, folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    call(npm_tool("openapi-typescript"), str(DOCUMENT), "--output", "schema.ts", cwd=folder)
    call(compiler, cwd=folder)
    return Program([node(), str(folder / "built" / "events.js")], (folder / "schema.ts").read_text(encoding="utf-8"))


def shell(_: Path) -> Program:
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here, which the shell scripts need")
    return Program([str(EXAMPLES / "shell" / "events.sh"), "all"], flags=False)


@pytest.fixture(scope="session", params=[python, typescript, shell], ids=lambda make: make.__name__)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    make: Callable[[Path], Program] = request.param
    return make(tmp_path_factory.mktemp("program"))


def test_a_program_prints_every_event_once(program: Program, gateway: Gateway) -> None:
    with faulty(gateway, None, gateway.restart) as proxy:  # between the first page and the second
        done = program.run(proxy.url, gateway.key, *program.arguments(gateway.since, gateway.until))
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == gateway.ids
    done = program.run(
        gateway.url, gateway.key, *program.arguments(gateway.since, gateway.until, "recipient.*", "envelope.created")
    )
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == gateway.filtered_ids[::-1]


def test_a_program_prints_the_problem(program: Program, gateway: Gateway) -> None:
    unknown_key = program.run(gateway.url, "nobody")
    assert (unknown_key.returncode, unknown_key.stdout) == (1, "")
    assert unknown_key.stderr.startswith("401 unauthenticated: ")
    window = program.run(gateway.url, gateway.key, *program.arguments(gateway.until, gateway.since))
    assert (window.returncode, window.stdout) == (1, "")
    assert window.stderr.startswith("422 invalid_window: ")


def test_texts_of_parameters_survive_generation(program: Program) -> None:
    """openapi-typescript copies the description of a parameter, openapi-python-client only that of its schema."""
    parameters = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]["/events"]["get"]["parameters"]
    assert all(parameter["description"] for parameter in parameters)
    expected = {parameter["schema"].get("description") for parameter in parameters} - {None}
    if program.texts.startswith("/**"):
        expected |= {parameter["description"] for parameter in parameters}
    if program.texts:
        found = " ".join(program.texts.split())
        assert not [text for text in expected if " ".join(text.split()) not in found]


def test_openapi_generator_keeps_texts_and_reads_a_later_gateway(gateway: Gateway, tmp_path: Path) -> None:
    command = [generator(), "generate", "-i", str(DOCUMENT), "-g", "python", "--library", "httpx"]
    call(*command, "--additional-properties", "packageName=gateway_client", "-o", str(tmp_path), cwd=tmp_path)
    shutil.copy(HERE / "drivers" / "openapi_generator.py", tmp_path / "driver.py")
    with later_gateway(gateway) as later:
        env = {**gateway.env(), "LATER_URL": later.url, "SINCE": gateway.since, "UNTIL": gateway.until}
        found = json.loads(call(str(PYTHON), "-W", "error", "driver.py", cwd=tmp_path, env=env))
    assert found == {"ids": gateway.ids, "later": [["vault.sealed", "robot", "pending"]], "refused": "unauthenticated"}
    docstrings = " ".join((tmp_path / "gateway_client" / "api" / "events_api.py").read_text(encoding="utf-8").split())
    parameters = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]["/events"]["get"]["parameters"]
    assert all(" ".join(parameter["description"].split()) in docstrings for parameter in parameters)


def follow(trail: Path, env: dict[str, str], *arguments: str) -> int:
    shell(trail)
    command = [str(EXAMPLES / "shell" / "follow.sh"), str(trail), *arguments]
    return subprocess.run(command, env=environment(env), capture_output=True, timeout=120, check=False).returncode


def test_a_trail_has_every_event_after_faults(gateway: Gateway, tmp_path: Path) -> None:
    trail = tmp_path / "trail.ndjson"
    with faulty(gateway, None, "reset", None, gateway.restart, "503", None, "cut") as proxy:
        assert follow(trail, gateway.env(proxy.url), f"since={gateway.since}") == 1, "the connection was reset"
        # As after a kill during the first page: half a line and no cursor.
        os.truncate(trail, trail.stat().st_size - 10)
        trail.with_name("trail.ndjson.cursor").unlink()
        assert follow(trail, gateway.env(proxy.url), f"since={gateway.since}") == 1, "a response was cut"
        assert follow(trail, gateway.env(proxy.url)) == 0
    lines = trail.read_text(encoding="utf-8").splitlines()
    ids = [json.loads(line)["id"] for number, line in enumerate(lines) if number != 199]
    assert list(dict.fromkeys(ids))[: len(gateway.ids)] == gateway.ids[::-1]
    assert len(ids) == len(set(ids)) + 199, "only the page without a saved cursor is repeated"


def commands() -> list[tuple[str, str]]:
    """Return (command, output) of the console blocks of the README."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (EXAMPLES / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    pairs = [one.partition("\n") for block in blocks for one in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in pairs]


@pytest.mark.parametrize(("command", "output"), commands(), ids=[command[:50] for command, _ in commands()])
def test_a_command_of_the_readme(command: str, output: str, gateway: Gateway, tmp_path: Path) -> None:
    shell(tmp_path)
    (tmp_path / "shell").symlink_to(EXAMPLES / "shell")
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(gateway.env()), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip

    def words(text: str) -> list[str]:  # without the counts, which depend on the time
        return sorted(re.sub(r"^ *\d+\b(?! [a-z]+_)", "a number", line) for line in text.splitlines())

    assert words(done.stdout) == words(output)
