"""Masks look closer only where a value may be: what they leave alone holds nothing."""

from __future__ import annotations

import re
import sys

from hypothesis import example, given
from hypothesis import strategies as st

from app.privacy.masking import _ALWAYS, MASK, _Wanted, folded, mask_for, plain_spelling

LETTERS = "aikszAIKSZ é\u00c5\u0130\u0131\u017f\u212aßẞΣσςμµþÞ\ufb05\ufb06\u0307"
NUMBERS = "0123456789 ()+-/.\u00a0"
VALUES = st.lists(st.text(LETTERS, max_size=8) | st.text(NUMBERS, max_size=12), max_size=4)


def thorough(values: list[str], text: str) -> str:
    """What searching by every pattern gives, in the text as it is and in its plain spelling."""
    spellings = {spelling.strip() for value in values for spelling in (value, plain_spelling(value))}
    wanted = [_Wanted(value) for value in sorted(spellings, key=len, reverse=True) if value]
    pattern = re.compile("|".join([*(one.pattern for one in wanted), *_ALWAYS]), re.IGNORECASE)
    masked = pattern.sub(MASK, text)
    plain = plain_spelling(masked)
    hidden = masked if plain == masked else pattern.sub(MASK, plain)
    return masked if hidden == plain else hidden


@given(VALUES, st.text(LETTERS, max_size=20) | st.text(NUMBERS, max_size=30), st.data())
@example(["\u0130zmir 1"], "izmir 1", None)
@example(["kirkju"], "\u212airkju", None)
@example(["+354 581 2345"], "(581) 2345", None)
def test_nothing_is_missed(values: list[str], text: str, data: st.DataObject | None) -> None:
    if values and data is not None:
        # Somewhere in the text, as somebody else would write it.
        written = (
            data.draw(st.sampled_from(values)).swapcase().replace(" ", data.draw(st.sampled_from(["", "-", "  "])))
        )
        text = f"{text} {written}{text}"
    assert mask_for(values)(text) == thorough(values, text)


def test_letters_that_a_pattern_takes_for_the_same_are_the_same_when_folded() -> None:
    text = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    lowered = {letter: letter.lower() for letter in text if letter != letter.lower() and len(letter.lower()) == 1}
    assert len(lowered) > 1000
    assert [letter for letter, lower in lowered.items() if folded(letter) != folded(lower)] == []
    for group in (
        "i\u0131\u0130",
        "s\u017f",
        "k\u212a",
        "\u00b5\u03bc",
        "\u03c3\u03c2",
        "\u03b2\u03d0",
        "\ufb05\ufb06",
    ):
        assert all(re.fullmatch(group[0], letter, re.IGNORECASE) for letter in group)
        assert len({folded(letter) for letter in group}) == 1
