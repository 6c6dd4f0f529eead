"""Bugs of the engine, planted one at a time: a test detects each."""

import subprocess
import sys

from tests.paging.planted_bugs import BUGS, ROOT


def test_each_planted_bug_is_detected() -> None:
    command = [sys.executable, "-m", "tests.paging.planted_bugs"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.endswith(f"{len(BUGS)} of {len(BUGS)} bugs detected\n"), result.stdout + result.stderr
