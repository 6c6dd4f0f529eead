"""The clients that are generated for TypeScript: compiled strictly, and used against a running gateway."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.story import Stage
from tests.clients.tools import DOCUMENT, HERE, NODE_MODULES, call, generator, node, npm_tool


def openapi_generator_fetch(folder: Path) -> None:
    output = str(folder / "generated")
    call(generator(), "generate", "-i", str(DOCUMENT), "-g", "typescript-fetch", "-o", output, cwd=folder)


def openapi_fetch(folder: Path) -> None:
    call(npm_tool("openapi-typescript"), str(DOCUMENT), "--output", str(folder / "generated.d.ts"), cwd=folder)


def hey_api(folder: Path) -> None:
    output = str(folder / "generated")
    call(npm_tool("openapi-ts"), "-i", str(DOCUMENT), "-o", output, "--client", "@hey-api/client-fetch", cwd=folder)


@pytest.mark.parametrize("generate", [openapi_generator_fetch, openapi_fetch, hey_api])
def test_it_lives_through_the_story(generate: Callable[[Path], None], stage: Stage, tmp_path: Path) -> None:
    compiler = npm_tool("tsc")
    generate(tmp_path)
    drivers = HERE / "drivers"
    for name in ("settings.ts", "tsconfig.json"):
        shutil.copy(drivers / name, tmp_path)
    shutil.copy(drivers / f"{generate.__name__}.ts", tmp_path / "main.ts")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    call(compiler, "--project", "tsconfig.json", cwd=tmp_path)
    stage.check(call(node(), "built/main.js", cwd=tmp_path, env=stage.env))
