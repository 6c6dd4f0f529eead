"""The documentation's generated parts are current, and every setting is described."""

from __future__ import annotations

import subprocess
import sys

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
