"""The documentation's generated parts are current, every setting is described, and the tests that it names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from app.settings import Settings


def test_generated_parts_are_current() -> None:
    # In a process of its own: the page of the command line needs Typer without Rich, chosen at import.
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
        for page in ("docs/security.md", "docs/reliability.md")
        for file, test in named.findall(Path(page).read_text(encoding="utf-8"))
        if not any(f"/{path}".endswith(f"/{file}") and f"def {test}" in text for path, text in files.items())
    ]
    assert missing == []
