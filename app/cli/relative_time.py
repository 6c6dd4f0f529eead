"""Times as people write them in a terminal, turned into what the API takes.

`90s`, `30m`, `2h`, `7d`, `2w` (each may be followed by `ago`), `now`, `today` and `yesterday`. All in UTC, like the
API's own dates: `today` is midnight UTC. An RFC 3339 date-time or a date goes through as it was written.
"""

from __future__ import annotations

import re

from app.domain.times import DAY, SECOND, format_micros, format_seconds, parse_rfc3339

_AGO = re.compile(r"([0-9]{1,9}) ?(s|[a-z]+?)s?( ago)?\Z")
_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), SECOND),
    **dict.fromkeys(("m", "min", "minute"), 60 * SECOND),
    **dict.fromkeys(("h", "hour"), 3600 * SECOND),
    **dict.fromkeys(("d", "day"), DAY),
    **dict.fromkeys(("w", "week"), 7 * DAY),
}
_REMEDY = "write 7d, 2h, 30m, today, yesterday, a date such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z"


def to_rfc3339(text: str, now: int) -> str:
    """The API's text for a time that a person wrote. `now` in µs since the epoch. Raises ValueError with the remedy."""
    plain = " ".join(text.lower().split())
    if plain == "now":
        return format_seconds(now)
    if plain in ("today", "yesterday"):
        return format_micros(now - (DAY if plain == "yesterday" else 0))[:10]
    if found := _AGO.match(plain):
        unit = _UNITS.get(found[2])
        if unit is not None:
            try:
                return format_seconds(now - int(found[1]) * unit)
            except OverflowError:
                raise ValueError(f"{text!r} lies before the year 1; {_REMEDY}") from None
    try:
        parse_rfc3339(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_REMEDY}") from None
    return text
