"""One request as spans: its own, the parts that the feed makes of it, and each call to a provider.

Imported only where traces are sent (`app.tracing`): it needs the extra `otel`. The names of attributes are those of
OpenTelemetry's semantic conventions for HTTP; what they have no name for begins with `gateway.`.

No span holds what a caller or a provider wrote: no path, query, header, body, or text of an exception. So `url.path`
and `url.full`, which the conventions ask for, are left out. The providers are not told of the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from importlib.metadata import version

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from starlette.types import Scope

from app.logs import TRACE
from app.providers.observer import NoObserver, Outcome, Part, Refusal
from app.trace_export import Sending

REQUEST_ID = "gateway.request_id"
CODE = "gateway.code"  #: of the problem that was answered
EVENTS = "gateway.events"  #: that went out
SOURCE = "gateway.source"
PROVIDER = "gateway.provider"
REASON = "gateway.reason"

_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"))
_PROPAGATOR = TraceContextTextMapPropagator()

_request: ContextVar[RequestSpan | None] = ContextVar("request_span", default=None)
_attempt: ContextVar[Span | None] = ContextVar("attempt_span", default=None)


class RequestSpan:
    """The span of one request; current, as OpenTelemetry has it, until `end`, which must be called in the same task."""

    def __init__(self, span: Span, method: str) -> None:
        self.span, self._method = span, method
        self.is_stream = False
        self._current = otel.attach(trace.set_span_in_context(span, Context()))
        self._own: Token[RequestSpan | None] = _request.set(self)
        found = span.get_span_context()
        ids = {"trace_id": trace.format_trace_id(found.trace_id), "span_id": trace.format_span_id(found.span_id)}
        self._trace = TRACE.set(ids)

    def become_stream(self) -> None:
        """The answer has no end of its own: what is read for it from now on is a trace of its own each time."""
        self.is_stream = True

    def end(self, route: str | None, status: int, code: str | None, events: int | None, *, cut: bool) -> None:
        """`route` None: no path of ours; `status` 0: there was no answer; `cut`: it broke off."""
        span = self.span
        if route is not None:
            span.update_name(f"{self._method} {route}")
            span.set_attribute(HTTP_ROUTE, route)
        if status:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if code is not None:
            span.set_attribute(CODE, code)
        if events is not None:
            span.set_attribute(EVENTS, events)
        if status >= 500 or cut:
            span.set_status(Status(StatusCode.ERROR))
        if status >= 500 or status == 0 or cut:
            span.set_attribute(ERROR_TYPE, code or str(status or "hung_up"))
        span.end()
        TRACE.reset(self._trace)
        _request.reset(self._own)
        otel.detach(self._current)

    @property
    def has_ended(self) -> bool:
        return isinstance(self.span, ReadableSpan) and self.span.end_time is not None


class Spans(NoObserver):
    """Makes the spans, and sends them between `start` and `stop`; an `app.providers.observer.Observer`."""

    def __init__(self) -> None:
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._sending: Sending | None = None
        self._providers: Mapping[str, str] = {}

    def start(self, providers: Mapping[str, str]) -> None:
        """`providers`: the vendor of each source, by its name."""
        self._providers = providers
        self._sending = Sending.begun()
        if self._sending is not None:
            self._tracer = self._tracer_of(self._sending.provider)

    async def stop(self) -> None:
        """Sends what is left, for a short time at most."""
        if self._sending is not None:
            await self._sending.end()

    @staticmethod
    def _tracer_of(provider: TracerProvider) -> trace.Tracer:
        return provider.get_tracer("audit-gateway", version("audit-gateway"))

    # ---- requests ------------------------------------------------------------------------------------------------

    def begin_request(self, scope: Scope, request_id: str) -> RequestSpan:
        """A span for this request, below the caller's own where its `traceparent` names one."""
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes: dict[str, AttributeValue] = {
            HTTP_REQUEST_METHOD: method,
            URL_SCHEME: scope["scheme"],
            NETWORK_PROTOCOL_VERSION: scope["http_version"],
            REQUEST_ID: request_id,
        }
        name = method if method in _METHODS else "HTTP"
        span = self._tracer.start_span(name, _caller_of(scope), SpanKind.SERVER, attributes)
        return RequestSpan(span, name)

    # ---- app.providers.observer.Observer -------------------------------------------------------------------------

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        request = _request.get()
        context, links = None, list[Link]()
        if request is not None and (request.is_stream or request.has_ended):
            # What listeners share goes on under whoever began it, for hours: no trace should grow like that.
            context, links = Context(), [Link(request.span.get_span_context())]
        with self._tracer.start_as_current_span(
            f"feed.{name}", context, links=links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                # Its own text may quote anybody; the type does not.
                span.set_attribute(ERROR_TYPE, str(getattr(error, "code", type(error).__name__)))
                if isinstance(error, Exception):
                    span.set_status(Status(StatusCode.ERROR))
                raise

    def on_attempt(self, source: str, method: str, server: tuple[str, int | None], retry: int) -> None:
        host, port = server
        attributes: dict[str, AttributeValue] = {
            HTTP_REQUEST_METHOD: method,
            SERVER_ADDRESS: host,
            SOURCE: source,
            PROVIDER: self._providers.get(source, "unknown"),
        }
        if port is not None:
            attributes[SERVER_PORT] = port
        if retry:
            attributes[HTTP_REQUEST_RESEND_COUNT] = retry
        _attempt.set(self._tracer.start_span(f"{method} {source}", kind=SpanKind.CLIENT, attributes=attributes))

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        if (span := _attempt.get()) is None:
            return
        _attempt.set(None)
        is_status = outcome.isascii() and outcome.isdigit()
        if is_status:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, int(outcome))
        if not is_status or int(outcome) >= 400:
            span.set_attribute(ERROR_TYPE, outcome)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def on_refused(self, source: str, reason: Refusal) -> None:
        trace.get_current_span().add_event("gateway.refused", {SOURCE: source, REASON: reason})


def _caller_of(scope: Scope) -> Context:
    # `tracestate` is left out: it is any text that the caller likes, and would go to the collector. So is a second
    # `traceparent`, of which nobody can say whether it is the right one.
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    carrier = {"traceparent": found[0].decode("latin-1")} if len(found) == 1 else {}
    return _PROPAGATOR.extract(carrier, Context())
