"""Event ids: opaque, canonical, and never made from anything but identity."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paging.event_id import MAX_ID, EventId, decode_event_id, encode_event_id, pack_uint, source_hash, unpack_uint

SOURCES = st.text(min_size=1, max_size=64)
ORDINALS = st.integers(0, (1 << 63) - 1)
LOCATORS = st.binary(max_size=300)


@given(SOURCES, ORDINALS, LOCATORS)
def test_round_trip(source: str, ordinal: int, locator: bytes) -> None:
    text = encode_event_id(source, ordinal, locator)
    assert decode_event_id(text) == EventId(source_hash(source), ordinal, locator)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert encode_event_id(source, ordinal, locator) == text


@given(st.tuples(SOURCES, ORDINALS, LOCATORS), st.tuples(SOURCES, ORDINALS, LOCATORS))
def test_two_identities_have_two_ids(one: tuple[str, int, bytes], other: tuple[str, int, bytes]) -> None:
    assert (encode_event_id(*one) == encode_event_id(*other)) == (one == other)


@given(
    st.one_of(st.text(max_size=120), st.binary(max_size=120).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
)
def test_foreign_text_is_no_id(text: str) -> None:
    try:
        found = decode_event_id(text)
    except ValueError:
        return
    # What is taken for an id is spelled exactly as one, but for an overlong ordinal.
    raw = b"\x01" + found.source_hash
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).startswith(raw)


@given(SOURCES, ORDINALS, LOCATORS, st.data())
def test_other_spellings_are_refused(source: str, ordinal: int, locator: bytes, data: st.DataObject) -> None:
    text = encode_event_id(source, ordinal, locator)
    place = data.draw(st.integers(0, len(text)))
    for other in (text + "=", text + "\n", text[:place] + " " + text[place:], text[:place] + "é" + text[place:]):
        with pytest.raises(ValueError, match="not an event id"):
            decode_event_id(other)


def test_an_overlong_text_is_refused_unread() -> None:
    with pytest.raises(ValueError, match="not an event id"):
        decode_event_id("A" * (MAX_ID + 1))


@given(ORDINALS, LOCATORS)
def test_numbers_are_packed_and_unpacked(number: int, rest: bytes) -> None:
    assert unpack_uint(pack_uint(number) + rest) == (number, rest)


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xff" * 10, b"\x80" * 11 + b"\x01"])
def test_no_number_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        unpack_uint(raw)
