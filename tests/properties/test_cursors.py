"""`CursorCodec` opens the cursors that it sealed and rejects all others; with FUZZ_EXAMPLES=100000, as many edited
ones."""

from __future__ import annotations

import base64
import os
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidCursor
from app.domain.parameters import MAX_CURSOR
from app.domain.query import Query
from app.paging.cursor import FORMAT, CursorCodec, StreamState, WalkState

SECRETS = ("the first secret, of thirty-two or more", "the second secret, of thirty-two too")
SEALER = CursorCodec(SECRETS[:1])
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

TEXT = st.text(max_size=30)
#: Values of parameters.
WORD = st.text("abcXYZé.-_~@0189", min_size=1, max_size=30)
WORDS = st.lists(WORD, max_size=6, unique=True).map(lambda found: tuple(sorted(found)))
NUMBER = st.integers(-(1 << 62), 1 << 62)
POSITIONS = st.one_of(st.tuples(NUMBER), st.tuples(NUMBER, TEXT, TEXT, TEXT, NUMBER, NUMBER))
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
    WalkState,
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
def test_a_sealed_cursor_is_opened(state: WalkState) -> None:
    cursor = SEALER.seal(state)
    assert SEALER.open(cursor) == state
    assert SEALER.seal(state) == cursor
    assert set(cursor) <= set(ALPHABET)


@given(STATES)
def test_a_new_secret_rejects_old_cursors_and_a_rotated_codec_opens_both(state: WalkState) -> None:
    old, new = SEALER, CursorCodec(SECRETS[1:])
    rotated = CursorCodec((SECRETS[1], SECRETS[0]))
    with pytest.raises(InvalidCursor, match="GATEWAY_CURSOR_SECRET"):
        new.open(old.seal(state))
    assert rotated.open(old.seal(state)) == state
    assert rotated.seal(state) == new.seal(state)
    assert new.open(rotated.seal(state)) == state


def example_state(size: int = 1) -> WalkState:
    streams = {f"envelope/{n:040d}": StreamState((n, "s", "envelope", f"e{n}", n, 0), [1, n, 2]) for n in range(size)}
    query = Query(type=("recipient.*",), envelope_id=tuple(f"{n:040d}" for n in range(size)))
    return WalkState(query, 1, 2, 100, ("raw",), False, (12345678,), {"taktikal": streams, "subnoto": {}})


def test_only_the_canonical_encoding_of_a_cursor_is_accepted() -> None:
    """base64 has unused bits in the last character, optional padding and two alphabets; decoders skip other bytes."""
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


def raw_of(text: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


#: Small and compressed cursors, sealed with each secret.
VALID = [
    codec.seal(example_state(size)) for codec in (SEALER, CursorCodec(SECRETS[1:])) for size in (*range(1, 19), 40, 50)
]
LETTERS = (string.ascii_letters + string.digits + "-_=+/ \n.%").encode()


def edited(rng: random.Random, text: str, other: str) -> str:
    """Return a cursor after up to three edits of its bytes or characters: a slice is removed, doubled, reversed, or
    replaced by random bytes, zeros or the same slice of another cursor."""
    is_raw = rng.random() < 0.5
    whole, foreign = (raw_of(one) if is_raw else bytearray(one.encode()) for one in (text, other))
    for _ in range(rng.choice((1, 1, 2, 3))):
        begin = rng.randrange(len(whole) + 1)
        end = min(len(whole), begin + rng.choice((0, 1, 1, 2, 16, 1000)))
        piece = whole[begin:end]
        size = max(1, len(piece))
        chance = rng.randbytes(size) if is_raw else bytes(rng.choices(LETTERS, k=size))
        zeros = bytes(size) if is_raw else b"A" * size
        whole[begin:end] = rng.choice((b"", piece * 2, piece[::-1], chance, zeros, foreign[begin:end]))
    return text_of(whole) if is_raw else whole.decode()


def test_no_edited_cursor_is_accepted() -> None:
    sealer, rng, valid, tried = CursorCodec(SECRETS), random.Random(20260601), set(VALID), 0
    assert all(sealer.open(text).limit == 100 for text in VALID), "a cursor is rejected before it is edited"
    assert len(valid) == len(VALID)
    while tried < EXAMPLES:
        text = edited(rng, *rng.sample(VALID, 2))
        if text in valid:
            continue  # an edit may change nothing
        tried += 1
        with pytest.raises(InvalidCursor):
            sealer.open(text)


@pytest.mark.parametrize("size", [1, 50])
def test_a_cursor_with_one_changed_bit_is_rejected(size: int) -> None:
    raw = raw_of(SEALER.seal(example_state(size)))
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidCursor):
            SEALER.open(text_of(changed))


