"""Hide private values in texts and JSON values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Any

from app.privacy.person_fields import plain_number, private_members, words_of
from app.privacy.replacer import (
    MASK,
    MAX_HITS,
    MAX_TEXT,
    Span,
    SubstringIndex,
    WordReplacer,
    canonical,
    distinct,
    plain_spelling,
    replaced,
)

MAX_TEXTS = 524_288  #: characters of the texts of one record's `data` and `raw`; the texts behind are hidden whole
_MEMO_TEXT, _MEMO_TEXTS = 256, 1024  #: characters of a text that is remembered; number of those texts
_NUMBER = 6  #: digits of a number that is searched for whatever its separators
_ID = 6  #: characters of an id that may be private

_SEPARATORS = re.compile(r"[\W_]+")
_GAP = re.compile(r"[\W_]{0,3}")  #: between two digits of one number
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SOME_NUMBER = re.compile(r"\d(?:[\W_]{0,3}\d){5}")

#: Phones as they are written internationally, and the national ids that are a date of birth with a dash and a number.
_PHONE_OR_ID = re.compile(
    r"(?<![\w.+])(?:\+|\b00(?=[1-9]))\d(?:[ ().-]{0,2}\d){6,14}(?!\w)"
    r"|(?<![\w-])(?:\d\d)?(?:[0-3]\d[01]\d\d\d|\d\d[01]\d[0-3]\d)[-+]\d{3}[\dA-Z](?![\w-])",
    re.IGNORECASE,
)
#: A text without a match of these has none of the pattern above; they are faster.
_DASHED, _DATED, _TRUNK = re.compile(r"-\d\d\d"), re.compile(r"\d-\d\d\d"), re.compile("00[1-9]")

#: Any number that may be a phone or an id, or (group `other`) a UUID, a date or a program's version, which are not.
_ANY_NUMBER = re.compile(
    r"(?P<other>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b\d{4}-[01]\d-[0-3]\d(?:[T ]\d\d:[\d:.]*)?"
    r"|\bGecko/\d+|\b[a-z]+/\d+(?:[._]\d+)+)"
    r"|(?<![^\W_])\+?\d(?:[ ().\xa0_/-]{0,3}\d){6,14}+(?![^\W_])",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d[^a-z]{6}", re.IGNORECASE)  #: a text without a match has no such number
#: Words of members whose numbers are no phones.
_MEASURES = frozenset([
    "at", "time", "timestamp", "date", "expires", "duration", "seconds", "ms", "size", "length", "bytes", "count",
    "total", "version", "page", "index",
])  # fmt: skip


class Mask:
    """Puts `***` for private values, whatever their letter case, accents and separators between digits.

    `values`: those of one envelope. `any_number`: hide every number that may be a phone or a national id, for records
    that do not name all recipients of their envelope.
    """

    def __init__(self, values: Iterable[str] = (), *, any_number: bool = False) -> None:
        self._any_number = any_number
        self._whole: set[str] = set()
        #: By the digits that a text must contain: the digits before them that it may contain.
        self._numbers: dict[str, set[str]] = {}
        words: set[str] = set()
        for value in values:
            if not (plain := plain_spelling(value).strip()) or plain == MASK:
                continue
            self._whole.add(plain)
            if not self._add_number(plain) and (word := canonical(plain)):
                words.add(word)
        self._words = WordReplacer(dict.fromkeys(words, MASK))
        self._number_index = SubstringIndex(self._numbers)
        self._memo: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._shapes: dict[str, list[str]] = {}
        self._left = MAX_TEXTS

    def _add_number(self, value: str) -> bool:
        digits = _digits_alone(value)
        if digits is None:
            return False
        international = value.startswith(("+", "00")) or len(digits) >= 10
        digits = digits.removeprefix("00")
        # A phone is written with and without its country's code of one to three digits.
        optional = min(3, max(0, len(digits) - 7)) if international else 0
        self._numbers.setdefault(digits[optional:], set()).add(digits[:optional])
        return True

    def text(self, text: str) -> str:
        """The text with `***` for each private value; `***` for a text longer than `MAX_TEXT`."""
        masked = self._memo.get(text)
        if masked is None:
            masked = self._masked(text)
            if len(text) <= _MEMO_TEXT:
                if len(self._memo) >= _MEMO_TEXTS:
                    self._memo.clear()
                self._memo[text] = masked
        return masked

    def identifier(self, text: str) -> str:
        """An id; `***` where it contains a private value of six characters or more. UUIDs stay."""
        if not self._whole or _UUID.fullmatch(text):
            return text
        shown = self._ids.get(text)
        if shown is None:
            spans = self._known_spans(plain_spelling(text))
            shown = self._ids[text] = MASK if any(end - start >= _ID for start, end, _ in spans) else text
        return shown

    def begin_record(self) -> None:
        """Begin a record, whose `data` and `raw` may have texts of `MAX_TEXTS` characters together."""
        self._left = MAX_TEXTS

    def value(self, value: Any, name: str = "") -> Any:
        """A copy of a JSON value that stands under `name`, with private values hidden, in members' names too."""
        if isinstance(value, str):
            self._left -= len(value) + 64
            return self.text(value) if self._left >= 0 else MASK
        if isinstance(value, dict):
            hidden = private_members(value)
            names = self._names("\0".join(value), value)
            items = [_whole(item) if name in hidden else self.value(item, name) for name, item in value.items()]
            return dict(zip(names, items, strict=True))
        if isinstance(value, (list, tuple)):
            return [self.value(item, name) for item in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return MASK if self._hides_number(plain_number(value), name) else value
        return value

    def _names(self, joined: str, value: dict[str, Any]) -> list[str]:
        """The names of an object's members, masked: the same for all objects of one shape."""
        names = self._shapes.get(joined)
        if names is None:
            names = distinct([self.text(member) for member in value])
            if len(joined) <= _MEMO_TEXT and len(self._shapes) < _MEMO_TEXTS:
                self._shapes[joined] = names
        return names

    def _hides_number(self, text: str, name: str) -> bool:
        if text in self._whole:
            return True
        if not text.isdigit() or len(text) < _NUMBER:
            return False
        for needed, heads in self._numbers.items():
            if text.endswith(needed) and any(head.endswith(text.removesuffix(needed)) for head in heads):
                return True
        return self._any_number and 7 <= len(text) <= 12 and not _MEASURES.intersection(words_of(name))

    # ---- one text ------------------------------------------------------------------------------------------------

    def _masked(self, text: str) -> str:
        if len(text) > MAX_TEXT or text in self._whole:
            return MASK
        if len(text) == 36 and _UUID.fullmatch(text):
            return text
        plain = plain_spelling(text)
        spans = self._known_spans(plain)
        if self._any_number and _DIGIT.search(plain):
            spans += [Span(*match.span()) for match in _ANY_NUMBER.finditer(plain) if match["other"] is None]
        if "+" in plain or (_DASHED.search(plain) and _DATED.search(plain)) or ("00" in plain and _TRUNK.search(plain)):
            spans += [Span(*match.span()) for match in _PHONE_OR_ID.finditer(plain)]
        return replaced(plain, spans) if spans else text

    def _known_spans(self, text: str) -> list[Span]:
        spans = self._words.spans(text)
        if self._numbers:
            digits = text.encode(errors="replace").translate(None, _NO_DIGITS).decode()
            if len(digits) >= _NUMBER and (found := self._number_index.found_in(digits)):
                spans += self._number_spans(text, digits, found)
        return spans

    def _number_spans(self, text: str, digits: str, found: list[str]) -> Iterator[Span]:
        if len(found) > MAX_HITS:
            yield Span(0, len(text))
            return
        places = [place for place, letter in enumerate(text) if "0" <= letter <= "9"]
        #: Per digit, whether only a gap lies between it and the digit before it.
        joined = [False, *(_GAP.fullmatch(text, one + 1, other) is not None for one, other in pairwise(places))]
        breaks = list(accumulate((not one for one in joined), initial=0))
        for needed in found:
            start = digits.find(needed)
            while start >= 0:
                end = start + len(needed)
                if breaks[end] == breaks[start + 1]:
                    first = min(_start_of(head, start, digits, joined) for head in self._numbers[needed])
                    yield Span(_sign_before(text, places[first]), places[end - 1] + 1)
                start = digits.find(needed, start + 1)


def may_be_hidden(text: str) -> bool:
    """Whether an id or an e-mail address may hold a number that a mask hides."""
    return not _UUID.fullmatch(text) and _SOME_NUMBER.search(plain_spelling(text)) is not None


def _start_of(head: str, start: int, digits: str, joined: list[bool]) -> int:
    """Where a number begins whose needed digits begin at `start`: as much of `head` as stands before them."""
    for digit in reversed(head):
        if not joined[start] or digits[start - 1] != digit:
            break
        start -= 1
    return start


def _sign_before(text: str, place: int) -> int:
    """Where the `+` or `00` of a number that begins at `place` stands."""
    while place and text[place - 1] == "+":
        place -= 1
    if text.startswith("00", place - 2) and place >= 2 and not text[max(0, place - 3) : place - 2].isalnum():
        place -= 2
    return place


def _digits_alone(text: str) -> str | None:
    """The digits of a text that has six or more, and nothing else but separators."""
    if not text[-1:].isdigit():
        return None
    digits = _SEPARATORS.sub("", text)
    return digits if len(digits) >= _NUMBER and digits.isascii() and digits.isdigit() else None


def _whole(value: Any) -> Any:
    """`***`, except for null, true, false and what is empty."""
    return value if value is None or isinstance(value, bool) or value in ("", [], {}) else MASK
