"""The tools of `make clients`: npm's in `node_modules`, Python's in `.venv-clients`. A test whose tool is missing is
skipped.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DOCUMENT = ROOT / "openapi" / "openapi.json"
RELEASED = ROOT / "openapi" / "released.json"  #: the document of the last release, which `make release-document` renews
NODE_MODULES = HERE / "node_modules"
PYTHON = ROOT / ".venv-clients" / "bin" / "python"

_MISSING = "is not installed; run `make clients`"


def node() -> str:
    """Node.js, 20 or later."""
    found = shutil.which("node")
    if found is None:
        pytest.skip(f"node {_MISSING}")
    return found


def npm_tool(name: str) -> str:
    """A command of one of the packages in `package.json`."""
    node()
    found = NODE_MODULES / ".bin" / name
    if not found.exists():
        pytest.skip(f"{name} {_MISSING}")
    return str(found)


def npm_package(name: str) -> None:
    """A package in `package.json` that has no command."""
    if not (NODE_MODULES / name).exists():
        pytest.skip(f"{name} {_MISSING}")


def python_tool(name: str) -> str:
    """A command of one of the packages in `requirements.txt`."""
    found = PYTHON.with_name(name)
    if not found.exists():
        pytest.skip(f"{name} {_MISSING}")
    return str(found)


def generator() -> str:
    """openapi-generator, which needs Java."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed, which openapi-generator needs")
    return python_tool("openapi-generator-cli")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a tool: openapi-python-client needs `ruff` on the path; loopback needs no proxy."""
    path = os.pathsep.join([str(PYTHON.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", **(extra or {})}


def call(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output. A failure fails the test, with the output and the errors."""
    done = subprocess.run(
        command, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
