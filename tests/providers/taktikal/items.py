"""Items of Taktikal's answers, for tests."""

from __future__ import annotations

from typing import Any

from app.providers.taktikal.sent import body_of
from app.providers.taktikal.wire import Delivered, Process


def process_of(sent: dict[str, Any]) -> Process:
    """The process that a decoded item is, which names a `processKey`; whatever else it holds."""
    delivered = Delivered(b"")
    delivered.items = [sent]
    body = body_of(sent)
    assert isinstance(body.process_key, str)
    return Process(body.process_key, body, delivered, 0)
