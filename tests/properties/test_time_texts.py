"""Times as text, compared with an independent calendar calculation; and single cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.times import (
    format_micros,
    format_seconds,
    parse_net_ticks,
    parse_rfc3339,
    parse_vendor_ticks,
    to_datetime,
    to_micros,
)

_USUAL = "2019-11-08T11:06:01.5600000Z"
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01, counted year by year's rule (no `datetime` here)."""
    days = (year - 1) * 365 + (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 - 719_162
    days += sum(_MONTHS[: month - 1]) + (1 if month > 2 and leap(year) else 0)
    return days + day - 1


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, int]:
    """Date and time of day as text, and seconds since the epoch."""
    year = draw(st.one_of(st.integers(2, 9998), st.sampled_from([1970, 1969, 2000, 1900, 2024, 2100])))
    month = draw(st.integers(1, 12))
    last = 29 if month == 2 and leap(year) else _MONTHS[month - 1]
    day = draw(st.integers(1, last))
    hour, minute, second = draw(st.integers(0, 23)), draw(st.integers(0, 59)), draw(st.integers(0, 59))
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    return text, days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second


FRACTIONS = st.text("0123456789", min_size=0, max_size=12)
OFFSETS = st.one_of(
    st.sampled_from([("Z", 0), ("z", 0)]),
    st.tuples(st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59)).map(
        lambda o: (f"{o[0]}{o[1]:02d}:{o[2]:02d}", (1 if o[0] == "+" else -1) * (o[1] * 3600 + o[2] * 60))
    ),
)


@given(moments(), FRACTIONS, OFFSETS, st.sampled_from("Tt "))
@example(("1969-12-31T23:59:59", -1), "9999999", ("Z", 0), "T")
def test_rfc_3339_times_are_parsed(
    moment: tuple[str, int], fraction: str, offset: tuple[str, int], separator: str
) -> None:
    text, seconds = moment
    dotted = f".{fraction}" if fraction else ""
    found = parse_rfc3339(text.replace("T", separator) + dotted + offset[0])
    assert found == (seconds - offset[1]) * 1_000_000 + int((fraction + "000000")[:6])


@given(moments())
def test_a_date_is_midnight_utc(moment: tuple[str, int]) -> None:
    text, seconds = moment
    assert parse_rfc3339(text[:10]) == (seconds - seconds % 86_400) * 1_000_000
    assert parse_vendor_ticks(text[:10]) == (seconds - seconds % 86_400) * 10_000_000


@given(moments(), FRACTIONS, st.one_of(OFFSETS, st.just(("", 0))))
@example(("2019-11-08T11:03:49", 1_573_211_029), "0700000", ("Z", 0))
@example(("2019-11-08T11:03:49", 1_573_211_029), "0000001", ("", 0))
@example(("1969-12-31T23:59:59", -1), "9999999", ("Z", 0))
def test_vendor_times_are_read_to_seven_digits(moment: tuple[str, int], fraction: str, offset: tuple[str, int]) -> None:
    """Seven digits kept, more dropped; a time without offset is UTC."""
    text, seconds = moment
    dotted = f".{fraction}" if fraction else ""
    found = parse_vendor_ticks(f" {text}{dotted}{offset[0]} ")
    assert found == (seconds - offset[1]) * 10_000_000 + int((fraction + "0000000")[:7])


WEEKDAY = st.sampled_from(["", "Fri, ", "Mon, "])
ZONES = st.sampled_from([(" GMT", 0), (" UTC", 0), (" +0200", 7200), (" -0030", -1800)])


@given(moments(), WEEKDAY, ZONES, st.sampled_from(["", "+0000", "-0000", "+0130"]))
@example(("2019-11-08T11:03:49", 1_573_211_029), "Fri, ", (" GMT", 0), "")
def test_other_vendor_times_are_parsed(moment: tuple[str, int], weekday: str, zone: tuple[str, int], at: str) -> None:
    """RFC 1123, and ASP.NET's milliseconds, which are UTC whatever the offset beside them."""
    text, seconds = moment
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][int(text[5:7]) - 1]
    rfc_1123 = f"{weekday}{text[8:10]} {month} {text[:4]} {text[11:]}{zone[0]}"
    assert parse_vendor_ticks(rfc_1123) == (seconds - zone[1]) * 10_000_000
    assert parse_vendor_ticks(f"/Date({seconds * 1000 + 7}{at})/") == seconds * 10_000_000 + 70_000


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
@example(-62_135_596_800_000_000)
@example(253_402_300_799_999_999)
def test_formatted_times_are_parsed_to_the_same_value(micros: int) -> None:
    text = format_micros(micros)
    assert len(text) == 27
    assert parse_rfc3339(text) == micros
    assert parse_rfc3339(format_seconds(micros)) == micros
    assert parse_vendor_ticks(text) == micros * 10


