"""Times as the gateway keeps them: whole microseconds since 1970-01-01T00:00:00Z, in an `int`.

An integer compares, sorts and packs cheaply and cannot carry a hidden zone or a rounding error. Text appears only at
the edges: what a caller wrote (strict RFC 3339), what a vendor sent (lenient), and what the gateway answers (six
digits, `Z`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

SECOND = 1_000_000
DAY = 86_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}(?::?\d{2}){0,2})?\Z", re.ASCII)
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?P<second>[0-5]\d|60)(?:\.\d{1,100})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)


def now_micros() -> int:
    """The time by this machine's clock."""
    return time.time_ns() // 1000


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `datetime` (a naive one is taken as UTC)."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def to_datetime(micros: int) -> datetime:
    """The aware UTC `datetime` of microseconds since the epoch. Raises OverflowError outside years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)


def format_micros(micros: int) -> str:
    """`2019-11-08T11:06:01.560000Z`: UTC, always six digits. Raises OverflowError outside years 1 to 9999."""
    # `datetime.isoformat` takes five times as long, and there is one time for each event. Filling up with noughts is
    # half of that again, unless a leading one does it.
    second = micros // SECOND
    hour = second // 3600
    return f"{_hour(hour)}{_SECONDS[second - hour * 3600]}{str(micros - second * SECOND + SECOND)[1:]}Z"


@lru_cache(maxsize=4096)
def _hour(hours: int) -> str:
    """`2019-11-08T11:`."""
    return to_datetime(hours * 3600 * SECOND).isoformat()[:14]


_SECONDS = [f"{minute:02}:{second:02}." for minute in range(60) for second in range(60)]
_FIRST = to_micros(datetime.min)
_LAST = to_micros(datetime.max)


def format_seconds(micros: int) -> str:
    """As `format_micros`, with the fraction left out when it is nought (windows, `complete_through`)."""
    text = format_micros(micros)
    return text.replace(".000000Z", "Z")


# A request's times are read to be used, and again to be written into the audit trail; and callers ask the same again.
@lru_cache(maxsize=256)
def parse_rfc3339(text: str) -> int:
    """Microseconds of an RFC 3339 date-time with an offset, or of a date (midnight UTC).

    Digits past the sixth are dropped, not rounded: contract, section 3.

    Raises ValueError, with a sentence that can be shown to the caller, for anything else.
    """
    if _DATE.match(text):
        try:
            return to_micros(datetime.fromisoformat(text))
        except ValueError:
            raise ValueError("is no day of the calendar; write it as year-month-day, such as 2026-05-01") from None
    match = _DATE_TIME.match(text)
    if match is None:
        raise ValueError(
            "must be an RFC 3339 date-time with an offset, such as 2026-05-01T00:00:00Z"
            " (in a URL write + as %2B), a date such as 2026-05-01, or a duration back from now such as P7D or 12h"
        )
    if match["second"] == "60":
        # Microseconds since the epoch have no place for one.
        raise ValueError("must not be a leap second; write the next second, which ends in :00")
    try:
        micros = to_micros(datetime.fromisoformat(text.upper()))
    except ValueError:
        raise ValueError("has no day of the calendar; write it as in 2026-05-01T00:00:00Z") from None
    if not _FIRST <= micros <= _LAST:
        raise ValueError("must lie in the years 1 to 9999, in UTC")
    return micros


_DURATION = re.compile(
    r"P(?:(?P<w>\d{1,5})W|(?:(?P<d>\d{1,5})D)?(?:T(?=\d)(?:(?P<h>\d{1,6})H)?(?:(?P<m>\d{1,7})M)?(?:(?P<s>\d{1,9})S)?)?)\Z",
    re.ASCII,
)
_SHORT_DURATION = re.compile(r"(\d{1,9})([wdhms])\Z", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_LONGEST = timedelta(days=36_525)


def parse_duration(text: str) -> timedelta | None:
    """The duration of `P7D`, `PT12H`, `4w`, `7d`, `12h` or `30m`; None for other text.

    Raises ValueError, with a sentence that can be shown to the caller, for a duration of zero or over 100 years.
    """
    if (short := _SHORT_DURATION.match(text)) is not None:
        parts = {short[2]: short[1]}
    elif (found := _DURATION.match(text)) is not None:
        parts = {unit: amount for unit, amount in found.groupdict().items() if amount is not None}
    else:
        return None
    try:
        duration = timedelta(**{_UNITS[unit]: int(amount) for unit, amount in parts.items()})
    except OverflowError:
        duration = timedelta.max
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError("must be a duration longer than zero and of at most 36525 days, such as P7D or 12h")
    return duration


def parse_moment(value: int | str | timedelta | None) -> int | timedelta | None:
    """A time as a caller writes it: µs of an RFC 3339 text, or the duration back from now. Other values stay.

    Raises ValueError, with a sentence that can be shown to the caller.
    """
    if not isinstance(value, str):
        return value
    duration = parse_duration(value)
    return parse_rfc3339(value) if duration is None else duration


_ASP_NET = re.compile(r"/DATE\((-?\d{1,18})(?:[+-]\d{4})?\)/\Z", re.ASCII)
_MONTHS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
_RFC_1123 = re.compile(
    rf"(?:[A-Z]{{3}}, )?(\d{{1,2}})[ -]({'|'.join(re.findall('...', _MONTHS))})[ -](\d{{4}})"
    r" (\d{2}:\d{2}:\d{2}) (?:GMT|UTC|Z|([+-]\d{4}))\Z",
    re.ASCII,
)


class _Minutes(dict[int, int]):
    """By a number such as 11911081106, the ticks of the minute 2019-11-08T11:06. Raises ValueError for others."""

    def __missing__(self, number: int) -> int:
        day, clock = divmod(number, 10_000)
        hour, minute = divmod(clock, 100)
        if hour > 23 or minute > 59:
            raise ValueError("is no time of day")
        if len(self) >= 8192:
            self.clear()
        self[number] = found = _day(day) + (hour * 60 + minute) * 60 * SECOND * 10
        return found


@lru_cache(maxsize=512)
def _day(number: int) -> int:
    """By a number such as 1191108, the ticks of the day 2019-11-08. Raises ValueError for others."""
    return to_micros(datetime.fromisoformat(f"20{number - 10**6:06}")) * 10


_minutes = _Minutes()
_NET_TIME = b",0000-00-00T00:00:00.0000000Z"
_ZEROS = bytes(48 if 48 <= byte < 58 else byte for byte in range(256))
_MINUTE = 10**9  #: what a minute's number counts for in the numbers of `parse_net_ticks`
_decode_numbers = msgspec.json.Decoder(list[int]).decode


def parse_net_ticks(texts: Sequence[str]) -> list[int]:
    """As `parse_vendor_ticks` of each, in a third of the time, where all have the form in which .NET writes a time in
    UTC, `2019-11-08T11:06:01.5600000Z`, from 2000 to 2099. Raises ValueError for other texts."""
    joined = f",{','.join(texts)}".encode()
    if joined.translate(_ZEROS) != _NET_TIME * len(texts) or max(joined[18::29]) >= ord("6"):
        raise ValueError("has another form, or more than 59 seconds")
    # One number for each, 1191108110601560000; the 1 because JSON allows no leading zero.
    digits = joined.translate(None, b"-T:.Z").replace(b",20", b",1")
    if len(digits) != 21 * len(texts):
        raise ValueError("is of another century")
    return [_minutes[number // _MINUTE] + number % _MINUTE for number in _decode_numbers(b"[%b]" % digits[1:])]


def parse_vendor_ticks(text: str) -> int:
    """Ticks (100 ns) since the epoch of a vendor's text; a time without offset is UTC.

    Reads ISO 8601, RFC 1123 (`Fri, 08 Nov 2019 11:03:49 GMT`) and ASP.NET's `/Date(1573211029070+0000)/`, whose
    milliseconds are UTC whatever its offset. Seven digits are kept because two records may differ only in the seventh;
    order and windows are judged on `ticks // 10`. Raises ValueError when the text is no time, OverflowError when it has
    no time in UTC.
    """
    text = text.strip().upper()
    if (found := _ASP_NET.match(text)) is not None:
        return to_micros(to_datetime(int(found[1]) * 1000)) * 10
    if (found := _RFC_1123.match(text)) is not None:
        text = f"{found[3]}-{_MONTHS.index(found[2]) // 3 + 1:02}-{found[1]:0>2}T{found[4]}{found[5] or 'Z'}"
    main, dot, rest = text.partition(".")
    fraction = 0
    if dot:
        digits = len(rest) - len(rest.lstrip(_DIGITS))
        fraction = int(rest[:7].ljust(7, "0")) if digits >= 7 else int((rest[:digits] or "0").ljust(7, "0"))
        if not _OFFSET.match(rest, digits):
            raise ValueError("is no time: after the fraction only an offset may follow")
        main += rest[digits:]
    moment = datetime.fromisoformat(main)
    return to_micros(moment) * 10 + fraction
