"""`python -m benchmarks`: where the gateway stands, from one run. `--help` lists the parts."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bulk, hot, latency, memory, normalize, pages
from benchmarks.pairs import Report, table
from benchmarks.serving import ROOT

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures the gateway; see docs/performance.md."
    )
    parser.add_argument("part", nargs="*", help="normalize, pages, bulk, memory, latency, hot; default: all")
    parser.add_argument("--quick", action="store_true", help="a tiny budget: shows that it works, and measures nothing")
    parser.add_argument("--no-peers", action="store_true", help="bulk: only the gateway")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="replace the measured section of this page, and the figures"
    )
    given = parser.parse_args()
    parts: dict[str, Callable[[], Report]] = {
        "normalize": lambda: normalize.measure(quick=given.quick),
        "pages": lambda: pages.measure(quick=given.quick),
        "bulk": lambda: bulk.measure(quick=given.quick, peers=not given.no_peers),
        "memory": lambda: memory.measure(quick=given.quick),
        "latency": lambda: latency.measure(quick=given.quick),
        "hot": lambda: hot.measure(quick=given.quick),
    }
    if unknown := [name for name in given.part if name not in parts]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    if given.write and (given.part or given.quick):
        parser.error("--write takes the whole, and not the quick, run")
    print(machine(), flush=True)
    reports = []
    for name in given.part or parts:
        begun = time.monotonic()
        reports.append(parts[name]())
        print(f"\n{reports[-1].text()}\n({name}: {time.monotonic() - begun:.0f} s)", flush=True)
    print("\n" + targets(reports))
    if given.write:
        write(given.write, reports)


def machine() -> str:
    """On what it is measured."""
    info = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*: (.+)", info)
    cores = f"{os.cpu_count()} cores of {found[1] if found else platform.machine()}"
    state = f"commit {_git('rev-parse', '--short', 'HEAD') or 'unknown'}"
    state += " with changes" if _git("status", "--porcelain", "app") else ""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"Measured on {time.strftime('%Y-%m-%d')}: {cores}, {platform.system()} {platform.release()}"
        f", Python {platform.python_version()} {interpreter_build()}, {state};"
        f" load averages at the beginning: {load}."
    )


def interpreter_build() -> str:
    """How the interpreter was built. One with profile-guided optimization takes 0.87 of the time of one without."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    names = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}
    found = [name for option, name in names.items() if option in options]
    return f"(built with {' and '.join(found) or 'neither PGO nor LTO'})"


def _git(*arguments: str) -> str:
    """What git answers; nothing outside a repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def targets(reports: list[Report]) -> str:
    """The targets beside what was measured."""
    header = ["what", "target", "median (least..most)", ""]
    rows = [target.row() for report in reports for target in report.targets]
    return "\n".join(["### Targets", "", *table(header, rows)]) + "\n"


def write(page: Path, reports: list[Report]) -> None:
    """Replace what stands between the two marks of the page: the targets, and the tables with absolute figures."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise SystemExit(f"{page} has no section between {_BEGIN} and {_END}")
    figures = [report.text() for report in reports if report.figures]
    parts = [_BEGIN, machine(), targets(reports), *figures, _END]
    page.write_text(before + "\n\n".join(part.strip() for part in parts) + after)


if __name__ == "__main__":
    main()