@st.composite
def nearly_dot_net_times(draw: st.DrawFn) -> str:
    """Draw a time in .NET's format with up to three characters replaced."""
    text = list("2019-11-08T11:06:01.5600000Z")
    for _ in range(draw(st.integers(1, 3))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.sampled_from("0123456789-+:.TZtz ,W/９\u0661"))
    return "".join(text)


@given(nearly_dot_net_times())
@example("2019-11-08T11:06:01.56000,0Z")
@example("2019-11-08T11:06:01.5:00000Z")
def test_the_batch_parser_agrees_with_the_parser_of_single_times(text: str) -> None:
    for texts in ([text], [text, _USUAL], [_USUAL, text], [text[:20], text[20:]]):
        try:
            ticks = parse_net_ticks(texts)
        except ValueError:
            continue
        assert ticks == [parse_vendor_ticks(one) for one in texts]
        assert [f"{one[:26]}Z" for one in texts] == [format_micros(one // 10) for one in ticks]


@pytest.mark.parametrize(
    "text",
    ["1999-11-08T11:06:01.5600000Z", "2019-11-08T11:06:60.5600000Z", "2019-11-08T24:06:01.5600000Z",
     "2019-02-29T11:06:01.5600000Z", "2019-11-08T11:60:01.5600000Z", "2019-11-08T11:06:01.560000Z"],
)  # fmt: skip
def test_the_batch_parser_rejects_other_forms(text: str) -> None:
    assert parse_net_ticks([_USUAL]) == [parse_vendor_ticks(_USUAL)]
    with pytest.raises(ValueError, match=r"form|century|day|hour|data"):
        parse_net_ticks([_USUAL, text])


@given(st.text(max_size=40))
def test_arbitrary_text_is_a_time_or_a_value_error(text: str) -> None:
    for parse in (parse_rfc3339, parse_vendor_ticks):
        try:
            found = parse(text)
        except ValueError:
            continue
        assert isinstance(found, int)


@pytest.mark.parametrize("text", ["", ".", "x", "2019-11-08T11:03:49.07x", "2019-11-08T25:00:00Z", "2019-11-31"])
def test_invalid_vendor_times_are_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is `fromisoformat`'s
        parse_vendor_ticks(text)


@given(moments(), st.sampled_from(["", "+2:00", "+02", "+0200", "Zulu", " Z", "+24:00", "+02:60", "\n", "Z\n"]))
def test_a_time_without_a_valid_offset_is_rejected(moment: tuple[str, int], tail: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has no"):
        parse_rfc3339(moment[0] + tail)


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
def test_invalid_times_are_rejected_with_a_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|is no|has no) ") as error:
        parse_rfc3339(text)
    # Not Python's messages, which differ between versions.
    assert not any(word in str(error.value) for word in ("isoformat", "timedelta", "must be in", "range"))
    assert "2026-05-01" in str(error.value) or "years 1 to 9999" in str(error.value)


def test_a_leap_second_is_rejected_with_a_remedy() -> None:
    """Microseconds since the epoch have no leap seconds; the caller chooses a neighbouring second."""
    with pytest.raises(ValueError, match=r"leap second; write the next second"):
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
def test_formatted_times_have_six_digits(micros: int, text: str) -> None:
    assert format_micros(micros) == text
    assert format_seconds(micros) == text.replace(".000000", "")


def test_datetimes_are_converted_to_microseconds_and_back() -> None:
    moment = datetime(2026, 5, 1, 2, 0, 0, 1, timezone(timedelta(hours=2)))
    assert to_micros(moment) == parse_rfc3339("2026-05-01T00:00:00.000001Z")
    assert to_datetime(to_micros(moment)) == moment
    assert to_micros(datetime(1970, 1, 1)) == 0
    assert to_datetime(0).tzinfo == UTC
    with pytest.raises(OverflowError):
        to_datetime(10**18)
