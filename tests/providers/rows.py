"""Rows of Subnoto's log, made by hand."""

from typing import Any

from app.providers.subnoto.wire import LogRow, RawBody, sent_of


def row_of(item: dict[str, Any], time: int, bad: bool) -> LogRow:
    """The row of a decoded record, whatever it holds."""
    delivered = RawBody(b"")
    delivered.logs = [item]
    return LogRow(sent_of(item), time, bad, delivered, 0)
