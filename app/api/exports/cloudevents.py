"""CloudEvents 1.0 in structured JSON: the whole event in `data`, and attributes for routing."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from app.domain.event import Event

SPEC_VERSION = "1.0"

#: Extension attributes in lower case, as specified, and only with a value.
_EXTENSIONS = {"provider": "provider", "category": "category", "outcome": "outcome"}


def to_cloudevent(event: Event) -> dict[str, Any]:
    """Return the event as a CloudEvent; `source` and `id` together are unique."""
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
