"""CloudEvents 1.0 in structured JSON: the event whole in `data`, what brokers route by around it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from app.domain.event import Event

SPEC_VERSION = "1.0"

#: Extension attributes: lower case letters, as the specification wants them, and only where there is a value.
_EXTENSIONS = {"provider": "provider", "category": "category", "outcome": "outcome"}


def to_cloudevent(event: Event) -> dict[str, Any]:
    """The event as a CloudEvent; `source` and `id` together are unique, as for the gateway's own events."""
    found: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": f"/sources/{quote(event.source, safe='')}",
        "type": event.type,
        "time": event.occurred_at,
        "datacontenttype": "application/json",
        "data": event,
    }
    if event.envelope is not None and event.envelope.id:
        found["subject"] = event.envelope.id
    for attribute, name in _EXTENSIONS.items():
        if value := getattr(event, name):
            found[attribute] = value
    return found
