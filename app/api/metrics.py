"""The gateway's Prometheus metrics.

Labels are route templates, HTTP methods, statuses, source names and the words of `app.providers.base`: sets that
neither callers nor providers can enlarge. With several worker processes (PROMETHEUS_MULTIPROC_DIR, set by
`serve --workers`) each returns the metrics of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

from app.api.request_log import RequestLog
from app.providers.observer import CircuitState, Observer, Outcome, Refusal

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

M = TypeVar("M", Counter, Gauge, Histogram)

_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_STATES: tuple[CircuitState, ...] = ("closed", "open", "half_open")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics(Observer):
    """The counters of one application; an `app.providers.observer.Observer`, too."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        if not os.environ.get(MULTIPROCESS_VARIABLE):
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)

        # By labels. The library would join and look up the labels each time, under a lock: 5 % of a cached page.
        def labeled(kind: type[M], name: str, text: str, *labels: str, **options: Any) -> Callable[..., M]:
            return cache(kind(f"gateway_{name}", text, labels, registry=registry, **options).labels)

        counter, seconds = partial(labeled, Counter), partial(labeled, Histogram, buckets=_SECONDS)
        gauge = partial(labeled, Gauge)
        info = gauge("build_info", "1, with the version.", "version", multiprocess_mode="livemax")
        info(version("audit-gateway")).set(1)
        text = "Requests by status of the response; hung_up: the caller disconnected."
        self._requests = counter("requests", text, "method", "route", "status")
        self._seconds = seconds("request_seconds", "Seconds until the end of the response.", "route")
        self.under_way = gauge("requests_under_way", "Requests in progress.", "kind", multiprocess_mode="livesum")
        self._events = counter("events_delivered", "Events delivered to callers.", "source")
        text = "Requested totals; outcome hit: from the cache."
        self._totals = counter("totals", text, "source", "outcome")
        text = "Attempts at calls to a provider, by outcome."
        self._calls = counter("source_calls", text, "source", "outcome")
        self._call_seconds = seconds("source_call_seconds", "Seconds until the end of a call to a provider.", "source")
        text = "Retries of calls, by the outcome of the previous attempt."
        self._retries = counter("source_retries", text, "source", "reason")
        self._refused = counter("source_refused", "Calls that the gateway did not make.", "source", "reason")
        text = "Processes whose circuit to the source is in this state."
        self._circuit = gauge("source_circuit", text, "source", "state", multiprocess_mode="livesum")
        self._bad_records = counter("bad_records", "Unreadable records of a provider.", "source")
        text = "Cacheable first pages, by source; outcome hit: from the cache."
        self._page_cache = counter("page_cache", text, "source", "outcome")
        text = "1 while the shared state of the replicas is available, by store."
        self._shared_up = gauge("shared_state_up", text, "store", multiprocess_mode="livemin")

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        directory = os.environ.get(MULTIPROCESS_VARIABLE)
        if not directory:
            return generate_latest(self._registry)
        for file in Path(directory).glob("gauge_live*.db"):
            # Gauges of ended worker processes would still be added.
            try:
                os.kill(int(file.stem.rpartition("_")[2]), 0)
            except ProcessLookupError:
                file.unlink(missing_ok=True)
            except PermissionError:
                pass  # alive, of another user
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def end_request(self, kind: str, method: str, route: str, status: int, seconds: float, log: RequestLog) -> None:
        """Count a request. `status` 0: no response."""
        self.under_way(kind).dec()
        known = method if method in _METHODS else "OTHER"
        self._requests(known, route, str(status) if status else "hung_up").inc()
        self._seconds(route).observe(seconds)
        for source, count in log.delivered.items():
            self._events(source).inc(count)
        for source, cached in log.totals:
            self._totals(source, "hit" if cached else "miss").inc()

    def on_page_cache(self, sources: Iterable[str], hit: bool) -> None:
        """Count a first page from the page cache (`hit`) or for it. Not called if the cache is off."""
        for source in sources:
            self._page_cache(source, "hit" if hit else "miss").inc()

    # ---- app.providers.observer.Observer -------------------------------------------------------------------------

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        # Statuses of a provider outside 100 to 599 share one label.
        is_known = not outcome.isdigit() or (len(outcome) == 3 and "100" <= outcome <= "599")
        self._calls(source, outcome if is_known else "other").inc()
        self._call_seconds(source).observe(seconds)

    def on_retry(self, source: str, reason: Outcome) -> None:
        self._retries(source, reason).inc()

    def on_refused(self, source: str, reason: Refusal) -> None:
        self._refused(source, reason).inc()

    def on_circuit(self, source: str, state: CircuitState) -> None:
        for each in _STATES:
            self._circuit(source, each).set(each == state)

    def on_bad_records(self, source: str, count: int) -> None:
        self._bad_records(source).inc(count)

    def on_shared_state(self, up: bool) -> None:
        # With a label, so that it is absent without shared state.
        self._shared_up("redis").set(up)
