"""Times as a person writes them in a terminal, converted to RFC 3339.

The API's durations (`7d`, `12h`, `P7D`) and their longer forms (`3 days ago`), `now`, `today` and `yesterday`. All in
UTC: `today` is midnight UTC. An RFC 3339 date-time or a date stays as it was written.
"""

from __future__ import annotations

import re

from app.domain.times import DAY, SECOND, format_micros, format_seconds, parse_duration, parse_rfc3339

_AGO = re.compile(r"([0-9]{1,9}) ?(sec|second|min|minute|hour|day|week|[smhdw])s?( ago)?\Z")
_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY, "w": 7 * DAY}
_REMEDY = "write 7d, 2h, 30m, today, yesterday, a date such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z"


def to_rfc3339(text: str, now: int) -> str:
    """The API's text for `text`. `now` in µs since the epoch. Raises ValueError with the remedy."""
    plain = " ".join(text.lower().split())
    if plain == "now":
        return format_seconds(now)
    if plain in ("today", "yesterday"):
        return format_micros(now - (DAY if plain == "yesterday" else 0))[:10]
    try:
        if found := _AGO.match(plain):
            return format_seconds(now - int(found[1]) * _UNITS[found[2][0]])
        if (duration := parse_duration(text)) is not None:
            return format_seconds(now - int(duration.total_seconds()) * SECOND)
    except OverflowError:
        raise ValueError(f"{text!r} lies before the year 1; {_REMEDY}") from None
    try:
        parse_rfc3339(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_REMEDY}") from None
    return text
