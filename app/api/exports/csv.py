"""RFC 4180: a header, one row an event, CRLF, UTF-8; with `bom=true` after a byte order mark.

Spreadsheets run what looks like a formula. A value that one of them might take for one gets an apostrophe in front;
so does a value that begins with an apostrophe, so that who takes one leading apostrophe away has every value as it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from app.api.rendering import encode
from app.domain.event import Event

#: After any blanks, controls and invisible characters: what begins a formula in some spreadsheet, in its plain and its
#: full-width form, and the minus that is no hyphen. `|` and `%` start one in no program of today.
_DANGEROUS = re.compile(
    "(?:[\\s\x00-\x20\x7f-\xa0\xad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb])*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b]"
)
#: Controls that a spreadsheet may drop or take for the end of a cell, however the value goes on.
_CONTROLS = ("\t", "\r", "\n", "\0", "'")


def _json(value: Any) -> str:
    return "" if value in (None, {}) else encode(value).decode()


def _part(part: str, name: str) -> Callable[[Event], str]:
    def read(event: Event) -> str:
        holder = getattr(event, part)
        return "" if holder is None else getattr(holder, name) or ""

    return read


def _own(name: str) -> Callable[[Event], str]:
    return lambda event: getattr(event, name) or ""


#: Column and value, in the file's order. Columns are only ever added, at the end.
COLUMNS: dict[str, Callable[[Event], str]] = {
    **{
        name: _own(name)
        for name in (
            "id", "occurred_at", "source", "provider", "category", "type", "outcome", "provider_type", "provider_id",
            "description",
        )
    },
    **{f"actor_{name}": _part("actor", name) for name in ("kind", "id", "name", "email")},
    **{
        f"envelope_{name}": _part("envelope", name)
        for name in ("id", "name", "status", "owner", "flow_id", "workspace_id", "sequence_id")
    },
    **{
        f"recipient_{name}": _part("recipient", name)
        for name in ("id", "name", "email", "phone", "national_id", "signature_type")
    },
    **{f"delivery_{name}": _part("delivery", name) for name in ("channel", "status", "purpose")},
    "user_agent": _own("user_agent"),
    "data": lambda event: _json(event.data),
    "raw": lambda event: _json(event.raw),
    **{f"target_{name}": _part("target", name) for name in ("kind", "id", "name", "email")},
}  # fmt: skip


def neutral(text: str) -> str:
    """`text`, so that no spreadsheet takes it for a formula. Take one leading apostrophe away to undo it."""
    return f"'{text}" if text.startswith(_CONTROLS) or _DANGEROUS.match(text) else text


def to_row(event: Event) -> bytes:
    """One row, CRLF included."""
    return _row([neutral(read(event)) for read in COLUMNS.values()])


def _row(values: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)
    # Half a surrogate pair has no UTF-8, and readers of C strings stop at NUL: both are written as JSON would.
    return line.getvalue().replace("\0", "\\u0000").encode(errors="backslashreplace")


HEADER = _row(list(COLUMNS))
