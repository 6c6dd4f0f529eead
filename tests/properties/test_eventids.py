"""Event ids: opaque, canonical, and derived from the identity of an event only."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paging.event_id import MAX_ID, EventId, decode_event_id, encode_event_id, pack_uint, source_hash, unpack_uint
from app.providers.http.lenient_json import MAX_KEY

SOURCES = st.text(min_size=1, max_size=64)
ORDINALS = st.integers(0, (1 << 63) - 1)
LOCATORS = st.binary(max_size=300)


@given(SOURCES, ORDINALS, LOCATORS)
def test_an_id_is_decoded_to_its_parts(source: str, ordinal: int, locator: bytes) -> None:
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
def test_arbitrary_text_is_rejected_unless_it_is_canonical(text: str) -> None:
    try:
        found = decode_event_id(text)
    except ValueError:
        return
    # An accepted text is the canonical encoding, except for an overlong ordinal.
    raw = b"\x01" + found.source_hash
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).startswith(raw)


@given(SOURCES, ORDINALS, LOCATORS, st.data())
def test_other_encodings_are_rejected(source: str, ordinal: int, locator: bytes, data: st.DataObject) -> None:
    text = encode_event_id(source, ordinal, locator)
    place = data.draw(st.integers(0, len(text)))
    for other in (text + "=", text + "\n", text[:place] + " " + text[place:], text[:place] + "é" + text[place:]):
        with pytest.raises(ValueError, match="not an event id"):
            decode_event_id(other)


@pytest.mark.parametrize(
    ("source", "ordinal", "locator", "text"),
    [
        ("taktikal", 0, b"", "Abo1Z1HNoPz5AA"),
        ("subnoto", 1, b"x", "Aapy1ScNsB6JAXg"),
        ("taktikal", 300, b"\x00\xff", "Abo1Z1HNoPz5rAIA_w"),
    ],
)
def test_the_encoding_is_stable(source: str, ordinal: int, locator: bytes, text: str) -> None:
    assert encode_event_id(source, ordinal, locator) == text
    assert decode_event_id(text) == EventId(source_hash(source), ordinal, locator)


@pytest.mark.parametrize(
    "text",
    ["", "A", "AA", "Ag" + "A" * 20, "Abo1Z1HNoPz5", "Abo1Z1HNoPz5gA", "Abo1Z1HNoPz5AB", "Abo1Z1HNoPz5A+",
     "A" * (MAX_ID + 1)],
)  # fmt: skip
def test_malformed_ids_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        decode_event_id(text)


def test_the_id_of_the_longest_accepted_key_is_accepted() -> None:
    locator = bytes(16) + ("\U0001d4b3" * MAX_KEY).encode()
    assert decode_event_id(encode_event_id("taktikal", 1 << 32, locator)).locator == locator


def test_hashes_of_source_names_differ() -> None:
    names = ["taktikal", "Taktikal", "taktikal ", "subnoto", "a", "b", "ö", ""]
    assert len({source_hash(name) for name in names}) == len(names)


@given(ORDINALS, LOCATORS)
def test_numbers_are_packed_and_unpacked(number: int, rest: bytes) -> None:
    assert unpack_uint(pack_uint(number) + rest) == (number, rest)


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xff" * 10, b"\x80" * 11 + b"\x01"])
def test_malformed_numbers_are_rejected(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        unpack_uint(raw)
