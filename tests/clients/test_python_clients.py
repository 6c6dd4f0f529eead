"""The clients that are generated for Python: type-checked strictly, and used against a running gateway."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.story import Stage
from tests.clients.tools import DOCUMENT, HERE, PYTHON, call, generator, python_tool


def openapi_python_client(folder: Path) -> None:
    command = python_tool("openapi-python-client")
    output = str(folder / "gateway_client")
    call(command, "generate", "--path", str(DOCUMENT), "--meta", "none", "--output-path", output, cwd=folder)


def openapi_generator_python(folder: Path) -> None:
    package = "packageName=gateway_client"
    command = [generator(), "generate", "-i", str(DOCUMENT), "-g", "python", "--library", "httpx"]
    call(*command, "--additional-properties", package, "-o", str(folder), cwd=folder)


@pytest.mark.parametrize("generate", [openapi_python_client, openapi_generator_python])
def test_it_lives_through_the_story(generate: Callable[[Path], None], stage: Stage, tmp_path: Path) -> None:
    generate(tmp_path)
    shutil.copy(HERE / "drivers" / f"{generate.__name__}.py", tmp_path / "driver.py")
    # Strict in the user's own code; of the generated code only the signatures count.
    strictly = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
    call(
        sys.executable, "-m", "mypy", *strictly, "--python-executable", str(PYTHON), "driver.py",
        cwd=tmp_path, env={"MYPYPATH": str(tmp_path)},
    )  # fmt: skip
    told = call(str(PYTHON), "-W", "error", "driver.py", cwd=tmp_path, env=stage.env)
    stage.check(told)
