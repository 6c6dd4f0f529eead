"""Times case by case; `tests/properties/test_time_texts.py` has the arbitrary ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.domain.times import format_micros, format_seconds, parse_rfc3339, to_datetime, to_micros


@pytest.mark.parametrize(
    "text",
    [
        "", "2026", "2026-05", "2026-5-1", "2026-02-30", "2026-13-01", "20260501", "2026-05-01T", "2026-05-01T00:00Z",
        "2026-05-01T00:00:00", "2026-05-01T24:00:00Z", "2026-05-01T00:60:00Z", "2026-05-01T00:00:61Z",
        "2026-05-01T00:00:00.Z", "2026-05-01T00:00:00,5Z", "2026-05-01T00:00:00+0200", "2026-05-01T00:00:00+02:60",
        "2026-05-01T00:00:00 02:00", " 2026-05-01", "2026-05-01\n", "0.5", "1780315200", "now", "２０２６-05-01",
        "2026-05-01T00:00:00+25:00", "2026-05-01T00:00:00-24:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z", "0000-01-01", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "-2026-05-01",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|is no|has no) ") as error:
        parse_rfc3339(text)
    # Our own words: Python's are of its insides, and others in each version.
    assert not any(word in str(error.value) for word in ("isoformat", "timedelta", "must be in", "range"))
    assert "2026-05-01" in str(error.value) or "years 1 to 9999" in str(error.value)


def test_a_leap_second_is_refused_by_name() -> None:
    """Microseconds since the epoch have none; which of its neighbours is meant, the caller says."""
    with pytest.raises(ValueError, match=r"leap second; write the second behind it"):
        parse_rfc3339("2016-12-31T23:59:60Z")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_573_211_161_560_000, "2019-11-08T11:06:01.560000Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
        (-62_135_596_799_999_999, "0001-01-01T00:00:00.000001Z"),
        (-30_610_224_000_000_000, "1000-01-01T00:00:00.000000Z"),
        (-30_610_224_000_000_001, "0999-12-31T23:59:59.999999Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_text_has_always_six_digits(micros: int, text: str) -> None:
    assert format_micros(micros) == text
    assert format_seconds(micros) == text.replace(".000000", "")


def test_datetimes() -> None:
    moment = datetime(2026, 5, 1, 2, 0, 0, 1, timezone(timedelta(hours=2)))
    assert to_micros(moment) == parse_rfc3339("2026-05-01T00:00:00.000001Z")
    assert to_datetime(to_micros(moment)) == moment
    assert to_micros(datetime(1970, 1, 1)) == 0
    assert to_datetime(0).tzinfo == UTC
    with pytest.raises(OverflowError):
        to_datetime(10**18)
