"""How spans reach the collector: in batches, from a thread, and never at the cost of a request.

Where the collector is, how it is called and what is sampled is read from OpenTelemetry's variables by its own SDK.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from app.logs import describe_exception

FLUSH = 2.0  #: seconds for the last spans at shutdown; a collector that takes longer loses them

_log = structlog.get_logger("gateway.traces")


class Sending:
    """A provider of tracers whose spans are sent until `end`."""

    def __init__(self) -> None:
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before what we say of ourselves.
        own = Resource.create({SERVICE_NAME: "audit-gateway", SERVICE_VERSION: version("audit-gateway")})
        resource = own.merge(OTELResourceDetector().detect())
        # One of our own, not the process's global one: FastAPI and others would find that, and write into their spans
        # what nobody may see there.
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(_Telling(OTLPSpanExporter())))

    @classmethod
    def begun(cls) -> Sending | None:
        """None where the variables cannot be understood, which is told in the log: spans are worth no failed start."""
        # Its lines come with every batch, and quote the collector's URL and answer; `_Telling` says what matters, once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        try:
            return cls()
        except Exception as error:
            _log.warning("traces_off", **describe_exception(error))
            return None

    async def end(self) -> None:
        """Sends what has not been sent yet, for `FLUSH` seconds at most."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self.provider.shutdown()
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        # Not one of the loop's own threads: it would wait for those, however long they take.
        threading.Thread(target=send, name="traces-shutdown", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH):
                await sent.wait()
        except TimeoutError:
            _log.warning("traces_not_flushed", seconds=FLUSH)


class _Telling(SpanExporter):
    """Says in the log when the collector cannot be reached, and when it can be again; not each time between."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                _log.warning("traces_not_delivered", spans=len(spans))
            self._lost += len(spans)
        elif self._lost:
            _log.info("traces_delivered_again", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
