"""The lock files hold what each Python that `requires-python` admits needs; pip refuses anything else with hashes."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock", *sorted((ROOT / "deploy").glob("*.lock"))]


def locked(path: Path) -> list[Requirement]:
    lines = re.findall(r"^([a-z0-9][^\\\n]*?) *\\?$", path.read_text(), flags=re.MULTILINE)
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("version", ["3.11.0", "3.11.2", "3.12.3", "3.13.1"])
@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_whole_for_every_python(path: Path, version: str) -> None:
    python = {**default_environment(), "python_full_version": version, "python_version": version.rpartition(".")[0]}
    held = [each for each in locked(path) if each.marker is None or each.marker.evaluate(python)]
    names = {canonicalize_name(each.name) for each in held}
    missing = set()
    for each in held:
        for text in _requires(each.name):
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({**python, "extra": ""}):
                missing |= {canonicalize_name(needed.name)} - names
    assert not missing
    assert len(names) >= 2


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []  # for another Python than this one