@given(st.text(max_size=200))
def test_arbitrary_text_is_rejected(text: str) -> None:
    with pytest.raises(InvalidCursor):
        SEALER.open(text)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected(raw: bytes) -> None:
    for head in (b"", b"\x01", b"\x02"):
        with pytest.raises(InvalidCursor):
            SEALER.open(text_of(head + raw))


def state(**changes: object) -> WalkState:
    values: dict[str, object] = {
        "query": Query(type=("recipient.*",)), "since": 1, "until": None, "limit": 7, "include": (), "partial": True,
        "position": (5, "s", "envelope", "", 1, 0), "sources": {"s": {"envelope": StreamState(done=True)}},
    }  # fmt: skip
    return WalkState(**(values | changes))  # type: ignore[arg-type]


def test_a_cursor_does_not_reveal_its_filters() -> None:
    secret = "person@example.com"
    cursor = SEALER.seal(state(query=Query(actor=secret)))
    assert secret.encode() not in raw_of(cursor)
    assert b"person" not in raw_of(cursor)


def test_the_cursor_of_the_longest_filters_over_many_sources_is_accepted() -> None:
    rng = random.Random(1)
    names = tuple("".join(rng.choices(string.ascii_letters + string.digits, k=319)) for _ in range(50))
    streams = {name: StreamState(hint=[rng.randrange(10**6), 3]) for name in names}
    long = state(query=Query(envelope_id=names), sources={f"source-{number}": streams for number in range(10)})
    cursor = SEALER.seal(long)
    assert len(cursor) <= MAX_CURSOR
    assert SEALER.open(cursor) == long


def test_a_cursor_of_another_format_says_start_over() -> None:
    changed = bytes((FORMAT + 1,)) + raw_of(SEALER.seal(state()))[1:]
    with pytest.raises(InvalidCursor, match="start over"):
        SEALER.open(text_of(changed))


def test_a_sealed_cursor_of_another_shape_is_rejected() -> None:
    """A later version may seal other data with the same secret."""
    cipher = SEALER._ciphers[0]
    for plain in (b"", b"p", b"pnot msgpack", b"znot zlib", b"p\x91\x01", b"z" + b"\x78\x9c\x03\x00\x00\x00\x00\x01"):
        sealed = bytes((FORMAT,)) + bytes(12) + cipher.encrypt(bytes(12), plain, bytes((FORMAT,)))
        with pytest.raises(InvalidCursor, match="start over"):
            SEALER.open(text_of(sealed))


def test_a_codec_without_a_secret_is_rejected() -> None:
    with pytest.raises(ValueError, match="secret"):
        CursorCodec([])


def test_a_large_state_is_compressed() -> None:
    streams = {f"envelope/{n:036d}": StreamState((10**15 + n,), [0, n, 2]) for n in range(50)}
    large = state(query=Query(envelope_id=tuple(f"{n:036d}" for n in range(50))), sources={"s": streams})
    cursor = SEALER.seal(large)
    assert SEALER.open(cursor) == large
    assert len(cursor) < 4000
