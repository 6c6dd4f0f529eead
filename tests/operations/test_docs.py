"""Commands of the README have the documented output, except for times and names. The generated parts of the documents
are current, every setting is described, and the tests that the documents name exist."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from tests.process import Running, serving

README = Path("README.md").read_text(encoding="utf-8")
EXAMPLES = README.split("\n## Examples\n")[1].split("\n## ")[0]


def examples(text: str) -> list[tuple[str, str]]:
    """Return (command, output) of each console block. The command ends with the first line that completes it."""
    found = []
    for block in re.findall(r"```console\n\$ (.*?)```", text, re.DOTALL):
        lines = block.splitlines(keepends=True)
        end = next(n for n in range(1, len(lines) + 1) if is_complete("".join(lines[:n])))
        found.append(("".join(lines[:end]), "".join(lines[end:])))
    return found


def is_complete(command: str) -> bool:
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    # An unfinished here-document is only a warning.
    return checked.returncode == 0 and not checked.stderr


def shape(output: str) -> Any:
    """Return the parts of an output that are the same each time."""
    try:
        return skeleton(json.loads(output))
    except ValueError:
        lines = [line.rstrip() for line in output.strip().splitlines()]  # tables are padded
        return [re.sub(r"\d+", "#", line) if "ids" in line else len(columns(line)) for line in lines]


def columns(line: str) -> list[str]:
    """Return the columns of a table, or the words of any other line."""
    return re.split(r" {2,}", line) if "  " in line else line.split()


def skeleton(value: Any) -> Any:
    if isinstance(value, dict):
        # `data` differs from event to event.
        return {name: "…" if name == "data" else skeleton(member) for name, member in value.items()}
    if isinstance(value, list):
        return [skeleton(member) for member in value]
    return "a text or nothing" if value is None or isinstance(value, str) else type(value).__name__


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving("--sandbox", cwd=tmp_path_factory.mktemp("readme")) as running:
        yield running


@pytest.mark.parametrize(("command", "output"), examples(EXAMPLES), ids=lambda text: text.split("\n")[0][:60])
def test_a_command_of_the_readme(command: str, output: str, sandbox: Running) -> None:
    here = command.replace("http://127.0.0.1:8000", sandbox.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=60, check=True)
    assert shape(done.stdout) == shape(output)


def test_the_greeting_of_the_sandbox(sandbox: Running) -> None:
    block = next(text for text in re.findall(r"```console\n\$ make serve\n(.*?)```", README, re.DOTALL))
    assert sandbox.greeting.strip() == block.strip().replace("http://127.0.0.1:8000", sandbox.url)


def test_generated_parts_are_current() -> None:
    # In a new process: the page of the command line needs Typer without Rich, which is chosen at import.
    script = (
        "from docs.generate import pages\n"
        "print(*[page for page, text in pages().items() if page.read_text(encoding='utf-8') != text])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "", "run `make docs`"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_tests_that_the_pages_name_exist() -> None:
    files = {path.as_posix(): path.read_text(encoding="utf-8") for path in Path("tests").rglob("test_*.py")}
    named = re.compile(r"`([\w/]*test_\w+\.py)(?:::(test_\w+))?")
    missing = [
        (page, file, test)
        for page in ("docs/security.md", "docs/reliability.md", "docs/how-it-works.md")
        for file, test in named.findall(Path(page).read_text(encoding="utf-8"))
        if not any(f"/{path}".endswith(f"/{file}") and f"def {test}" in text for path, text in files.items())
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["docs/how-it-works.md", "CONTRIBUTING.md"])
def test_the_modules_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`((?:app|sandbox|tests|benchmarks)/[\w/.]+)`", Path(page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not Path(name).exists()] == []
