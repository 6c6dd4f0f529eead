"""Measure the gateway: `python -m benchmarks [PART…]`; see docs/performance.md."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sysconfig
import time
from pathlib import Path

from benchmarks import bulk, latency, memory, normalize, pages, upstream
from benchmarks.pairs import Report, table, write
from benchmarks.serving import ROOT

PARTS = {
    "normalize": normalize.measure, "pages": pages.measure, "bulk": bulk.measure, "memory": memory.measure,
    "latency": latency.measure, "hot": pages.measure_hot, "upstream": upstream.measure,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a small budget, only to test the benchmark")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the measured section of this page")
    given = parser.parse_args()
    if given.write and (given.part or given.quick):
        parser.error("--write needs all parts, and not --quick")
    if given.write and not bulk.PEERS.exists():
        parser.error("--write needs the comparison programs: make bench-peers")
    print(machine(), flush=True)
    reports: list[Report] = []
    for name in given.part or PARTS:
        reports.append(PARTS[name](quick=given.quick))
        print(f"\n{reports[-1]}", flush=True)
    rows = [row for report in reports for row in report.targets]
    targets = "\n".join(["### Targets", "", *table(["what", "target", "median (least..most)", ""], rows)])
    floors = [row for report in reports for row in report.floors]
    least = "\n".join(
        ["### The least", "", *table(["what", "decode, sort, encode", "without promises", "gateway"], floors)]
    )
    print(f"{targets}\n\n{least}")
    if given.write:
        write(
            given.write,
            "measured",
            [machine(), targets, least, *(str(each) for each in reports if each.figures)],
        )


def machine() -> str:
    """The machine, the interpreter and the commit. A PGO build takes 0.87 of the time of one without."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimizations = [name for option, name in (("--enable-opt", "PGO"), ("--with-lto", "LTO")) if option in options]
    state = f"{_git('rev-parse', '--short', 'HEAD')}{' with changes' if _git('status', '--porcelain', 'app') else ''}"
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores of {found[1] if found else 'unknown'},"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}"
        f" (built with {' and '.join(optimizations) or 'neither PGO nor LTO'}), commit {state}; load averages: {load}."
    )


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
