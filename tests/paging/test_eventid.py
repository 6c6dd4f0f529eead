"""The layout of event ids, pinned: what was handed out yesterday is found tomorrow."""

from __future__ import annotations

import pytest

from app.paging.event_id import EventId, decode_event_id, encode_event_id, source_hash
from app.providers.http.lenient_json import MAX_KEY


@pytest.mark.parametrize(
    ("source", "ordinal", "locator", "text"),
    [
        ("taktikal", 0, b"", "Abo1Z1HNoPz5AA"),
        ("subnoto", 1, b"x", "Aapy1ScNsB6JAXg"),
        ("taktikal", 300, b"\x00\xff", "Abo1Z1HNoPz5rAIA_w"),
    ],
)
def test_ids_never_change(source: str, ordinal: int, locator: bytes, text: str) -> None:
    assert encode_event_id(source, ordinal, locator) == text
    assert decode_event_id(text) == EventId(source_hash(source), ordinal, locator)


@pytest.mark.parametrize(
    "text", ["", "A", "AA", "Ag" + "A" * 20, "Abo1Z1HNoPz5", "Abo1Z1HNoPz5gA", "Abo1Z1HNoPz5AB", "Abo1Z1HNoPz5A+"]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        decode_event_id(text)


def test_the_longest_key_that_is_taken_has_an_id_that_is_taken() -> None:
    locator = bytes(16) + ("\U0001d4b3" * MAX_KEY).encode()
    assert decode_event_id(encode_event_id("taktikal", 1 << 32, locator)).locator == locator


def test_names_have_hashes_of_their_own() -> None:
    names = ["taktikal", "Taktikal", "taktikal ", "subnoto", "a", "b", "ö", ""]
    assert len({source_hash(name) for name in names}) == len(names)
