"""Cursors: what is sealed is opened again, and nothing else is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidCursor
from app.domain.query import Query
from app.paging.cursor import CursorCodec, CursorState, StreamState

SECRETS = ("the first secret, of thirty-two or more", "the second secret, of thirty-two too")
SEALER = CursorCodec(SECRETS[:1])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

TEXT = st.text(max_size=30)
#: What a parameter may be.
WORD = st.text("abcXYZé.-_~@0189", min_size=1, max_size=30)
WORDS = st.lists(WORD, max_size=6, unique=True).map(lambda found: tuple(sorted(found)))
NUMBER = st.integers(-(1 << 62), 1 << 62)
POSITIONS = st.one_of(NUMBER.map(lambda time: [time]), st.tuples(NUMBER, TEXT, TEXT, TEXT, NUMBER, NUMBER).map(list))
STREAMS = st.builds(
    StreamState, position=st.none() | POSITIONS, hint=st.none() | st.lists(NUMBER, max_size=4), done=st.booleans()
)
QUERIES = st.builds(
    Query,
    source=WORDS,
    type=WORDS,
    envelope_id=WORDS,
    q=st.none() | WORD,
    owner=st.none() | WORD,
    order=st.sampled_from(["asc", "desc"]),
    follow=st.booleans(),
)
STATES = st.builds(
    CursorState,
    query=QUERIES,
    since=NUMBER,
    until=st.none() | NUMBER,
    limit=st.integers(1, 1000),
    include=st.sampled_from([(), ("raw",), ("raw", "total")]),
    partial=st.booleans(),
    position=POSITIONS,
    sources=st.dictionaries(TEXT, st.dictionaries(TEXT, STREAMS, max_size=4), max_size=3),
)


@given(STATES)
def test_round_trip(state: CursorState) -> None:
    cursor = SEALER.seal(state)
    assert SEALER.open(cursor) == state
    assert SEALER.seal(state) == cursor
    assert set(cursor) <= set(ALPHABET)


@given(STATES)
def test_another_secret_opens_nothing_and_rotation_opens_both(state: CursorState) -> None:
    old, new = SEALER, CursorCodec(SECRETS[1:])
    rotated = CursorCodec((SECRETS[1], SECRETS[0]))
    with pytest.raises(InvalidCursor):
        new.open(old.seal(state))
    assert rotated.open(old.seal(state)) == state
    assert rotated.seal(state) == new.seal(state)
    assert new.open(rotated.seal(state)) == state


def example_state(size: int = 1) -> CursorState:
    streams = {f"envelope/{n:040d}": StreamState([n, "s", "envelope", f"e{n}", n, 0], [1, n, 2]) for n in range(size)}
    query = Query(type=("recipient.*",), envelope_id=tuple(f"{n:040d}" for n in range(size)))
    return CursorState(query, 1, 2, 100, ("raw",), False, [12345678], {"taktikal": streams, "subnoto": {}})


def test_only_the_spelling_that_was_handed_out_is_good() -> None:
    """base64 leaves bits of the last character unused, allows padding, two alphabets and, leniently, other bytes."""
    for size in range(1, 9):
        cursor = SEALER.seal(example_state(size))
        padding = "=" * (-len(cursor) % 4)
        others = [cursor + "=" * n for n in range(1, 4)]
        others += [cursor + "\n", "\n" + cursor, cursor[:5] + "\n" + cursor[5:], cursor[:5] + "*" + cursor[5:]]
        others += [cursor.replace("-", "+").replace("_", "/") + padding, cursor + "é", cursor + "\ud800"]
        others += [cursor[:-1] + letter for letter in ALPHABET]
        for other in {other for other in others if other != cursor}:
            with pytest.raises(InvalidCursor):
                SEALER.open(other)


@given(st.text(max_size=200))
def test_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        SEALER.open(text)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(raw: bytes) -> None:
    for head in (b"", b"\x01", b"\x02"):
        with pytest.raises(InvalidCursor):
            SEALER.open(base64.urlsafe_b64encode(head + raw).rstrip(b"=").decode())
