"""Cursors that nobody sealed: a hundred thousand of them with FUZZ_EXAMPLES=100000, none accepted. Foreign texts, other
secrets and other spellings of the same bytes: `tests/properties/test_cursors.py`."""

import base64
import os
import random
import string

import httpx
import pytest

from app.domain.errors import InvalidCursor
from app.domain.query import Query
from app.paging.cursor import CursorCodec, CursorState, StreamState
from tests.api.conftest import ALL

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))
SECRETS = ("the first secret of thirty-two characters", "the second secret of thirty-two characters")
LETTERS = (string.ascii_letters + string.digits + "-_=+/ \n.%").encode()


def state(number: int) -> CursorState:
    """Small ones, and such as are compressed."""
    sources = {f"s{n}": {"envelope": StreamState([number, "s", "envelope", "e", n, 0], [n, number])} for n in range(3)}
    ids = tuple(f"envelope-{n}" for n in range(50 if number % 2 else 0))
    return CursorState(Query(envelope_id=ids), 0, 10**15 + number, 100, (), False, [number], sources)


SEALER = CursorCodec(SECRETS)
GOOD = [codec.seal(state(number)) for codec in (SEALER, CursorCodec(SECRETS[1:])) for number in range(20)]


def raw_of(text: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def edited(rng: random.Random, text: str, other: str) -> str:
    """Up to three edits of its bytes or of its characters: a piece is left out, doubled, turned round, or replaced by
    chance, by zeros or by the same piece of another cursor."""
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


def test_the_good_ones_are_good() -> None:
    """Or all that follows would prove nothing."""
    assert all(SEALER.open(text).limit == 100 for text in GOOD)
    assert len(set(GOOD)) == len(GOOD)


def test_no_edited_cursor_is_accepted() -> None:
    rng, good, tried = random.Random(20260601), set(GOOD), 0
    while tried < EXAMPLES:
        text = edited(rng, *rng.sample(GOOD, 2))
        if text in good:
            continue  # an edit may change nothing
        tried += 1
        with pytest.raises(InvalidCursor):
            SEALER.open(text)


def test_every_single_bit_counts() -> None:
    for text in (GOOD[0], GOOD[1]):
        raw = raw_of(text)
        for place in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises(InvalidCursor):
                SEALER.open(text_of(changed))


def test_over_http_each_is_a_problem(url: str) -> None:
    rng = random.Random(7)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ALL}"}) as client:
        good = client.get("/events?limit=1").json()["page"]["next_cursor"]
        for _ in range(200):
            text = edited(rng, good, GOOD[0])
            if text == good:
                continue
            answer = client.get("/events", params={"cursor": text})
            assert answer.status_code == 400, text
            assert answer.json()["code"] == "invalid_cursor"
            assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/events", params={"cursor": good}).status_code == 200
