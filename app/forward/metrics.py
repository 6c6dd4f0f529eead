"""Prometheus metrics of one forwarder, and the listener that serves them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from app.domain.errors import ConfigurationError


class ForwardMetrics:
    """`through` returns the time (seconds since 1970) up to which every matching event was accepted."""

    def __init__(self, target: str, through: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._target = target

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, ["target", *labels], registry=self.registry)

        self._events = counter("gateway_forward_events_total", "Events that the receiver accepted.").labels(target)
        self._batches = counter("gateway_forward_batches_total", "Batches that the receiver accepted.").labels(target)
        self._failures = counter("gateway_forward_failures_total", "Attempts that failed, by side.", "side")
        for side in ("gateway", "receiver"):
            self._failures.labels(target, side)
        self._last = Gauge(
            "gateway_forward_last_accepted_timestamp_seconds",
            "When the receiver last accepted a batch.",
            ["target"],
            registry=self.registry,
        )
        lag = Gauge(
            "gateway_forward_lag_seconds",
            "Age of the time up to which every matching event was accepted.",
            ["target"],
            registry=self.registry,
        )
        lag.labels(target).set_function(lambda: max(0.0, time.time() - through()))

    def accepted(self, events: int) -> None:
        self._events.inc(events)
        self._batches.inc()
        self._last.labels(self._target).set_to_current_time()

    def failed(self, side: str) -> None:
        self._failures.labels(self._target, side).inc()


def serve_metrics(address: str, registry: CollectorRegistry) -> None:
    """Serve on `HOST:PORT` or `:PORT` (all addresses) in a thread. Raises ConfigurationError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError("--metrics must be HOST:PORT, such as 127.0.0.1:9464.")
    try:
        start_http_server(int(port), host.strip("[]") or "0.0.0.0", registry)
    except OSError as error:
        raise ConfigurationError(f"--metrics: {address} cannot be listened on ({error.strerror}).") from None
