"""Convert relative times of the terminal to RFC 3339.

The API's durations (`7d`, `12h`, `P7D`), and `now`, `today` and `yesterday`, all in UTC. An RFC 3339 date-time or a
date stays as it is.
"""

from __future__ import annotations

from datetime import timedelta

from app.domain.times import DAY, format_micros, format_seconds, parse_duration, parse_rfc3339

_REMEDY = "write 7d, 2h, 30m, today, yesterday, a date such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z"


def to_rfc3339(text: str, now: int) -> str:
    """Return `text` in the API's form. `now` in µs since the epoch. Raises ValueError with the remedy."""
    plain = text.strip().lower()
    if plain == "now":
        return format_seconds(now)
    if plain in ("today", "yesterday"):
        return format_micros(now - (DAY if plain == "yesterday" else 0))[:10]
    try:
        if (duration := parse_duration(text)) is not None:
            return format_seconds(now - duration // timedelta(microseconds=1))
        parse_rfc3339(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_REMEDY}") from None
    return text
