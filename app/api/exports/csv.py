"""RFC 4180: a header, one row an event, CRLF, UTF-8; with `bom=true` after a byte order mark.

Spreadsheets execute formulas. A value that one might take for a formula gets a leading apostrophe; so does a value that
begins with an apostrophe, so that removing one leading apostrophe restores every value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from app.api.rendering import encode
from app.domain.event import Event

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
    """Return `text` in a form that no spreadsheet executes. Removing one leading apostrophe restores it."""
    return f"'{text}" if text.startswith(_CONTROLS) or _DANGEROUS.match(text) else text


def to_rows(events: Iterable[Event]) -> bytes:
    """Return one row for each event, CRLF included."""
    return _rows([neutral(_value(event, *path)) for path in _PATHS] for event in events)


def _rows(rows: Iterable[Iterable[str]]) -> bytes:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    # Half a surrogate pair has no UTF-8, and readers of C strings stop at NUL: both are escaped as in JSON.
    return lines.getvalue().replace("\0", "\\u0000").encode(errors="backslashreplace")


HEADER = _rows([COLUMNS])
