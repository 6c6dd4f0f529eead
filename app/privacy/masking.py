"""Hide private values in texts and JSON values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from app.domain.text import memoize, without_accents
from app.privacy.json_values import Rewriter
from app.privacy.person_fields import PRIVATE_ENDS, is_private_name, plain_number, words_of
from app.privacy.replacer import MASK, MAX_TEXT, Span, Words, rewritten
from app.privacy.spelling import decodings, letters_of, plain_spelling, quick_letters, quick_letters_of

MAX_TEXTS = 524_288  #: characters of the texts of one record's `data` and `raw`; the texts behind are hidden whole
_OVERHEAD = 64  #: characters that a text counts for beyond its own
_ID = 6  #: characters of an id that may be private

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SOME_NUMBER = re.compile(r"\d(?:[\W_]*\d){5}")

#: Phones as they are written internationally, and the national ids that are a date of birth with a dash and a number.
_PHONE_OR_ID = re.compile(
    r"(?<!\d)\+\d(?:[\W_]{0,3}\d){6,14}|(?<![\w.+])00[1-9](?:[ ().-]{0,2}\d){6,14}(?!\w)"
    r"|(?<![0-9a-z])(?:\d\d)?(?:[0-3]\d[01]\d\d\d|\d\d[01]\d[0-3]\d)[-+]\d{3}[\dA-Z](?![0-9a-z])",
    re.IGNORECASE,
)
#: Any numbers side by side. The group `other` matches what is neither phone nor id: UUIDs, dates, program versions.
_ANY_NUMBER = re.compile(
    r"(?P<other>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b\d{4}-[01]\d-[0-3]\d(?:[T ]\d\d:[\d:.]*)?"
    r"|\bGecko/\d+|\b[a-z]+/(?!\d{3}\.\d{4}(?!\.?\d))\d{1,6}(?:\.\d+)+)"
    # Ids have ASCII letters beside their digits; other scripts write numbers without blanks.
    r"|(?<![0-9a-z])\+?\d++(?![0-9a-z])(?:[\W_]++\d++(?![0-9a-z]))*+",
    re.IGNORECASE,
)
_MIN_DIGITS = 7  #: of such numbers together
#: A text without a `+` and without a match of these has none of the first pattern; they are faster.
_DATED, _TRUNK = re.compile(r"-(?<=\d{6}-)\d{3}"), re.compile(r"00(?=[1-9])(?:[ ().-]{0,2}\d){7}")
#: Matches where `_MIN_DIGITS` begin; faster than the second pattern, because it begins with an ASCII digit.
_ANY_DIGITS = re.compile(r"[0-9](?<![0-9A-Za-z][0-9])(?=(?:[\W_]*[0-9]){6})[0-9]*+(?![0-9A-Za-z])")
#: A number directly after a letter, such as `tel5551234`: private only if the word before it names a phone or an id.
#: Ids, hashes, versions and file names have other words, or none.
_AFTER_LETTER = re.compile(r"[0-9](?<=[^\W\d_][0-9])(?:[\W_]{0,3}[0-9]){6,14}")
_WORD_BEFORE = re.compile(r"[^\W\d_]+\Z")
_LONGEST_WORD = 32  #: letters before a number that are looked at
#: Much faster: a text with a match of any pattern has seven digits in a row among its letters.
_RUNS, _SEVEN = bytes(48 if 48 <= byte < 58 else 120 for byte in range(256)), b"0" * _MIN_DIGITS
#: Keys of letters and digits have such runs, but seldom this row, which a match of `_ANY_DIGITS` becomes if digits are
#: 0, other ASCII letters x, and the rest blanks.
_ROW = re.compile(rb" 0" + rb" *0" * 6)
_KINDS = bytes(48 if 48 <= byte < 58 else 120 if chr(byte).isalpha() and byte < 128 else 32 for byte in range(256))
#: Words of members whose numbers are no phones.
_MEASURES = frozenset([
    "at", "time", "timestamp", "date", "expires", "duration", "seconds", "ms", "size", "length", "bytes", "count",
    "total", "version", "page", "index",
])  # fmt: skip

_encode = msgspec.json.Encoder().encode


class Mask(Rewriter):
    """Replace private values by `***`, whatever their letter case, accents and separators.

    `values`: those of one envelope. `any_number`: hide every number that may be a phone or a national id, for records
    that do not name all recipients of their envelope.
    """

    def __init__(self, values: Iterable[str] = (), *, any_number: bool = False) -> None:
        self._any_number = any_number
        spelled = [form for value in values for form in (value, without_accents(value))]
        self._words = Words(dict.fromkeys(spelled, MASK), numbers=True)
        #: The text with `***` for each private value; `***` for a text longer than `MAX_TEXT`.
        self.text = memoize(self._masked)
        self._left = 0

    def is_clean(self, texts: Iterable[str | None], *values: Any) -> bool:
        """Whether texts and JSON values certainly contain no private value. One search of their JSON, without UUIDs,
        whose digits take the most time."""
        known = [text for text in texts if text and not (len(text) == 36 and _matches_uuid(text))]
        try:
            encoded = _encode((known, values))
        except UnicodeEncodeError:
            return False
        if encoded.find(b"\\") >= 0:
            # Only these two of JSON's escapes are frequent.
            encoded = encoded.replace(b'\\"', b" ").replace(b"\\n", b" ")
        quick = None if len(encoded) > MAX_TEXT else quick_letters_of(encoded)
        if quick is None or self._words.may_be_in(quick):
            return False
        runs = quick.translate(_RUNS)
        if (place := runs.find(_SEVEN)) < 0:
            return True
        while place >= 0 and quick[place - 2 : place] not in PRIVATE_ENDS:
            place = runs.find(_SEVEN, place + _MIN_DIGITS)
        if place >= 0 and _named_numbers(encoded.decode()):
            return False
        has_row = _ROW.search(encoded.translate(_KINDS)) is not None
        if has_row and self._any_number:
            # Most of these have a number to hide, such as an IP address. One text after the other takes less time.
            return False
        text = encoded.decode()
        return not _may_have_phone(text) and not (has_row and self._has_numbers(text))

    def identifier(self, text: str, *, of_person: bool = True) -> str:
        """Return the id, or `***` if it contains a private value of six characters or more or, with `of_person`, a
        number that may be a phone or a national id. UUIDs are unchanged."""
        if _is_uuid(text):
            return text
        find = self._spans if of_person else self._words.spans
        hidden = any(
            end - start >= _ID for form in (text, *decodings(text)) for start, end, _ in find(plain_spelling(form))
        )
        return MASK if hidden else text

    def values(self, *values: Any) -> list[Any]:
        """Return masked copies of the JSON values of one record, members' names included. Texts after the first
        `MAX_TEXTS` characters become `***`."""
        self._left = MAX_TEXTS
        return [self.value(value) for value in values]

    def member(self, text: str, _: str) -> str:
        self._left -= len(text) + _OVERHEAD
        return self.text(text) if self._left >= 0 else MASK

    def number(self, value: float, name: str) -> Any:
        text = plain_number(value)
        any_number = self._any_number and 7 <= len(text) <= 12 and text.isdigit()
        # Of a phone, also with the digits of a country's code.
        digits = letters_of(text)
        known = digits in self._words or any(
            digits[code:] in self._words for code in (1, 2, 3) if len(digits) >= 7 + code
        )
        hidden = known or (any_number and not _MEASURES.intersection(words_of(name)))
        return MASK if hidden else value

    def _masked(self, text: str) -> str:
        if len(text) > MAX_TEXT:
            return MASK
        quick = quick_letters(text)
        if quick is not None and not self._words.may_be_in(quick) and quick.translate(_RUNS).find(_SEVEN) < 0:
            return text
        return text if _is_uuid(text) else rewritten(text, self._spans)

    def _spans(self, plain: str) -> list[Span]:
        """Return the places of all private values in a text of plain spelling."""
        spans = [Span(_sign_before(plain, start), end, shown) for start, end, shown in self._words.spans(plain)]
        if _may_have_phone(plain):
            spans += [Span(*match.span()) for match in _PHONE_OR_ID.finditer(plain)]
        spans += _named_numbers(plain)
        return spans + _any_numbers(plain) if self._has_numbers(plain) else spans

    def _has_numbers(self, plain: str) -> bool:
        """Whether a text has a number that may be private because nothing else is known, or because it is named."""
        return _ANY_DIGITS.search(plain) is not None and (self._any_number or is_private_name(plain))


def _named_numbers(plain: str) -> list[Span]:
    """Return the numbers directly after a word that names them: `tel5551234`, `kt120387-4459`."""
    found = []
    for match in _AFTER_LETTER.finditer(plain):
        start = match.start()
        word = _WORD_BEFORE.search(plain, max(0, start - _LONGEST_WORD), start)
        if word is not None and word[0][-2:].lower().encode() in PRIVATE_ENDS and is_private_name(word[0]):
            found.append(Span(*match.span()))
    return found


def _may_have_phone(plain: str) -> bool:
    return "+" in plain or _DATED.search(plain) is not None or ("00" in plain and _TRUNK.search(plain) is not None)


def _any_numbers(plain: str) -> list[Span]:
    found = [match for match in _ANY_NUMBER.finditer(plain) if match["other"] is None]
    return [Span(*match.span()) for match in found if sum(map(str.isdigit, match[0])) >= _MIN_DIGITS]


def may_be_hidden(text: str) -> bool:
    """Whether an id or an e-mail address may contain a number that a mask hides."""
    return not _is_uuid(text) and _SOME_NUMBER.search(plain_spelling(text)) is not None


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and _matches_uuid(text)


@memoize
def _matches_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def _sign_before(plain: str, start: int) -> int:
    """Return the place of the `+` before a number."""
    while start and plain[start - 1] == "+":
        start -= 1
    return start
