"""What one process holds: when nobody asks, and with many pages of 1,000 events under way at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import history
from benchmarks.load import load
from benchmarks.pairs import Report, Spread, Target

_MB = 1_000_000
_LARGE = 400_000  #: bytes


def measure(*, quick: bool) -> Report:
    report = Report("Memory of one process")
    account = history("taktikal", 2_000 if quick else 100_000)
    counts, seconds = ((1, 2), 0.3) if quick else ((1, 32, 48), 5.0)
    target = f"/events?{urlencode(account.window | {'limit': '1000'})}"
    rows = []
    with serving.mock(account.folder) as mock, serving.gateway(serving.taktikal_settings(mock.url)) as gateway:
        rows.append(["idle, after its first page", f"{_after_a_page(gateway) / _MB:.0f}", "-"])
        for in_flight in counts:
            gateway.forget_peak()
            with _watched(gateway) as waits:
                load(gateway, [target], connections=in_flight, seconds=seconds)
            peak, slowest = gateway.peak() / _MB, f"{1000 * max(waits):.0f}"
            rows.append([f"{in_flight} pages of 1,000 at once", f"{peak:.0f}", slowest])
        report.targets.append(_at_most(f"MB at the peak of {in_flight} pages of 1,000 at once", 150, peak))
    for provider, settings in (("taktikal", serving.taktikal_settings), ("subnoto", serving.subnoto_settings)):
        large = history(provider, 2_000)
        first = f"/events?{urlencode(large.window | {'limit': '1000'})}"
        with serving.mock(large.folder, padding=_LARGE) as mock, serving.gateway(settings(mock.url)) as gateway:
            with _watched(gateway) as waits:
                body = gateway.read(first)
            held = f"a page of 1,000 over records of 400 kB, {provider}: {len(body) / _MB:.0f} MB"
            peak = gateway.peak() / _MB
            rows.append([held, f"{peak:.0f}", f"{1000 * max(waits):.0f}"])
            report.targets.append(_at_most(f"MB at the peak of {held}", 200, peak))
    report.table(["under way", "resident, MB, at its peak", "`/health/live`, ms, at the slowest"], rows, shown=True)
    return report


def _at_most(what: str, bound: float, measured: float) -> Target:
    return Target(what, bound, Spread(measured, measured, measured))


@contextmanager
def _watched(gateway: serving.Server) -> Iterator[list[float]]:
    """The seconds that each answer to a health check takes while the block runs."""
    waits: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            begun = time.perf_counter()
            gateway.read("/health/live")
            waits.append(time.perf_counter() - begun)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield waits
    finally:
        over.set()
        watcher.join()


def _after_a_page(gateway: serving.Server) -> int:
    gateway.get("/events?limit=100")
    gateway.forget_peak()
    return gateway.peak()
