"""Subnoto's wire format, in both generations of its documents.

| | tutorial | reference page and SDK |
| --- | --- | --- |
| total | `totalCount` | `pagination.totalRecords` |
| author | `{id, email, name}` | `{uuid, email, name}` |
| timestamp | "unix timestamp": seconds or milliseconds, distinguished by magnitude | |
"""

from __future__ import annotations

import math
import re
from functools import cached_property
from itertools import takewhile
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.errors import SourceFailed
from app.domain.times import DAY, SECOND, now_micros, parse_vendor_ticks
from app.providers.http.lenient_json import MAX_KEY, count_in, read_json

_Text = str | None
_Key = Annotated[str, msgspec.Meta(max_length=MAX_KEY)] | None
_Scalar = str | int | float | bool | None


class Author(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The author of a record, with `uuid` or `id`, depending on the generation."""

    uuid: _Scalar | UnsetType = UNSET
    id: _Scalar | UnsetType = UNSET
    email: _Text = None
    name: _Text = None


#: Values of at most twelve levels. The decoder checks this for nothing; a scan of the body takes half its time again.
_Data: Any = _Scalar
for _ in range(12):
    _Data = dict[str, _Data] | list[_Data] | str | int | float | bool | None


class Sent(msgspec.Struct, rename="camel", gc=False, forbid_unknown_fields=True):
    """The members of a record that the gateway reads; `raw` has the rest."""

    event_type: _Key = None
    timestamp: _Scalar = None
    event_data: _Data = None
    author: Author | None = None
    envelope_uuid: _Key = None
    workspace_uuid: _Key = None
    category: _Text | UnsetType = UNSET  #: unset after decoding


class _Answer(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A page of the documented members and of few levels; any other is decoded item by item."""

    logs: list[Sent]
    pagination: dict[str, _Scalar] | None = None
    total_count: _Scalar = msgspec.field(name="totalCount", default=None)


_DECODER = msgspec.json.Decoder(_Answer)
#: A signee key of Taktikal, which with the process key is a signing link: people put such links into titles and notes.
_SIGNEE_KEY, _IN_ANY_CASE = re.compile(rb"si[0-9a-f]{32}"), re.compile(rb"si[0-9a-f]{32}", re.IGNORECASE)


class RawBody:
    """The records of one page as delivered, decoded only for `raw`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def logs(self) -> list[Any]:
        logs: list[Any] = msgspec.json.decode(self._body)["logs"]
        return logs


class LogRow(msgspec.Struct, gc=False):
    """One record of the log, the `index`-th of its page. `time` in µs; `bad` if it is unreadable: it keeps its
    place, and is counted. Without a time, it has its neighbours'; None if no row of its page has one."""

    sent: Sent
    time: int | None
    bad: bool
    delivered: RawBody
    index: int

    def same_as(self, other: LogRow) -> bool:
        """Whether both rows contain equal records."""
        return self.sent == other.sent

    def content(self) -> Sent:
        """Return the record's members that the gateway reads."""
        return self.sent

    @property
    def body(self) -> dict[str, Any]:
        """Return the record as delivered."""
        body: dict[str, Any] = self.delivered.logs[self.index]
        return body


class LogPage(msgspec.Struct):
    """One page: its rows in the order sent, and the number of all rows that match the call."""

    rows: list[LogRow]
    total: int
    shape: str  #: the generation of its total
    author: str = ""  #: the author's id member
    unit: str = ""  #: of `timestamp`
    has_next: bool | None = None  #: whether another page follows, by `pagination.nextPage`; None if not sent
    number: int | None = None  #: of the page, by `pagination.currentPage`
    #: The server refuses the page. It may be beyond the end, for which the vendor documents no response.
    refusal: SourceFailed | None = None
    categories: frozenset[Any] = frozenset()  #: that the records name


class VendorError(msgspec.Struct):
    """An error response. `code` is the vendor's, `request_id` is for its support."""

    code: str | None
    request_id: str | None


#: The vendor's product is newer: an earlier time is a defect.
EARLIEST = 946_684_800 * SECOND
#: Largest distance of a time into the future.
_AHEAD = DAY


def decode_page(body: bytes, now: int | None = None) -> LogPage:
    """Return the page in a response body received at `now` (µs); without rows for an empty body (204) and `null`.

    Raises SourceFailed for any other body that is not a page of logs.

    A record whose time is before 2000 or later than a day from now is unreadable."""
    now, body = now_micros() if now is None else now, without_signee_keys(body)
    if body.strip() in (b"", b"null"):
        return LogPage([], 0, "")
    try:
        answer = _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _decode_leniently(body, now)
    return _page(answer, RawBody(body), None, now)


def without_signee_keys(body: bytes) -> bytes:
    """Return a JSON body with `***` for each signee key of Taktikal, in any letter case."""
    # Without IGNORECASE, the search takes a seventh of the time, and most pages have no key.
    return body if _SIGNEE_KEY.search(body.lower()) is None else _IN_ANY_CASE.sub(b"***", body)


def _decode_leniently(body: bytes, now: int) -> LogPage:
    found = read_json(body)
    answer = found.value
    logs = answer.get("logs") if isinstance(answer, dict) else None
    if not isinstance(logs, list):
        raise SourceFailed("the provider's answer holds no list of logs")
    delivered = RawBody(b"")
    delivered.logs = [item if isinstance(item, dict) else {"record": item} for item in logs]
    sent = [sent_of(item) for item in delivered.logs]
    usable = [
        isinstance(item, dict)
        and found.usable(item)
        and all(len(key or "") <= MAX_KEY for key in (one.event_type, one.envelope_uuid, one.workspace_uuid))
        for item, one in zip(logs, sent, strict=True)
    ]
    return _page(_Answer(sent, answer.get("pagination"), answer.get("totalCount")), delivered, usable, now)


def _page(answer: _Answer, delivered: RawBody, usable: list[bool] | None, now: int) -> LogPage:
    total, shape = _total(answer)
    # A lenient answer may have anything in its place.
    pagination: Any = answer.pagination if isinstance(answer.pagination, dict) else {}
    has_next = None if "nextPage" not in pagination else pagination["nextPage"] is not None
    number = count_in(pagination.get("currentPage"))
    categories = frozenset([sent.category for sent in answer.logs])
    rows: list[LogRow] = []
    time: int | None = None
    last = now + _AHEAD
    for index, sent in enumerate(answer.logs):
        stamp, sent.category = sent.timestamp, UNSET
        # Nearly always milliseconds.
        moment = stamp * 1000 if type(stamp) is int and 10**11 <= stamp < 10**14 else _time(stamp)
        if moment is not None and not EARLIEST <= moment <= last:
            moment = None
        bad = moment is None or sent.event_type is None or (usable is not None and not usable[index])
        # A record without a readable time has its neighbours' place.
        time = time if moment is None else moment
        rows.append(LogRow(sent, time, bad, delivered, index))
    if rows and rows[0].time is None:
        time = next((row.time for row in rows if row.time is not None), None)
        for row in takewhile(lambda row: row.time is None, rows):
            row.time = time
    first = next((row.sent for row in rows if not row.bad), None)
    if first is None:
        return LogPage(rows, total, shape, has_next=has_next, number=number, categories=categories)
    author = first.author
    kind = "" if author is None else "uuid" if author.uuid is not UNSET else "id" if author.id is not UNSET else ""
    return LogPage(rows, total, shape, kind, _unit(first.timestamp), has_next, number, None, categories)


def sent_of(item: dict[str, Any]) -> Sent:
    """Return the members that the gateway reads of any record, without those of an undocumented kind."""
    sent, author = item.get("author"), None
    if isinstance(sent, dict):
        author = Author(
            sent.get("uuid", UNSET), sent.get("id", UNSET), _text(sent.get("email")), _text(sent.get("name"))
        )
    return Sent(
        _text(item.get("eventType")),
        item.get("timestamp"),
        item.get("eventData"),
        author,
        _text(item.get("envelopeUuid")),
        _text(item.get("workspaceUuid")),
        _text(item.get("category")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _unit(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return "seconds" if value < 10**11 else "milliseconds" if value < 10**14 else "microseconds"


def _total(answer: _Answer) -> tuple[int, str]:
    pagination = answer.pagination
    if isinstance(pagination, dict) and (total := count_in(pagination.get("totalRecords"))) is not None:
        return total, "pagination"
    if (total := count_in(answer.total_count)) is not None:
        return total, "totalCount"
    raise SourceFailed("the provider's answer names no total (neither totalCount nor pagination.totalRecords)")


def _time(value: Any) -> int | None:
    """Return the µs of a "unix timestamp". Seconds until the year 5138 stay below 10^11, milliseconds since 1973 above
    it."""
    if isinstance(value, str):
        # Numbers first, because `fromisoformat` parses 1712011501234 as a day in 1712.
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
            # A float of seconds is only the nearest double: round to the written digits.
            return value * per_unit if isinstance(value, int) else int(round(value * per_unit, 3))
    return None


def decode_error(body: bytes) -> VendorError:
    """Decode an error response of any content, without exceptions."""
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
