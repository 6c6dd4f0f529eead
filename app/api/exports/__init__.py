"""Formats of `GET /events/export`: pure functions from an event to a line. NDJSON and CloudEvents are here.

`docs/reference/formats.md` describes the mappings field by field; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from app.api.exports import csv, ecs, ocsf
from app.api.rendering import encode, one_line
from app.domain.event import Event


def to_cloudevent(event: Event) -> dict[str, Any]:
    """Return the event as a CloudEvent 1.0 in structured JSON: the whole event in `data`, and attributes for routing.
    `source` and `id` together are unique."""
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/sources/{quote(event.source, safe='')}",
        "type": event.type,
        "time": event.occurred_at,
        "datacontenttype": "application/json",
        "data": event,
    }
    if event.envelope is not None and event.envelope.id:
        found["subject"] = event.envelope.id
    # Extension attributes in lower case, as specified, and only with a value.
    extensions = {"provider": event.provider, "category": event.category, "outcome": event.outcome}
    return found | {name: value for name, value in extensions.items() if value}


class Format(msgspec.Struct, frozen=True):
    """One format. `lines` returns the bytes of events, each with its line end; `header` goes before the first.

    `has_last_line`: the last line contains the export's state. Standard formats have no place for it, so an incomplete
    response is cut instead."""

    name: str
    media_type: str
    extension: str
    lines: Callable[[Sequence[Event]], bytes]
    header: bytes = b""
    has_last_line: bool = False


_ENCODER = msgspec.json.Encoder()


def _ndjson(events: Sequence[Event]) -> bytes:
    try:
        return one_line(_ENCODER.encode_lines(events))  # faster than one by one
    except UnicodeEncodeError:  # see `encode`
        return b"".join(encode(event) + b"\n" for event in events)


def _lines_of(convert: Callable[[Event], dict[str, Any]]) -> Callable[[Sequence[Event]], bytes]:
    return lambda events: b"".join(encode(convert(event)) + b"\n" for event in events)


_NDJSON = "application/x-ndjson"

FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        Format("ndjson", _NDJSON, "ndjson", _ndjson, has_last_line=True),
        Format("csv", "text/csv; charset=utf-8", "csv", csv.to_rows, csv.HEADER),
        Format("ocsf", _NDJSON, "ocsf.ndjson", _lines_of(ocsf.to_ocsf)),
        Format("cloudevents", _NDJSON, "cloudevents.ndjson", _lines_of(to_cloudevent)),
        Format("ecs", _NDJSON, "ecs.ndjson", _lines_of(ecs.to_ecs)),
    )
}
