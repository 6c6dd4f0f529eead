"""Item 6: how the latency of a first page grows with the history, and with the callers who ask at the same time."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.bulk import PEERS
from benchmarks.histories import NOW, history
from benchmarks.load import load
from benchmarks.pairs import Report
from benchmarks.serving import ROOT

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CALLERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_PROVIDERS = {"taktikal": serving.taktikal_settings, "subnoto": serving.subnoto_settings}


def measure(*, quick: bool, images: Path | None = None) -> Report:
    """With `images`, the figures are written into that folder."""
    report = Report("Growth")
    sizes, callers = (SIZES[:2], CALLERS[:2]) if quick else (SIZES, CALLERS)
    providers = ("subnoto",) if quick else tuple(_PROVIDERS)
    by_size = {name: [_first_page(name, size, 1 if quick else 25) for size in sizes] for name in providers}
    _tell(report, "events in the history", sizes, by_size)
    by_callers = {name: _by_callers(name, callers, 0.1 if quick else 2.0) for name in providers}
    _tell(report, "callers at a time", callers, by_callers)
    if images is not None:
        _draw(report, images / "growth-history.svg", "events in the history", sizes, by_size)
        _draw(report, images / "growth-callers.svg", "callers at a time", callers, by_callers)
    return report


def _page() -> str:
    """The first page of a window that ends in the middle of the history: its place has to be found."""
    ends = {"since": NOW - timedelta(days=40), "until": NOW - timedelta(days=20)}
    return f"/events?{urlencode({name: f'{end:%Y-%m-%dT%H:%M:%SZ}' for name, end in ends.items()} | {'limit': '100'})}"


def _first_page(provider: str, events: int, times: int) -> float:
    """The median seconds of a first page."""
    account = history(provider, events)
    with serving.mock(account.folder) as mock, serving.gateway(_uncached(provider, mock.url)) as gateway:
        assert gateway.get(_page())["data"]
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            gateway.read(_page())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _by_callers(provider: str, callers: Sequence[int], seconds: float) -> list[float]:
    """The median seconds of a first page, while so many ask for one."""
    account = history(provider, 10_000)
    with serving.mock(account.folder) as mock, serving.gateway(_uncached(provider, mock.url)) as gateway:
        gateway.get(_page())
        # At least some answers for each caller, however slow the machine is.
        return [
            load(gateway, [_page()], connections=number, seconds=seconds * max(1, number / 32)).median
            for number in callers
        ]


def _uncached(provider: str, url: str) -> dict[str, str]:
    return _PROVIDERS[provider](url) | {"GATEWAY_PAGE_CACHE": "0"}


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The exponent of growth: least squares on logarithmic axes. 0 is constant, 1 is linear."""
    return statistics.linear_regression([math.log(x) for x in xs], [math.log(y) for y in ys]).slope


def _tell(report: Report, what: str, xs: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    rows = [
        [f"{name}: median ms of a first page", *(f"{y * 1000:,.1f}" for y in ys), f"{slope(xs, ys):.2f}"]
        for name, ys in curves.items()
    ]
    report.table([what, *(f"{x:,}" for x in xs), "slope"], rows)


def _draw(report: Report, path: Path, what: str, xs: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    if not PEERS.exists():
        report.say(f"**`{path.name}` was not drawn: `.venv-bench` is not there. `make bench-peers` makes it.**")
        return
    named = {f"{name} (slope {slope(xs, ys):.2f})": [y * 1000 for y in ys] for name, ys in curves.items()}
    with TemporaryDirectory(prefix="bench-") as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"x": list(xs), "label": what, "curves": named}))
        subprocess.run([str(PEERS), str(ROOT / "benchmarks" / "peers" / "plot.py"), str(job), str(path)], check=True)
