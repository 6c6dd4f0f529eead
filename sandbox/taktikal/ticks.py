""".NET ticks: whole numbers of 100 ns, here counted from 1970. `createdAt` has seven fractional digits."""

import re
from datetime import UTC, datetime, timedelta

TICKS_PER_MILLISECOND = 10_000
TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d{1,7}))?"
    r"(?P<offset>Z|z|[+-]\d{2}:?\d{2})?)?"
)


def from_datetime(moment: datetime) -> int:
    """Return the tick of an aware datetime."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * TICKS_PER_SECOND + delta.microseconds * 10


def to_text(ticks: int) -> str:
    """Return the vendor's form: `2019-11-08T11:03:49.0700000Z`."""
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    return f"{(_EPOCH + timedelta(seconds=seconds)):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def to_text_as(form: str, ticks: int) -> str:
    """Return a time in one of a server's formats: `iso`, `asp_net` or `rfc_1123`."""
    if form == "asp_net":
        return f"/Date({ticks // TICKS_PER_MILLISECOND}+0000)/"
    if form == "rfc_1123":
        return f"{_EPOCH + timedelta(seconds=ticks // TICKS_PER_SECOND):%a, %d %b %Y %H:%M:%S} GMT"
    return to_text(ticks)


def parse(text: str) -> int:
    """Return the tick of a query's date: ISO, with or without a time, an offset (else UTC), and up to seven digits.

    Raises ValueError for other text. An unescaped `+` has become a space, so `2024-01-01T00:00:00 02:00` is refused.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    moment = datetime.fromisoformat(f"{found['day']}T{found['time'] or '00:00'}").replace(tzinfo=UTC)
    offset, minutes = found["offset"] or "Z", 0
    if offset not in "Zz":
        digits = offset[1:].replace(":", "")
        minutes = int(f"{offset[0]}1") * (int(digits[:2]) * 60 + int(digits[2:]))
    ticks = from_datetime(moment - timedelta(minutes=minutes))
    return ticks + int((found["fraction"] or "").ljust(7, "0"))
