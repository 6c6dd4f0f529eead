"""Prometheus metrics of one forwarder, and the listener that serves them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from app.domain.errors import ConfigurationError

_LAG = "Age of the time up to which every matching event was accepted."


class ForwardMetrics:
    """`through` returns the time (seconds since 1970) up to which every matching event was accepted."""

    def __init__(self, target: str, through: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        events = Counter("gateway_forward_events", "Events that the receiver accepted.", ["target"], registry=registry)
        batches = Counter("gateway_forward_batches", "Batches accepted.", ["target"], registry=registry)
        failures = Counter("gateway_forward_failures", "Failed attempts.", ["target", "side"], registry=registry)
        unreadable = Counter(
            "gateway_forward_unreadable_records", "Records left out, unreadable.", ["target"], registry=registry
        )
        lag = Gauge("gateway_forward_lag_seconds", _LAG, ["target"], registry=registry)
        lag.labels(target).set_function(lambda: max(0.0, time.time() - through()))
        self._events, self._batches = events.labels(target), batches.labels(target)
        self._unreadable = unreadable.labels(target)
        self._failures = {side: failures.labels(target, side) for side in ("gateway", "receiver")}

    def accepted(self, events: int) -> None:
        self._events.inc(events)
        self._batches.inc()

    def unreadable(self, records: int) -> None:
        self._unreadable.inc(records)

    def failed(self, side: str) -> None:
        self._failures[side].inc()


def serve_metrics(address: str, registry: CollectorRegistry) -> None:
    """Serve on `HOST:PORT` or `:PORT` (all addresses) in a thread. Raises ConfigurationError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError("--metrics must be HOST:PORT, such as 127.0.0.1:9464.")
    try:
        start_http_server(int(port), host.strip("[]") or "0.0.0.0", registry)
    except OSError as error:
        raise ConfigurationError(f"--metrics: {address} cannot be listened on ({error.strerror}).") from None
