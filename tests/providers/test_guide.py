"""`docs/guides/adding-a-provider.md`, followed from the published text in a temporary checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.providers.base import CallBudget, CommonSettings
from app.providers.kit import FetchedPage, PageRequest
from tests.contract.example import ADAPTER, FILES, GUIDE, PROVIDER

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"^(?:make|\.venv/bin/python) .*", GUIDE, re.MULTILINE)
NEEDED = (
    "app", "sandbox", "tests/contract", "tests/conftest.py", "tests/__init__.py", "clients", "docs", "mkdocs.yml",
    "openapi", "pyproject.toml", "requirements-dev.lock", "Makefile",
)  # fmt: skip


def test_the_guides_adapter_has_at_most_100_lines() -> None:
    assert len(FILES[ADAPTER].splitlines()) <= 100


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the checks read, with the same `.venv`."""
    for name in NEEDED:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy2(ROOT / name, target)
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", tmp_path / ".mypy_cache")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    return tmp_path


def test_a_provider_made_by_the_guide_passes_all_checks(checkout: Path) -> None:
    for name, text in FILES.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    assert len(COMMANDS) == 3
    # The virtual environment exists: `make` must not set it up again.
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    for command in COMMANDS:
        ended = subprocess.run(
            command.replace("make ", "make --old-file=.venv/.ready ").split(),
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    assert re.search(r"^\.{30,} ", ended.stdout, re.MULTILINE), "no tests were run"
    for written in ("openapi/openapi.json", "docs/reference/configuration.md", "docs/reference/event-types.md"):
        assert "signbox" in (checkout / written).read_text().lower(), written


async def test_the_probe_counts_records_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreadable(request: PageRequest) -> FetchedPage:
        return FetchedPage([{"id": 1}, {"id": 2}], None, 2)

    source = PROVIDER.from_environment({"SIGNBOX_API_KEY": "key"}, CommonSettings())
    assert source is not None
    monkeypatch.setattr(source, "fetch", unreadable)
    found = {result.topic: result.found for result in await source.probe(CallBudget())}
    await source.aclose()
    assert found["records"] == "2 of 2 records cannot be read"
