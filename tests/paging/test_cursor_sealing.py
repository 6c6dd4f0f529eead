"""Cursors case by case; `tests/properties/test_cursors.py` has the arbitrary ones."""

from __future__ import annotations

import base64
import random
import string

import pytest

from app.domain.errors import InvalidCursor
from app.domain.parameter_types import MAX_CURSOR
from app.domain.query import Query
from app.paging.cursor import FORMAT, CursorCodec, CursorState, StreamState

SECRET = "a secret of at least thirty-two characters"


def state(**changes: object) -> CursorState:
    values: dict[str, object] = {
        "query": Query(type=("recipient.*",)), "since": 1, "until": None, "limit": 7, "include": (), "partial": True,
        "position": [5, "s", "envelope", "", 1, 0], "sources": {"s": {"envelope": StreamState(done=True)}},
    }  # fmt: skip
    return CursorState(**(values | changes))  # type: ignore[arg-type]


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_nothing_of_the_content_can_be_read() -> None:
    secret = "person@example.com"
    cursor = CursorCodec([SECRET]).seal(state(query=Query(actor=secret)))
    assert secret.encode() not in raw(cursor)
    assert b"person" not in raw(cursor)


def test_the_longest_filters_over_many_sources_give_a_cursor_that_is_taken() -> None:
    rng = random.Random(1)
    names = tuple("".join(rng.choices(string.ascii_letters + string.digits, k=319)) for _ in range(50))
    streams = {name: StreamState(hint=[rng.randrange(10**6), 3]) for name in names}
    long = state(query=Query(envelope_id=names), sources={f"source-{number}": streams for number in range(10)})
    cursor = CursorCodec([SECRET]).seal(long)
    assert len(cursor) <= MAX_CURSOR
    assert CursorCodec([SECRET]).open(cursor) == long


def test_a_cursor_of_another_format_says_start_over() -> None:
    sealer = CursorCodec([SECRET])
    changed = bytes((FORMAT + 1,)) + raw(sealer.seal(state()))[1:]
    with pytest.raises(InvalidCursor, match="start over"):
        sealer.open(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_what_this_secret_sealed_in_another_shape_says_start_over() -> None:
    """A version to come may seal something else with the same secret."""
    sealer = CursorCodec([SECRET])
    cipher = sealer._ciphers[0]
    for plain in (b"", b"p", b"pnot msgpack", b"znot zlib", b"p\x91\x01", b"z" + b"\x78\x9c\x03\x00\x00\x00\x00\x01"):
        sealed = bytes((FORMAT,)) + bytes(12) + cipher.encrypt(bytes(12), plain, bytes((FORMAT,)))
        with pytest.raises(InvalidCursor, match="start over"):
            sealer.open(base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


def test_there_has_to_be_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        CursorCodec([])


def test_a_large_state_is_compressed() -> None:
    streams = {f"envelope/{n:036d}": StreamState([10**15 + n], [0, n, 2]) for n in range(50)}
    large = state(query=Query(envelope_id=tuple(f"{n:036d}" for n in range(50))), sources={"s": streams})
    cursor = CursorCodec([SECRET]).seal(large)
    assert CursorCodec([SECRET]).open(cursor) == large
    assert len(cursor) < 4000
