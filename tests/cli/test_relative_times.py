"""Times as people write them."""

from __future__ import annotations

import pytest

from app.cli.relative_time import to_rfc3339
from app.domain.times import parse_rfc3339

NOW = parse_rfc3339("2026-03-01T12:30:45.250000Z")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("7d", "2026-02-22T12:30:45.250000Z"),
        ("2h", "2026-03-01T10:30:45.250000Z"),
        ("30m", "2026-03-01T12:00:45.250000Z"),
        ("45s", "2026-03-01T12:30:00.250000Z"),
        ("2w", "2026-02-15T12:30:45.250000Z"),
        ("P7D", "2026-02-22T12:30:45.250000Z"),
        ("PT12H", "2026-03-01T00:30:45.250000Z"),
        ("now", "2026-03-01T12:30:45.250000Z"),
        ("today", "2026-03-01"),
        ("Yesterday", "2026-02-28"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00+01:00", "2026-01-31T10:00:00+01:00"),
    ],
)
def test_what_is_sent(text: str, sent: str) -> None:
    assert to_rfc3339(text, NOW) == sent
    parse_rfc3339(sent)


@pytest.mark.parametrize(
    "text",
    ["", "d", "7", "7x", "-7d", "0d", "7d later", "3 days ago", "last week", "2026-02-30", "2026-01-31T10:00:00",
     "\u0667d", "1.5h", "7months", "999999999w"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write 7d, 2h"):
        to_rfc3339(text, NOW)
