"""Text as it is compared: one form for all ways of writing the same."""

from __future__ import annotations

import unicodedata

from app.domain.memoize import memoize

#: Every width of space becomes one; what has no width (soft hyphen, joiners, marks of direction) is left out.
_BLANKS = dict.fromkeys((160, 5760, *range(8192, 8203), 8239, 8287, 12288), " ")
INVISIBLE = dict.fromkeys(
    (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF)
)
_TABLE = _BLANKS | INVISIBLE


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFC", text.translate(_TABLE)).casefold()
    return unicodedata.normalize("NFC", composed)


#: The text in NFC, case-folded, with plain blanks: equal for equal texts in any letter case and any composition.
fold = memoize(_fold, 8192)
