"""Traces (OpenTelemetry), an optional extra: whether they are wanted, and whether they can be had.

The variables are OpenTelemetry's own, read from the process's environment as by every program that has them; `.env` and
the TOML file have no part in it. Where none of them asks for traces, nothing that makes or sends them is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from app.spans import Spans

#: Where the collector is; the first goes before the second.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
INSTALL = "pip install 'audit-gateway[otel]'"

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"  #: the only one that the extra speaks
_EXPORTER = "OTEL_TRACES_EXPORTER"
_DISABLED = "OTEL_SDK_DISABLED"


def make_spans(environment: Mapping[str, str]) -> Spans | None:
    """What makes the spans; None where no collector is named, they are switched off, or the extra is not installed.
    They are sent once it is started."""
    if _wanted(environment) is None or _obstacle(environment) is not None:
        return None
    kind = _kind()
    return None if kind is None else kind()


def tracing_warnings(environment: Mapping[str, str]) -> list[str]:
    """One sentence for each reason why traces, though asked for, may not arrive."""
    if (variable := _wanted(environment)) is None:
        return []
    if (obstacle := _obstacle(environment)) is not None:
        return [f"{obstacle}: no traces are sent."]
    if _kind() is None:
        return [
            f"{variable} is set, but the extra for traces is not installed: none are sent. Install it with: {INSTALL}"
        ]
    for name in _PROTOCOLS:
        if environment.get(name, _PROTOCOL).strip().lower() != _PROTOCOL:
            return [f"{name}: traces are sent as {_PROTOCOL}, which is all that this gateway speaks."]
    return []


def _wanted(environment: Mapping[str, str]) -> str | None:
    """The variable that asks for traces."""
    exporter = environment.get(_EXPORTER, "").strip().lower()
    if environment.get(_DISABLED, "").strip().lower() == "true" or exporter == "none":
        return None
    return next((name for name in ENDPOINTS if environment.get(name)), None)


def _obstacle(environment: Mapping[str, str]) -> str | None:
    if environment.get(_EXPORTER, "").strip().lower() not in ("", "otlp"):
        return f"{_EXPORTER} must be otlp or none"
    variable = next(name for name in ENDPOINTS if environment.get(name))
    try:
        parts = urlsplit(environment[variable])
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    return None if good else f"{variable} must be a URL such as http://localhost:4318"


def _kind() -> type[Spans] | None:
    """The class that needs the extra; None where that is not installed."""
    try:
        return cast("type[Spans]", importlib.import_module("app.spans").Spans)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "app":
            raise
        return None
