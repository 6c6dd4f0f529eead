"""A mask hides what a search by one pattern per value would find, in every spelling."""

import re
import sys
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.privacy.masking import Mask
from app.privacy.replacer import MASK
from app.privacy.spelling import folded, plain_spelling

LETTERS = "aikszAIKSZ é\u00c5\u0130\u0131\u017f\u212aßẞΣσςμµþÞ\ufb05\ufb06\u0307"
NUMBERS = "0123456789 ()+-/._\u00a0"
VALUES = st.lists(st.text(LETTERS, max_size=8) | st.text(NUMBERS, max_size=12), max_size=4)


def pattern_of(value: str) -> str | None:
    """A pattern that finds the value in a folded text with single blanks: from six letters on, with any signs between
    them, else as it is spelled."""
    words = " ".join(folded(value).split())
    letters = re.sub(r"[\W_]", "", words)
    if not letters:
        return None
    if len(letters) < 6:
        spelled = re.sub(r"^[\W_]+|[\W_]+$", "", words)
        return rf"(?<!\w){re.escape(spelled)}(?!\w)"
    if letters.isdecimal():
        international = value.startswith(("+", "00")) or len(letters) >= 10
        letters = letters.removeprefix("00")
        letters = letters[min(3, max(0, len(letters) - 7)) if international else 0 :]
    return r"[\W_]*".join(letters)


def holds(values: list[str], text: str) -> bool:
    patterns = filter(None, (pattern_of(plain_spelling(value).strip()) for value in values))
    plain = " ".join(folded(plain_spelling(text)).split(" "))
    plain = re.sub(r"\s+", " ", plain)
    return any(re.search(pattern, plain) for pattern in patterns)


@given(VALUES, st.text(LETTERS, max_size=20) | st.text(NUMBERS, max_size=30), st.data())
@example(["\u0130zmir 1"], "izmir 1", None)
@example(["kirkju"], "\u212airkju", None)
@example(["+354 581 2345"], "(581) 2345", None)
@example(["581 ---- 2345"], "call 581 ---- 2345 now", None)
@example(["+354 581 2345"], "5 (8) _-/-_ 12 ... 345", None)
def test_a_value_is_hidden_exactly_where_it_occurs(values: list[str], text: str, data: st.DataObject | None) -> None:
    if values and data is not None:
        # Somewhere in the text, as another author would write it.
        blank = data.draw(st.sampled_from(["", "-", "  ", " - / - "]))
        text = f"{text} {data.draw(st.sampled_from(values)).swapcase().replace(' ', blank)}{text}"
    always = Mask().text(text) != text
    masked = Mask(values).text(text)
    if not holds(values, text):
        assert masked == (Mask().text(text) if always else text)
    else:
        assert MASK in masked
        # A letter in place of each mask, so that what stood beside it is still within a word.
        assert not holds(values, masked.replace(MASK, "x"))


def test_letters_of_one_folding_are_equal_letter_by_letter() -> None:
    text = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    assert folded(text) == "".join(chain.from_iterable(map(folded, text)))
    for group in ("i\u0131\u0130", "s\u017f", "k\u212a", "\u00b5\u03bc", "\u03c3\u03c2", "\u03b2\u03d0"):
        assert len({folded(letter) for letter in group}) == 1


#: Between two digits of a number, and beside it.
SIGNS = st.text(" .,:;()+/_-'\u00a0\u00b7\t\n", max_size=5)
BESIDE = st.text(" .,:;()/-_", min_size=1, max_size=2)
WORDS = st.sampled_from(["call", "2nd floor", "12 34 567 890 123 4567", "x5", "A1", "7th, 8", "", "+", "v2"])


@given(st.integers(2_000_000, 99_999_999), st.lists(SIGNS, min_size=8, max_size=8), BESIDE, BESIDE, WORDS, WORDS)
@example(5551234, [""] * 8, " ", " ", "call", "2nd floor")
@example(5551234, [""] * 8, " ", " ", "", "2024050607 0809")
def test_an_unknown_number_is_hidden_whatever_stands_beside_it(
    number: int, signs: list[str], before: str, after: str, first: str, last: str
) -> None:
    """In records that do not name all recipients of their envelope."""
    digits = str(number)
    spelled = "".join(digit + sign for digit, sign in zip(digits[:-1], signs, strict=False)) + digits[-1]
    masked = Mask(any_number=True).text(f"{first}{before}{spelled}{after}{last}")
    assert digits not in re.sub(r"[\W_]", "", masked.replace(MASK, "x"))


@pytest.mark.parametrize(
    "text",
    ["++354 555 1234", "tel+3545551234", "+3545551234og", "+354 / 555 / 1234", "lease_120387-4459_final.pdf",
     "lease-120387-4459-final.pdf", "00354 5551234."],
)  # fmt: skip
def test_an_unknown_phone_or_id_is_hidden_among_letters_and_signs(text: str) -> None:
    assert not re.search(r"555.*1234|4459", Mask().text(text))
