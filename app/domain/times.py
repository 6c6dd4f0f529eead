"""Times as the gateway keeps them: whole microseconds since 1970-01-01T00:00:00Z, in an `int`.

An integer compares, sorts and packs cheaply and cannot carry a hidden zone or a rounding error. Text appears only at
the edges: what a caller wrote (strict RFC 3339), what a vendor sent (lenient), and what the gateway answers (six
digits, `Z`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
DAY = 86_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_DATE_TIME = re.compile(
    r"(?P<main>\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,100}))?"
    r"(?P<offset>[Zz]|[+-]\d{2}:[0-5]\d)\Z",
    re.ASCII,
)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `datetime` (a naive one is taken as UTC)."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(micros: int) -> datetime:
    """The aware UTC `datetime` of microseconds since the epoch. Raises OverflowError outside years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)


def format_micros(micros: int) -> str:
    """`2019-11-08T11:06:01.560000Z`: UTC, always six digits."""
    return to_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if micros >= -_YEAR_1000 else _format_old(micros)


_FIRST = to_micros(datetime.min)
_LAST = to_micros(datetime.max)
_YEAR_1000 = (_EPOCH - datetime(1000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _format_old(micros: int) -> str:
    # strftime does not pad years below 1000 on every platform.
    return to_datetime(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_seconds(micros: int) -> str:
    """As `format_micros`, with the fraction left out when it is nought (windows, `complete_through`)."""
    text = format_micros(micros)
    return text.replace(".000000Z", "Z")


def parse_rfc3339(text: str) -> int:
    """Microseconds of an RFC 3339 date-time with an offset, or of a date (midnight UTC).

    Digits past the sixth are dropped, not rounded: contract, section 3.

    Raises ValueError, with a sentence that can be shown to the caller, for anything else.
    """
    if _DATE.match(text):
        try:
            return to_micros(datetime.fromisoformat(text))
        except ValueError as error:
            raise ValueError(f"is no calendar date ({error})") from None
    match = _DATE_TIME.match(text)
    if match is None:
        raise ValueError(
            "must be an RFC 3339 date-time with an offset, such as 2026-05-01T00:00:00Z"
            " (in a URL write + as %2B), or a date such as 2026-05-01"
        )
    offset = match["offset"].upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(match["main"].upper().replace(" ", "T") + offset)
    except ValueError as error:
        raise ValueError(f"is no valid date-time ({error})") from None
    micros = to_micros(moment) + int((match["fraction"] or "0")[:6].ljust(6, "0"))
    if not _FIRST <= micros <= _LAST:
        raise ValueError("must lie in the years 1 to 9999, in UTC")
    return micros


def parse_vendor_ticks(text: str) -> int:
    """Ticks (100 ns) since the epoch of a vendor's ISO 8601 text; a time without offset is UTC.

    Seven digits are kept because two records may differ only in the seventh; order and windows are judged on
    `ticks // 10`. Raises ValueError when the text is no time.
    """
    text = text.strip().upper()
    main, dot, rest = text.partition(".")
    fraction = 0
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        fraction = int(rest[:7].ljust(7, "0")) if digits >= 7 else int((rest[:digits] or "0").ljust(7, "0"))
        main += rest[digits:]
    moment = datetime.fromisoformat(main)
    return to_micros(moment) * 10 + fraction
