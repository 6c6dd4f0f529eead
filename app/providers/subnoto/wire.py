"""Subnoto's answers as they come over the wire, in both generations that its documents show.

| | tutorial | reference page and SDK |
| --- | --- | --- |
| total | `totalCount` | `pagination.totalRecords` |
| author | `{id, email, name}` | `{uuid, email, name}` |
| timestamp | "unix timestamp": seconds or milliseconds, told apart by magnitude | |
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from app.domain.errors import SourceFailed
from app.domain.times import SECOND, parse_vendor_ticks
from app.providers.untrusted import MAX_KEY, read_json


class LogRow:
    """One record of the log. `time` in µs; `bad` where it cannot be read: it keeps its place, and is counted."""

    __slots__ = ("bad", "body", "time")

    def __init__(self, body: dict[str, Any], time: int, bad: bool) -> None:
        self.body, self.time, self.bad = body, time, bad


class LogPage(msgspec.Struct):
    """One page: its rows in the order sent, and the number of all rows that match the call."""

    rows: list[LogRow]
    total: int
    shape: str  #: which generation's total it carried
    author: str = ""  #: which of an author's members names it
    unit: str = ""  #: of `timestamp`


class VendorError(msgspec.Struct):
    """What an error answer says. `code` is one of the vendor's words, `request_id` what its support asks for."""

    code: str | None
    request_id: str | None


def decode_page(body: bytes) -> LogPage:
    """Raises SourceFailed where the answer is not a page of logs."""
    found = read_json(body)
    answer = found.value
    logs = answer.get("logs") if isinstance(answer, dict) else None
    if not isinstance(logs, list):
        raise SourceFailed("the provider's answer holds no list of logs")
    total, shape = _total(answer)
    rows: list[LogRow] = []
    time = 0
    for item in logs:
        moment = _time(item.get("timestamp")) if isinstance(item, dict) else None
        bad = moment is None or not _is_key(item.get("eventType")) or not found.usable(item)
        bad = bad or any(isinstance(item.get(name), str) and not _is_key(item[name]) for name in _KEYS)
        # A record without a readable time stands where its neighbours stand.
        time = time if moment is None else moment
        rows.append(LogRow(item if isinstance(item, dict) else {"record": item}, time, bad))
    for row, following in zip(reversed(rows[:-1]), reversed(rows), strict=False):
        if row.bad and row.time == 0:
            row.time = following.time
    first = next((row.body for row in rows if not row.bad), {})
    author = first.get("author")
    kind = next((name for name in ("uuid", "id") if isinstance(author, dict) and name in author), "")
    return LogPage(rows, total, shape, kind, _unit(first.get("timestamp")))


_KEYS = ("envelopeUuid", "workspaceUuid")


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_KEY


def _unit(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return "seconds" if value < 10**11 else "milliseconds" if value < 10**14 else "microseconds"


def _total(answer: dict[str, Any]) -> tuple[int, str]:
    pagination = answer.get("pagination")
    if isinstance(pagination, dict) and _is_count(pagination.get("totalRecords")):
        return pagination["totalRecords"], "pagination"
    if _is_count(answer.get("totalCount")):
        return answer["totalCount"], "totalCount"
    raise SourceFailed("the provider's answer names no total (neither totalCount nor pagination.totalRecords)")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _time(value: Any) -> int | None:
    """µs of a "unix timestamp". Seconds until the year 5138 stay below 10^11, milliseconds since 1973 above it."""
    if isinstance(value, str):
        # Numbers first: `fromisoformat` takes 1712011501234 for a day in 1712.
        try:
            value = int(value) if value.isascii() and value.isdigit() else float(value)
        except ValueError:
            try:
                return parse_vendor_ticks(value) // 10
            except (ValueError, OverflowError):
                return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    for bound, per_unit in ((10**11, SECOND), (10**14, 1000), (10**17, 1)):
        if value < bound:
            # A float of seconds holds its digits only as the nearest double: round to what was written.
            return value * per_unit if isinstance(value, int) else int(round(value * per_unit, 3))
    return None


def decode_error(body: bytes) -> VendorError:
    """Never raises: an error answer may be anything."""
    try:
        answer = read_json(body).value
    except SourceFailed:
        return VendorError(None, None)
    if not isinstance(answer, dict):
        return VendorError(None, None)
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    request_id = answer.get("requestId")
    return VendorError(
        code if isinstance(code, str) else None, request_id[:128] if isinstance(request_id, str) else None
    )
