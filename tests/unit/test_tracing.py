"""Whether traces are wanted and can be had; and several observers at once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import Any

import pytest

from app.api.metrics import Metrics
from app.providers.observer import NoObserver, Observer, Observers, Part
from app.tracing import make_spans, tracing_warnings

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
URL = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({"OTEL_SERVICE_NAME": "gateway"}, False),
        ({ENDPOINT: URL}, True),
        ({TRACES: f"{URL}/v1/traces"}, True),
        ({ENDPOINT: URL, "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: URL, "OTEL_SDK_DISABLED": " TRUE "}, False),
        ({ENDPOINT: URL, "OTEL_SDK_DISABLED": "false"}, True),
        ({ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_when_they_are_on(environment: dict[str, str], on: bool) -> None:
    assert (make_spans(environment) is not None) == on
    assert tracing_warnings(environment) == []


@pytest.mark.parametrize(
    ("environment", "word", "on"),
    [
        ({ENDPOINT: "collector:4318"}, ENDPOINT, False),
        ({ENDPOINT: "grpc://collector:4317"}, ENDPOINT, False),
        ({ENDPOINT: URL, TRACES: "http://"}, TRACES, False),
        ({ENDPOINT: "http://collector:port"}, ENDPOINT, False),
        ({ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER", False),
        ({ENDPOINT: URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf", True),
    ],
)
def test_what_is_warned_of(environment: dict[str, str], word: str, on: bool) -> None:
    (warning,) = tracing_warnings(environment)
    assert word in warning
    assert (make_spans(environment) is not None) == on


def test_nothing_that_traces_is_imported_where_nobody_asks_for_it() -> None:
    # Other parts of the SDK may be: redis has a use for its metrics.
    program = (
        "import sys, app.assembly, app.cli.serving\n"
        "TRACES = ('app.spans', 'app.trace_export', 'opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
        "assert app.assembly.make_spans({}) is None and app.assembly.tracing_warnings({}) == []\n"
        "print([name for name in sys.modules if name.startswith(TRACES)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class Watch(NoObserver):
    """Everything that it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    @contextmanager
    def part(self, name: Part) -> Any:
        self.told.append(("begin", name))
        yield
        self.told.append(("end", name))

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *given: self.told.append((name, *given))
        return super().__getattribute__(name)


def test_several_observers_are_told_the_same() -> None:
    first, second = Watch(), Watch()
    told: Observer = Observers(first, second, NoObserver(), Metrics())
    with told.part("page"):
        told.on_attempt("main", "GET", ("provider.example", 443), 0)
        told.on_call("main", "503", 0.1)
        told.on_retry("main", "503")
        told.on_refused("main", "pause")
        told.on_circuit("main", "open")
        told.on_bad_records("main", 2)
        told.on_kept("main", True)
    assert first.told == second.told
    assert [name for name, *_ in first.told] == [
        "begin", "on_attempt", "on_call", "on_retry", "on_refused", "on_circuit", "on_bad_records", "on_kept",
        "end",
    ]  # fmt: skip
    assert {name for name in vars(Observer) if not name.startswith("_")} == {"part", *(n for n, *_ in first.told[1:-1])}
