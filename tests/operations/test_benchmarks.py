"""The benchmarks run: their mock ends them at an unknown call."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.serving import ROOT


def test_a_quick_benchmark_of_both_vendors_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "latency", "--quick"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Subnoto events") == 4
    assert done.stdout.count("Taktikal events") == 2
