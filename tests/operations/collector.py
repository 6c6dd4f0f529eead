"""A collector of traces that records the OTLP requests that it gets over HTTP."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.listening import answering, send
from tests.waiting import wait_until

KINDS = {1: "internal", 2: "server", 3: "client"}
ERROR = 2


@dataclass(frozen=True)
class Span:
    """One received span, ids in hexadecimal; `parent` is empty for a root."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    message: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    url: str = ""
    paths: list[str] = field(default_factory=list)  #: of all requests, traces or not
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        self.bodies.append(body)
        if path == "/v1/traces":
            self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))

    def until(self, is_complete: Callable[[list[Span]], bool]) -> None:
        """Wait for spans, which the exporter sends in batches."""
        wait_until(lambda: is_complete(self.spans))


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    def take(request: BaseHTTPRequestHandler, body: bytes) -> None:
        collector.take(request.path, gzip.decompress(body) if request.headers["content-encoding"] == "gzip" else body)
        send(request, b"", content_type="application/x-protobuf")

    with answering(take) as address:
        collector.url = f"http://{address}"
        yield collector


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    failed=span.status.code == ERROR,
                    message=span.status.message,
                    attributes=_plain(span.attributes),
                    resource=_plain(resource.resource.attributes),
                )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
