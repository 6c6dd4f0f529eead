"""Memory of one process, and the latency of its health check, during many or large pages of 1,000 events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import quantiles
from urllib.parse import urlencode

from app.api.api_keys import ApiKey, hash_of
from benchmarks import serving
from benchmarks.histories import history
from benchmarks.load import load
from benchmarks.pairs import Report, Spread

MB = 1_000_000
SCOPES = {"all": {"events:read", "pii:read"}, "masked": {"events:read"}}  #: of the keys
KEYS = "\n".join(ApiKey(name, hash_of(name), frozenset(scopes)).line() for name, scopes in SCOPES.items())
#: By concurrent pages and key: the largest 99th percentile of health checks, in milliseconds.
WAITS = {(1, "all"): 20, (1, "masked"): 25, (8, "all"): 60, (32, "all"): None, (48, "all"): None}
#: Bytes of numbers in each record, the key, and the page. Masks examine each number, up to a bound of a record.
LARGE = (
    (400_000, "all", "a page of 1,000 over records of 400 kB"),
    (1_000_000, "masked", "a masked page over texts of 1 MB"),
)


def measure(*, quick: bool) -> Report:
    report = Report("Memory of one process")
    account, seconds = history("taktikal", 2_000 if quick else 100_000), 0.3 if quick else 5.0
    target = f"/events?{urlencode(account.window | {'limit': '1000'})}"
    with (
        serving.mock(account.folder) as mock,
        serving.gateway(serving.account("taktikal", mock) | {"GATEWAY_API_KEYS": KEYS}) as gateway,
    ):
        gateway = replace(gateway, key="all")
        gateway.get("/events?limit=100")
        gateway.forget_peak()
        for (count, key), bound in list(WAITS.items())[: 3 if quick else None]:
            gateway.forget_peak()
            with timed_health_checks(gateway) as latencies:
                load(replace(gateway, key=key), [target], connections=count, seconds=seconds)
            what = f"{count} {key} pages of 1,000 at once".replace(" all ", " ")
            if bound is not None:
                label = f"`/health/live`, ms, 99th percentile during {what}"
                report.at_most(label, bound, Spread.of(_percentile(latencies)))
        report.at_most(f"MB at the peak of {what}", 150, Spread.of(gateway.peak() / MB))
    for provider in ("taktikal", "subnoto"):
        large = history(provider, 2_000)
        for padding, key, what in LARGE:
            with (
                serving.mock(large.folder, padding=padding) as mock,
                serving.gateway(serving.account(provider, mock) | {"GATEWAY_API_KEYS": KEYS}) as gateway,
            ):
                gateway = replace(gateway, key=key)
                with timed_health_checks(gateway) as latencies:
                    gateway.read(f"/events?{urlencode(large.window | {'limit': '1000'})}")
                if key == "all":
                    report.at_most(f"MB at the peak of {what}, {provider}", 200, Spread.of(gateway.peak() / MB))
                else:
                    label = f"`/health/live`, ms, 99th percentile during {what}, {provider}"
                    report.at_most(label, 100, Spread.of(_percentile(latencies)))
    return report


def _percentile(latencies: list[float]) -> float:
    """The 99th percentile, in ms."""
    return 1000 * quantiles(latencies, n=100, method="inclusive")[98]


@contextmanager
def timed_health_checks(gateway: serving.Server) -> Iterator[list[float]]:
    """Measure the seconds of each health check while the block runs."""
    latencies: list[float] = []
    is_done = threading.Event()

    def check() -> None:
        while not is_done.wait(0.01):
            latencies.append(gateway.seconds("/health/live"))

    checker = threading.Thread(target=check)
    checker.start()
    try:
        yield latencies
    finally:
        is_done.set()
        checker.join()
