"""Traces by OpenTelemetry's own instrumentations (extra `otel`), for requests and for calls to the providers.

Endpoint, names and sampling are read from OpenTelemetry's variables by its SDK. Spans hold nothing that a caller or a
provider wrote: attributes outside of `ALLOWED` (URLs, queries, headers, texts of exceptions), events and status texts
are dropped before export. Providers do not receive the trace's context.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI

from app.logs import TRACE_SOURCES

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FLUSH = 2.0  #: seconds for the last spans at shutdown

#: Names of OpenTelemetry's semantic conventions for HTTP whose values are words of the protocol or of this gateway.
ALLOWED = frozenset({
    "http.request.method", "http.route", "http.response.status_code", "url.scheme", "network.protocol.version",
    "server.address", "server.port", "error.type", "http.request.resend_count",
})  # fmt: skip

_log = structlog.get_logger("gateway.traces")


def tracing_warnings(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for a setting that keeps traces, though configured, from being sent."""
    variable = _wanted(environment)
    if variable is None:
        return []
    if not environment[variable].startswith(("http://", "https://")):
        return [f"{variable} must be a URL such as http://localhost:4318: no traces are sent."]
    try:
        import opentelemetry.instrumentation.aiohttp_client
        import opentelemetry.instrumentation.fastapi  # noqa: F401
    except ImportError:
        return [f"{variable} is set, but no traces are sent; install the extra: pip install '.[otel]' in a checkout"]
    return []


def start_tracing(app: FastAPI, environment: Mapping[str, str]) -> Tracing | None:
    """Trace the application and its calls; None if no collector is set, or traces are off or cannot be sent."""
    if _wanted(environment) is None or tracing_warnings(environment):
        return None
    try:
        return Tracing(app)
    except Exception as error:  # OpenTelemetry refuses a variable; traces are not worth a failed start
        _log.warning("traces_off", error=type(error).__name__)
        return None


def _wanted(environment: Mapping[str, str]) -> str | None:
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if off or environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp"):
        return None
    return next((name for name in ENDPOINTS if environment.get(name)), None)


class Tracing:
    """Spans of one application, sent until `stop`."""

    def __init__(self, app: FastAPI) -> None:
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        from opentelemetry import propagate, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        class IncomingOnly(TraceContextTextMapPropagator):
            def inject(self, *_: Any, **__: Any) -> None:
                """Keep the context from the providers."""

        class FilteringExporter(OTLPSpanExporter):
            delivered = True

            def export(self, spans: Sequence[ReadableSpan]) -> Any:
                result = super().export([_filtered(span) for span in spans])
                if (result is SpanExportResult.SUCCESS) is not self.delivered:
                    self.delivered = not self.delivered
                    _log.warning("traces_delivered_again" if self.delivered else "traces_not_delivered")
                return result

        def current_trace() -> Mapping[str, str] | None:
            context = trace.get_current_span().get_span_context()
            if not context.is_valid:
                return None
            ids = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
            return {"trace_id": ids[0], "span_id": ids[1]}

        # Its lines quote the collector's URL and response.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        own = Resource.create({"service.name": "audit-gateway", "service.version": version("audit-gateway")})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(FilteringExporter()))
        propagate.set_global_textmap(IncomingOnly())
        FastAPIInstrumentor.instrument_app(app, tracer_provider=self._provider, exclude_spans=["receive", "send"])
        AioHttpClientInstrumentor().instrument(tracer_provider=self._provider)
        TRACE_SOURCES[:] = [current_trace]

    async def stop(self) -> None:
        """Send the last spans, for FLUSH seconds at most; a collector that takes longer loses them."""
        thread = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH)


def _filtered(span: Any) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status

    def bare(context: Any) -> Any:
        # Without `tracestate`, which is any text that the caller likes.
        return context and SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)

    # A request's server address is its Host header, the caller's own text.
    allowed = ALLOWED - {"server.address", "server.port"} if span.kind is SpanKind.SERVER else ALLOWED
    attributes = {name: value for name, value in (span.attributes or {}).items() if name in allowed}
    route = attributes.get("http.route")
    return ReadableSpan(
        # An instrumentation may name a span by its path, which is a caller's own text.
        name=f"{attributes.get('http.request.method', 'HTTP')}{f' {route}' if route else ''}",
        context=bare(span.context), parent=bare(span.parent), resource=span.resource, attributes=attributes,
        kind=span.kind, status=Status(span.status.status_code), start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip
