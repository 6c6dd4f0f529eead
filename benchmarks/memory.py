"""Memory of one process, and how long its health check waits: idle, and during many or large pages of 1,000 events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import quantiles
from urllib.parse import urlencode

from app.api.api_keys import ApiKey, hash_of
from benchmarks import serving
from benchmarks.histories import history
from benchmarks.load import load
from benchmarks.pairs import Report, Spread, Target

_MB = 1_000_000
_LARGE = 400_000  #: bytes
_SCOPES = {"all": {"events:read", "pii:read"}, "masked": {"events:read"}}  #: of the keys, by name
_KEYS = "\n".join(ApiKey(name, hash_of(name), frozenset(scopes)).line() for name, scopes in _SCOPES.items())
#: By pages at once and the key: the most milliseconds that 99 of 100 health checks may take.
_WAITS = {(1, "all"): 20, (1, "masked"): 25, (8, "all"): 60}


def measure(*, quick: bool) -> Report:
    report = Report("Memory of one process")
    account = history("taktikal", 2_000 if quick else 100_000)
    seconds = 0.3 if quick else 5.0
    counts = [(1, "all"), (1, "masked"), (8, "all"), *([] if quick else [(32, "all"), (48, "all")])]
    target = f"/events?{urlencode(account.window | {'limit': '1000'})}"
    rows = []
    env = {"GATEWAY_API_KEYS": _KEYS}
    with serving.mock(account.folder) as mock, serving.gateway(serving.taktikal_settings(mock.url) | env) as gateway:
        gateway = replace(gateway, key="all")
        rows.append(["idle, after its first page", f"{_after_a_page(gateway) / _MB:.0f}", "-", "-"])
        for in_flight, key in counts:
            gateway.forget_peak()
            with _watched(gateway) as waits:
                load(replace(gateway, key=key), [target], connections=in_flight, seconds=seconds)
            peak, what = gateway.peak() / _MB, f"{in_flight} {key} pages of 1,000 at once"
            rows.append([what.replace(" all ", " "), f"{peak:.0f}", *_shown(waits)])
            if (in_flight, key) in _WAITS:
                label = f"`/health/live`, ms, 99th percentile during {what}".replace(" all ", " ")
                report.targets.append(_at_most(label, _WAITS[in_flight, key], _percentile(waits)))
        report.targets.append(_at_most(f"MB at the peak of {in_flight} pages of 1,000 at once", 150, peak))
    for provider, settings in (("taktikal", serving.taktikal_settings), ("subnoto", serving.subnoto_settings)):
        large = history(provider, 2_000)
        first = f"/events?{urlencode(large.window | {'limit': '1000'})}"
        with serving.mock(large.folder, padding=_LARGE) as mock, serving.gateway(settings(mock.url)) as gateway:
            with _watched(gateway) as waits:
                body = gateway.read(first)
            held = f"a page of 1,000 over records of 400 kB, {provider}: {len(body) / _MB:.0f} MB"
            peak = gateway.peak() / _MB
            rows.append([held, f"{peak:.0f}", *_shown(waits)])
            report.targets.append(_at_most(f"MB at the peak of {held}", 200, peak))
    header = ["concurrent work", "peak resident memory, MB", "`/health/live`, ms, 99th percentile", "at the slowest"]
    report.table(header, rows)
    return report


def _at_most(what: str, bound: float, measured: float) -> Target:
    return Target(what, bound, Spread(measured, measured, measured))


def _percentile(waits: list[float]) -> float:
    """The 99th percentile, in ms."""
    return 1000 * quantiles(waits, n=100, method="inclusive")[98]


def _shown(waits: list[float]) -> list[str]:
    return [f"{_percentile(waits):.0f}", f"{1000 * max(waits):.0f}"]


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
