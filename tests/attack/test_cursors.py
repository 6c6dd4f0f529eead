"""Cursors that nobody sealed: a hundred thousand of them with FUZZ_EXAMPLES=100000, none accepted."""

from __future__ import annotations

import base64
import os
import random
import string
from collections.abc import Callable

import httpx
import pytest

from app.domain.errors import InvalidCursor
from app.domain.query import Query
from app.paging.cursor import CursorCodec, CursorState, StreamState
from tests.api.conftest import ALL

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))
SECRETS = ("the first secret of thirty-two characters", "the second secret of thirty-two characters")
ALPHABET = string.ascii_letters + string.digits + "-_"


def state(number: int) -> CursorState:
    """Small ones, and such as are compressed."""
    sources = {f"s{n}": {"envelope": StreamState([number, "s", "envelope", "e", n, 0], [n, number])} for n in range(3)}
    ids = tuple(f"envelope-{n}" for n in range(50 if number % 2 else 0))
    return CursorState(Query(envelope_id=ids), 0, 10**15 + number, 100, (), False, [number], sources)


SEALER = CursorCodec(SECRETS)
GOOD = [SEALER.seal(state(number)) for number in range(20)] + [
    CursorCodec(SECRETS[1:]).seal(state(number)) for number in range(20)
]
FOREIGN = [CursorCodec(("another secret of thirty-two characters!!",)).seal(state(number)) for number in range(20)]


def raw_of(text: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def flip_bits(rng: random.Random, text: str) -> str:
    raw = raw_of(text)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return text_of(raw)


def change_characters(rng: random.Random, text: str) -> str:
    found = list(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        found[rng.randrange(len(found))] = rng.choice(ALPHABET)
    return "".join(found)


def cut(rng: random.Random, text: str) -> str:
    place = rng.randrange(1, len(text))
    return rng.choice((text[:place], text[place:], text[: place - 1] + text[place:]))


def lengthen(rng: random.Random, text: str) -> str:
    more = "".join(rng.choice(ALPHABET + "=+/ \n.%") for _ in range(rng.randrange(1, 9)))
    place = rng.choice((0, len(text), rng.randrange(len(text))))
    return text[:place] + more + text[place:]


def splice(rng: random.Random, text: str) -> str:
    """The nonce of one, the body of another."""
    one, other = raw_of(text), raw_of(rng.choice(GOOD))
    place = rng.choice((1, 13, len(one) - 16, rng.randrange(len(one))))
    return text_of(one[:place] + other[place:])


def respell(rng: random.Random, text: str) -> str:
    """Other spellings of the very same bytes, and of nearly the same text."""
    ways: list[Callable[[str], str]] = [
        lambda t: t + "=" * (-len(t) % 4 or 4),
        lambda t: t.replace("-", "+").replace("_", "/") + "=",
        lambda t: t[:-1] + ALPHABET[(ALPHABET.index(t[-1]) + 1) % 64],
        lambda t: t[:-1] + ALPHABET[ALPHABET.index(t[-1]) ^ 1],
        lambda t: t.swapcase(),
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t.replace(t[3], f"%{ord(t[3]):02x}"),
        lambda t: t.replace("A", "\uff21").replace("a", "\u0430") + "\u200b",
        lambda t: t + t,
        lambda t: t + "\x00",
    ]
    return rng.choice(ways)(text)


def reorder(rng: random.Random, text: str) -> str:
    raw = raw_of(text)
    one, other = sorted(rng.sample(range(len(raw)), 2))
    return text_of(raw[:one] + raw[one:other][::-1] + raw[other:])


def another_format(rng: random.Random, text: str) -> str:
    raw = raw_of(text)
    raw[0] = rng.choice([byte for byte in range(256) if byte != raw[0]])
    return text_of(raw)


def invented(rng: random.Random, text: str) -> str:
    return rng.choice((text_of(b"\x01" + rng.randbytes(rng.randrange(400))), rng.choice(FOREIGN), ""))


MUTATIONS = (
    flip_bits, change_characters, cut, lengthen, splice, respell, reorder, another_format, invented,
)  # fmt: skip


def test_the_good_ones_are_good() -> None:
    """Or all that follows would prove nothing."""
    assert all(SEALER.open(text).limit == 100 for text in GOOD)
    assert len(set(GOOD)) == len(GOOD)


def test_no_mutation_is_accepted() -> None:
    rng, good, tried = random.Random(20260601), set(GOOD), 0
    while tried < EXAMPLES:
        text = rng.choice(MUTATIONS)(rng, rng.choice(GOOD))
        if rng.random() < 0.1:
            text = change_characters(rng, text) if text else text
        if text in good:
            continue  # two changes may undo each other
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
        for _ in range(300):
            text = rng.choice(MUTATIONS)(rng, good)
            if text == good:
                continue
            answer = client.get("/events", params={"cursor": text})
            assert answer.status_code == 400, text
            assert answer.json()["code"] == "invalid_cursor"
            assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/events", params={"cursor": good}).status_code == 200
