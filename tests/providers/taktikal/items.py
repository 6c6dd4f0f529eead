"""Items of Taktikal's responses, for tests."""

from typing import Any

from app.providers.taktikal.models import body_of
from app.providers.taktikal.wire import Process, RawBody


def process_of(sent: dict[str, Any]) -> Process:
    """Return the process of a decoded item with a `processKey`."""
    delivered = RawBody(b"")
    delivered.items = [sent]
    body = body_of(sent)
    assert isinstance(body.process_key, str)
    return Process(body.process_key, body, delivered, 0)
