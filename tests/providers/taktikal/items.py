"""Items of Taktikal's answers, for tests."""

from typing import Any

from app.providers.taktikal.models import body_of
from app.providers.taktikal.wire import Process, RawBody


def process_of(sent: dict[str, Any]) -> Process:
    """The process that a decoded item is, which names a `processKey`; whatever else it holds."""
    delivered = RawBody(b"")
    delivered.items = [sent]
    body = body_of(sent)
    assert isinstance(body.process_key, str)
    return Process(body.process_key, body, delivered, 0)
