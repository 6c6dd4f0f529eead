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
    """One format. `line` returns the bytes of one event with its line end, `join_all` those of several if that is
    faster; `header` goes before the first.

    `tells_its_end`: the last line contains the export's state. Standard formats have no place for it, so an incomplete
    response is cut instead."""

    name: str
    media_type: str
    extension: str
    line: Callable[[Event], bytes]
    header: bytes = b""
    tells_its_end: bool = False
    join_all: Callable[[Sequence[Event]], bytes] | None = None

    def lines(self, events: Sequence[Event]) -> bytes:
        """Return the lines of several events."""
        return b"".join(map(self.line, events)) if self.join_all is None else self.join_all(events)


_ENCODER = msgspec.json.Encoder()


def _ndjson(event: Event) -> bytes:
    return encode(event) + b"\n"


def _ndjson_lines(events: Sequence[Event]) -> bytes:
    try:
        return one_line(_ENCODER.encode_lines(events))
    except UnicodeEncodeError:  # see `encode`
        return b"".join(map(_ndjson, events))


def _line_of(convert: Callable[[Event], dict[str, Any]]) -> Callable[[Event], bytes]:
    return lambda event: encode(convert(event)) + b"\n"


_NDJSON = "application/x-ndjson"

FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        Format("ndjson", _NDJSON, "ndjson", _ndjson, tells_its_end=True, join_all=_ndjson_lines),
        Format("csv", "text/csv; charset=utf-8", "csv", csv.to_row, csv.HEADER),
        Format("ocsf", _NDJSON, "ocsf.ndjson", _line_of(ocsf.to_ocsf)),
        Format("cloudevents", _NDJSON, "cloudevents.ndjson", _line_of(to_cloudevent)),
        Format("ecs", _NDJSON, "ecs.ndjson", _line_of(ecs.to_ecs)),
    )
}
