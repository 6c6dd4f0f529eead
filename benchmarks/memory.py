"""What one process holds: when nobody asks, and with many pages of 1,000 events under way at once."""

from __future__ import annotations

from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import history
from benchmarks.load import load
from benchmarks.pairs import Report

_MB = 1_000_000


def measure(*, quick: bool) -> Report:
    report = Report("Memory of one process")
    account = history("taktikal", 2_000 if quick else 100_000)
    counts, seconds = ((1, 2), 0.3) if quick else ((1, 32, 48), 5.0)
    target = f"/events?{urlencode(account.window | {'limit': '1000'})}"
    rows = []
    with serving.mock(account.folder) as mock, serving.gateway(serving.taktikal_settings(mock.url)) as gateway:
        rows.append(["idle, after its first page", f"{_after_a_page(gateway) / _MB:.0f}"])
        for in_flight in counts:
            gateway.forget_peak()
            load(gateway, [target], connections=in_flight, seconds=seconds)
            rows.append([f"{in_flight} pages of 1,000 at once", f"{gateway.peak() / _MB:.0f}"])
    report.table(["under way", "resident, MB, at its peak"], rows, shown=True)
    return report


def _after_a_page(gateway: serving.Server) -> int:
    gateway.get("/events?limit=100")
    gateway.forget_peak()
    return gateway.peak()
