"""The benchmarks run, and fail aloud where the gateway answers wrongly. No timing is judged; counts are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_with_a_tiny_budget_prints_every_table_and_its_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--no-peers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for heading in (
        "Normalizing: bytes to bytes",
        "A page of 100 events",
        "Bulk: all events of a window",
        "Providers that take 100 ms a call",
        "32 callers who ask the same",
        "Targets",
    ):
        assert f"### {heading}\n" in done.stdout
    per_page = re.search(r"Upstream calls per page: ([\d.]+)", done.stdout)
    assert per_page is not None
    assert 1 <= float(per_page[1]) < 2
    # 1,000 events in pages of 50, and what the contract allows beyond, in two categories.
    further = re.search(r"^\| a further page \|.* (\d+) \|$", done.stdout, re.M)
    assert further is not None
    assert 20 <= int(further[1]) <= 24
    asked = re.search(r"not asked for yet: (\d+) by one caller, (\d+) by 32 at once", done.stdout)
    assert asked is not None
    assert asked[1] == asked[2]
