"""`docs/security.md` names tests: those that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
FILES = {file.name: file for file in (ROOT / "tests").rglob("test_*.py")}


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"(test_\w+\.py)(?:::(test_\w+)(\*?))?", DOCUMENT)
    assert len(named) > 30
    for file, function, open_end in named:
        assert file in FILES, file
        if function:
            wanted = rf"def {function}" + (r"\w*\(" if open_end else r"\(")
            assert re.search(wanted, FILES[file].read_text(encoding="utf-8")), f"{file}::{function}"


def test_all_ten_risks_are_walked() -> None:
    assert [int(number) for number in re.findall(r"^\| API(\d+) ", DOCUMENT, re.MULTILINE)] == list(range(1, 11))


def test_every_setting_that_it_names_exists() -> None:
    from app.config import Settings

    for name in set(re.findall(r"GATEWAY_([A-Z_]+)", DOCUMENT)):
        assert name.lower() in Settings.model_fields, name
