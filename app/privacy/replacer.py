"""Replace known words in texts, whatever their letter case and spelling. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from html import unescape
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote

import ahocorasick

from app.domain.text import INVISIBLE

MASK = "***"

MAX_TEXT = 16_384  #: characters of a text that is searched; a longer one is hidden whole
MAX_SPANS = 512  #: places of one text that are replaced one by one; a text with more is hidden whole
_MAX_PLACES = 65_536  #: places of one text that are looked at, the same
_FEW = 32  #: texts that are tried one after another
WITHIN = 6  #: characters of a word that is replaced within others; a shorter one must stand alone

_DASHES = re.compile("[\u2010-\u2015\u2212]")
_FOREIGN_DIGITS = re.compile(r"(?![0-9])\d")


class Span(NamedTuple):
    """A part of a text, and its replacement."""

    start: int
    end: int
    replacement: str = MASK


def plain_spelling(text: str) -> str:
    """Return the text with composed accents, ASCII digits, signs of normal width and hyphens for dashes, without
    invisible characters: spellings that look the same become equal."""
    return text if text.isascii() or _PLAIN.fullmatch(text) else _plain(text)


def _plain(text: str) -> str:
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text.translate(INVISIBLE)))
    return _FOREIGN_DIGITS.sub(lambda match: str(unicodedata.decimal(match[0])), plain)


#: Texts of ASCII and Latin letters that are plain: a fiftieth of the time.
_PLAIN = re.compile(f"[\0-\x7f{''.join(c for c in map(chr, range(0xC0, 0x250)) if _plain(c) == c)}]*")


def folded(text: str) -> str:
    """Return the case-folded text, in which a dotted and a dotless i are one letter. Works letter by letter."""
    plain = text.casefold()
    return plain if plain.isascii() else plain.replace("\u0307", "").replace("\u0131", "i")


def canonical(text: str) -> str:
    """Return a word as `Words` compares it: plain spelling, folded, one blank between its parts."""
    return " ".join(folded(plain_spelling(text)).split())


class TextIndex:
    """Index of non-empty texts, each with a value. Finds all places of all texts in one pass (Aho-Corasick), linear in
    the searched text, whatever the number of texts."""

    __slots__ = ("_automaton", "_parts", "_texts")

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self._texts = {text: value for text, value in texts.items() if text}
        few = len(self._texts) <= _FEW
        self._parts = [max(text.split() or [text], key=len) for text in self._texts] if few else None
        self._automaton: ahocorasick.Automaton | None = None

    def __bool__(self) -> bool:
        return bool(self._texts)

    def is_absent(self, text: str) -> bool:
        """Whether the searched text certainly contains none, whatever the blanks between their parts. Few texts are
        tried one by one, because creating an automaton takes longer than searching most envelopes' texts."""
        return self._parts is not None and not [part for part in self._parts if part in text]

    def places(self, text: str) -> list[tuple[int, int, Any]] | None:
        """Return start, end and value of each place, ordered by the end; None for more than `_MAX_PLACES`."""
        if self._parts is not None and not [one for one in self._texts if one in text]:
            return []
        if self._automaton is None:
            self._automaton = ahocorasick.Automaton()
            for one, value in self._texts.items():
                self._automaton.add_word(one, (len(one), value))
            self._automaton.make_automaton()
        hits = list(islice(self._automaton.iter(text), _MAX_PLACES + 1))
        return None if len(hits) > _MAX_PLACES else [(end + 1 - size, end + 1, value) for end, (size, value) in hits]


class Words:
    """Finds words, each given in its canonical form with its replacement.

    `within`: characters from which on a word is also found inside of others."""

    def __init__(self, words: Mapping[str, str], *, within: int = WITHIN) -> None:
        self._index, self._within = TextIndex(words), within

    def __bool__(self) -> bool:
        return bool(self._index)

    def spans(self, text: str) -> list[Span]:
        """Return the places of the words in a text of plain spelling."""
        if not self._index or self._index.is_absent(lowered := folded(text)):
            return []
        places = None
        one_by_one = text.isascii() or len(text) == len(text.casefold()) == len(lowered)
        if not one_by_one or "  " in text or not text.isprintable():
            if len(text) > MAX_TEXT:
                return [Span(0, len(text))]
            lowered, places = _with_places(text)
        if (found := self._index.places(lowered)) is None:
            return [Span(0, len(text))]
        return [
            Span(start, end, value) if places is None else Span(places[start], places[end - 1] + 1, value)
            for start, end, value in found
            if end - start >= self._within
            or not (_in_word(lowered[start - 1 : start]) or _in_word(lowered[end : end + 1]))
        ]


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Return the text with replaced spans. Overlapping spans become the replacement of the first and longest. More than
    `MAX_SPANS` make the whole text `***`."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    if len(ordered) > MAX_SPANS:
        return MASK
    parts: list[str] = []
    done = 0
    for start, end, replacement in ordered:
        if start >= done:
            parts += (text[done:start], replacement)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def may_be_encoded(text: str) -> bool:
    """Return False for a text that is certainly not encoded, in a hundredth of a pattern's time."""
    return "%" in text or "&" in text or "\\" in text


def decoded(text: str) -> str:
    """Return the text without percent-encoding, HTML escapes and escaped slashes of JSON, decoded twice."""
    for _ in range(2):
        text = unescape(unquote(text)).replace("\\/", "/")
    return text


def without_encoded(plain: str, holds: Callable[[str], bool]) -> str:
    """Return a text of plain spelling with `***` for each word, or the whole, whose decoded form `holds` refuses."""

    def holds_encoded(text: str) -> bool:
        return holds(plain_spelling(decoded(text)))

    if not may_be_encoded(plain) or not holds_encoded(plain):
        return plain
    plain = re.sub(r"\S+", lambda word: MASK if holds_encoded(word[0]) else word[0], plain)
    return MASK if holds_encoded(plain) else plain


def _with_places(text: str) -> tuple[str, list[int]]:
    """Return the folded text, with one blank between words, and the place in `text` of each letter."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for one in " " if letter.isspace() else folded(letter):
            if one != " " or letters[-1:] != [" "]:
                letters.append(one)
                places.append(place)
    return "".join(letters), places


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def any_object(value: Any, judge: Callable[[tuple[str, ...]], bool]) -> bool:
    """Whether `judge` is true of the names of an object in a JSON value, at any depth."""
    if type(value) is dict:
        if judge(tuple(value)):
            return True
        value = value.values()
    elif type(value) not in _CONTAINERS:
        return False
    for item in value:  # noqa: SIM110 - `any` takes three times as long
        if type(item) in _CONTAINERS and any_object(item, judge):
            return True
    return False


_CONTAINERS = frozenset({dict, list, tuple})


def map_texts(value: Any, text: Callable[[str], str]) -> Any:
    """Return a copy of a JSON value with `text` applied to each of its texts and names."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        names = distinct([text(str(name)) for name in value])
        return dict(zip(names, (map_texts(item, text) for item in value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [map_texts(item, text) for item in value]
    return value


def distinct(names: list[str]) -> list[str]:
    """Return the names in order, equal ones numbered: `***`, `*** 2`, `*** 3`."""
    if len(set(names)) == len(names):
        return names
    taken: set[str] = set()
    counts: dict[str, int] = {}
    found = []
    for name in names:
        free, count = name, counts.get(name, 1)
        while free in taken:
            count += 1
            free = f"{name} {count}"
        counts[name] = count
        taken.add(free)
        found.append(free)
    return found
