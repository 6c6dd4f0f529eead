"""Formats of `GET /events/export`: pure functions from an event to a line. NDJSON, CSV and CloudEvents are here.

`docs/reference/formats.md` describes the mappings field by field; a test compares the two.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from app.api.exports import ecs, ocsf
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


#: After any blanks, controls and invisible characters: what begins a formula in some spreadsheet, in its plain and its
#: full-width form, and the minus that is no hyphen. `|` and `%` start one in no program of today.
_DANGEROUS = re.compile(
    "(?:[\\s\x00-\x20\x7f-\xa0\xad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb])*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b]"
)
#: Controls that a spreadsheet may drop or take for the end of a cell.
_CONTROLS = ("\t", "\r", "\n", "\0", "'")


#: Columns in the file's order, named like their fields. New columns are only added at the end.
_FIELDS = (
    "id", "occurred_at", "source", "provider", "category", "type", "outcome", "provider_type", "provider_id",
    "description", "actor.kind", "actor.id", "actor.name", "actor.email", "envelope.id", "envelope.name",
    "envelope.status", "envelope.owner", "envelope.flow_id", "envelope.workspace_id", "envelope.sequence_id",
    "recipient.id", "recipient.name", "recipient.email", "recipient.phone", "recipient.national_id",
    "recipient.signature_type", "delivery.channel", "delivery.status", "delivery.purpose", "user_agent", "data", "raw",
    "target.kind", "target.id", "target.name", "target.email",
)  # fmt: skip
COLUMNS = tuple(field.replace(".", "_") for field in _FIELDS)


#: The part of the event with the field, or None for the event itself, and the field's name.
_PATHS = [field.rpartition(".")[::2] for field in _FIELDS]


def _value(event: Event, part: str, name: str) -> str:
    value = getattr(getattr(event, part) if part else event, name, None)
    if isinstance(value, str):
        return value
    return "" if value in (None, {}) else encode(value).decode()


def neutral(text: str) -> str:
    """Return `text` in a form that no spreadsheet executes as a formula: with a leading apostrophe, also if it begins
    with one, so that removing one leading apostrophe restores every value."""
    return f"'{text}" if text.startswith(_CONTROLS) or _DANGEROUS.match(text) else text


def to_row(event: Event) -> bytes:
    """Return one row of CSV (RFC 4180), CRLF included, in UTF-8."""
    return _csv_row([neutral(_value(event, *path)) for path in _PATHS])


def _csv_row(values: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)
    # Half a surrogate pair has no UTF-8, and readers of C strings stop at NUL: both are escaped as in JSON.
    return line.getvalue().replace("\0", "\\u0000").encode(errors="backslashreplace")


_CSV_HEADER = _csv_row(COLUMNS)


_NDJSON = "application/x-ndjson"

FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        Format("ndjson", _NDJSON, "ndjson", _ndjson, tells_its_end=True, join_all=_ndjson_lines),
        Format("csv", "text/csv; charset=utf-8", "csv", to_row, _CSV_HEADER),
        Format("ocsf", _NDJSON, "ocsf.ndjson", _line_of(ocsf.to_ocsf)),
        Format("cloudevents", _NDJSON, "cloudevents.ndjson", _line_of(to_cloudevent)),
        Format("ecs", _NDJSON, "ecs.ndjson", _line_of(ecs.to_ecs)),
    )
}
