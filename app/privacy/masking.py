"""Hide private values in texts and JSON values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate, filterfalse, pairwise
from typing import Any

import msgspec

from app.domain.text import memoize
from app.privacy.person_fields import plain_number, private_members, words_of
from app.privacy.replacer import (
    MASK,
    MAX_TEXT,
    Span,
    TextIndex,
    Words,
    canonical,
    decoded,
    distinct,
    may_be_encoded,
    plain_spelling,
    replaced,
    without_encoded,
)

MAX_TEXTS = 524_288  #: characters of the texts of one record's `data` and `raw`; the texts behind are hidden whole
_OVERHEAD = 64  #: characters that a text counts for beyond its own
_NUMBER = 6  #: digits of a number that is searched for whatever its separators
_ID = 6  #: characters of an id that may be private

_SEPARATORS = re.compile(r"[\W_]+")
_GAP = re.compile(r"[\W_]{0,3}")  #: between two digits of one number
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")
_APART = " x "  #: between texts that are searched together: nothing that is hidden reaches across
_MAX_CLEAN, _MAX_JOINED = 1024, 2048  #: texts that are remembered; characters of those that are searched together

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SOME_NUMBER = re.compile(r"\d(?:[\W_]{0,3}\d){5}")

#: Phones as they are written internationally, and the national ids that are a date of birth with a dash and a number.
_PHONE_OR_ID = re.compile(
    r"(?<![\w.+])(?:\+|\b00(?=[1-9]))\d(?:[ ().-]{0,2}\d){6,14}(?!\w)"
    r"|(?<![\w-])(?:\d\d)?(?:[0-3]\d[01]\d\d\d|\d\d[01]\d[0-3]\d)[-+]\d{3}[\dA-Z](?![\w-])",
    re.IGNORECASE,
)
#: A text without a `+` and without a match of these has none of the pattern above; they are faster.
_DATED, _TRUNK = re.compile(r"-(?<=\d{6}-)\d{3}"), re.compile(r"00(?=[1-9])(?:[ ().-]{0,2}\d){7}")

#: Any number that may be a phone or an id. The group `other` matches what is neither: UUIDs, dates, program versions.
_ANY_NUMBER = re.compile(
    r"(?P<other>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b\d{4}-[01]\d-[0-3]\d(?:[T ]\d\d:[\d:.]*)?"
    r"|\bGecko/\d+|\b[a-z]+/\d+(?:[._]\d+)+)"
    r"|(?<![^\W_])\+?\d(?:[ ().\xa0_/-]{0,3}\d){6,14}+(?![^\W_])",
    re.IGNORECASE,
)
#: Matches wherever the second half of the pattern above does; faster, because it begins with an ASCII digit.
_ANY_DIGITS = re.compile(r"[0-9](?<![0-9A-Za-z][0-9])(?:[ ().\xa0_/-]{0,3}[0-9]){6,14}+(?![0-9A-Za-z])")
#: Much faster than that: without `_BETWEEN`, a number that matches has seven digits in a row.
_BETWEEN = b" ().\xa0_/-"
_RUNS = bytes(48 if 48 <= byte < 58 else 120 for byte in range(256))
#: Words of members whose numbers are no phones.
_MEASURES = frozenset([
    "at", "time", "timestamp", "date", "expires", "duration", "seconds", "ms", "size", "length", "bytes", "count",
    "total", "version", "page", "index",
])  # fmt: skip


_encode = msgspec.json.Encoder().encode


class Mask:
    """Replace private values by `***`, whatever their letter case, accents and separators between digits.

    `values`: those of one envelope. `any_number`: hide every number that may be a phone or a national id, for records
    that do not name all recipients of their envelope.
    """

    def __init__(self, values: Iterable[str] = (), *, any_number: bool = False) -> None:
        self._any_number = any_number
        self._whole = {plain_spelling(value).strip() for value in values} - {"", MASK}
        #: By the digits that a text must contain: the digits before them that it may contain.
        self._heads: dict[str, set[str]] = {}
        words = {word: MASK for value in self._whole if not self._add_number(value) and (word := canonical(value))}
        self._words, self._numbers = Words(words), TextIndex(dict(zip(self._heads, self._heads, strict=True)))
        #: Texts without anything to hide.
        self._clean: set[str] = set()
        #: The text with `***` for each private value; `***` for a text longer than `MAX_TEXT`.
        self.text = memoize(self._masked)
        #: The names of an object's members as they are shown: the same for all objects of one shape.
        self._names = memoize(lambda names: distinct([self.text(name) for name in names]))
        self._left = 0

    def _add_number(self, value: str) -> bool:
        digits = _digits_alone(value)
        if digits is None:
            return False
        international = value.startswith(("+", "00")) or len(digits) >= 10
        digits = digits.removeprefix("00")
        # A phone is written with and without its country's code of one to three digits.
        optional = min(3, max(0, len(digits) - 7)) if international else 0
        self._heads.setdefault(digits[optional:], set()).add(digits[:optional])
        return True

    def hides(self, texts: Iterable[str | None]) -> bool:
        """Whether any of the texts may contain a private value. Nearly always none does, so new texts are searched
        together, and texts without a private value once."""
        if not (new := set(filter(None, texts)) - self._clean):
            return False
        joined = _APART.join(filterfalse(_is_uuid, new))
        if not self._whole.isdisjoint(new) or not self._is_clean(joined):
            return True
        if len(joined) <= _MAX_JOINED:
            if len(self._clean) >= _MAX_CLEAN:
                self._clean.clear()
            self._clean |= new
        return False

    def hides_in(self, value: Any) -> bool:
        """Whether a JSON value without private members may contain a private value. One search of its JSON: the signs
        between two texts join no private value, but an escape may split one."""
        try:
            return not self._is_clean(_encode(value).decode())
        except UnicodeEncodeError:
            return True

    def _is_clean(self, text: str) -> bool:
        """Whether a text certainly contains no private value; it may be one itself."""
        if len(text) > MAX_TEXT or may_be_encoded(text):
            return False
        plain = plain_spelling(text)
        if self._any_number and _has_long_number(plain):
            return False
        return not (self._known_spans(plain) or _has_phone(plain))

    def identifier(self, text: str, *, of_person: bool = True) -> str:
        """Return the id, or `***` if it contains a private value of six characters or more or, with `of_person`, a
        number that may be a phone or a national id. UUIDs are unchanged."""
        if _is_uuid(text):
            return text
        find = self._spans if of_person else self._known_spans
        forms = (text, decoded(text)) if may_be_encoded(text) else (text,)
        hidden = any(end - start >= _ID for form in forms for start, end, _ in find(plain_spelling(form)))
        return MASK if hidden else text

    def values(self, *values: Any) -> list[Any]:
        """Return masked copies of the JSON values of one record, members' names included. Texts after the first
        `MAX_TEXTS` characters become `***`."""
        self._left = MAX_TEXTS
        return [self._value(value, "") for value in values]

    def _value(self, value: Any, name: str) -> Any:
        kind = type(value)
        if kind is str:
            self._left -= len(value) + _OVERHEAD
            return self.text(value) if self._left >= 0 else MASK
        if kind is dict:
            hidden = private_members(value)
            items = [_whole(item) if name in hidden else self._value(item, name) for name, item in value.items()]
            return dict(zip(self._names(tuple(value)), items, strict=True))
        if kind is list or kind is tuple:
            return [self._value(item, name) for item in value]
        if value is None or kind is bool or not self._hides_number(value, name):
            return value
        return MASK

    def _hides_number(self, value: float, name: str) -> bool:
        text = plain_number(value)
        if text in self._whole:
            return True
        if not text.isdigit() or len(text) < _NUMBER:
            return False
        for needed, heads in self._heads.items():
            if text.endswith(needed) and any(head.endswith(text.removesuffix(needed)) for head in heads):
                return True
        return self._any_number and 7 <= len(text) <= 12 and not _MEASURES.intersection(words_of(name))

    # ---- one text ------------------------------------------------------------------------------------------------

    def _masked(self, text: str) -> str:
        if len(text) > MAX_TEXT or text in self._whole:
            return MASK
        if _is_uuid(text):
            return text
        plain = plain_spelling(text)
        spans = self._spans(plain)
        shown = without_encoded(replaced(plain, spans) if spans else plain, lambda found: bool(self._spans(found)))
        return text if shown == plain else shown

    def _spans(self, plain: str) -> list[Span]:
        """Return the places of all private values in a text of plain spelling."""
        spans = self._known_spans(plain)
        if self._any_number and _has_long_number(plain):
            spans += [Span(*match.span()) for match in _ANY_NUMBER.finditer(plain) if match["other"] is None]
        if _has_phone(plain):
            spans += [Span(*match.span()) for match in _PHONE_OR_ID.finditer(plain)]
        return spans

    def _known_spans(self, text: str) -> list[Span]:
        spans = self._words.spans(text)
        if self._heads:
            digits = text.encode(errors="replace").translate(None, _NO_DIGITS).decode()
            if len(digits) >= _NUMBER and not self._numbers.is_absent(digits):
                found = self._numbers.places(digits)
                spans += [Span(0, len(text))] if found is None else self._number_spans(text, digits, found)
        return spans

    def _number_spans(self, text: str, digits: str, found: list[tuple[int, int, str]]) -> list[Span]:
        places = [place for place, letter in enumerate(text) if "0" <= letter <= "9"]
        #: Per digit, whether only a gap lies between it and the digit before it.
        joined = [False, *(_GAP.fullmatch(text, one + 1, other) is not None for one, other in pairwise(places))]
        breaks = list(accumulate((not one for one in joined), initial=0))
        spans = []
        for start, end, needed in found:
            if breaks[end] == breaks[start + 1]:
                first = min(_start_of(head, start, digits, joined) for head in self._heads[needed])
                spans.append(Span(_sign_before(text, places[first]), places[end - 1] + 1))
        return spans


def _has_phone(plain: str) -> bool:
    may_have = "+" in plain or _DATED.search(plain) or ("00" in plain and _TRUNK.search(plain))
    return bool(may_have) and _PHONE_OR_ID.search(plain) is not None


def _has_long_number(plain: str) -> bool:
    """Whether `_ANY_NUMBER` may match."""
    runs = plain.encode(errors="replace").translate(_RUNS, _BETWEEN)
    return b"0000000" in runs and _ANY_DIGITS.search(plain) is not None


def may_be_hidden(text: str) -> bool:
    """Whether an id or an e-mail address may contain a number that a mask hides."""
    return not _is_uuid(text) and _SOME_NUMBER.search(plain_spelling(text)) is not None


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and _UUID.fullmatch(text) is not None


def _start_of(head: str, start: int, digits: str, joined: list[bool]) -> int:
    """Return the first digit of a number whose needed digits begin at `start`: with as much of `head` as precedes
    them."""
    for digit in reversed(head):
        if not joined[start] or digits[start - 1] != digit:
            break
        start -= 1
    return start


def _sign_before(text: str, place: int) -> int:
    """Return the place of the `+` or `00` before a number that begins at `place`."""
    while place and text[place - 1] == "+":
        place -= 1
    if text.startswith("00", place - 2) and place >= 2 and not text[max(0, place - 3) : place - 2].isalnum():
        place -= 2
    return place


def _digits_alone(text: str) -> str | None:
    """Return the digits of a text of six or more digits and separators; None for other text."""
    if not text[-1:].isdigit():
        return None
    digits = _SEPARATORS.sub("", text)
    return digits if len(digits) >= _NUMBER and digits.isascii() and digits.isdigit() else None


def _whole(value: Any) -> Any:
    """Return `***`; null, true, false and empty values are unchanged."""
    return value if value is None or isinstance(value, bool) or value in ("", [], {}) else MASK
