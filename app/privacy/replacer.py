"""Replace known words in texts, whatever their letter case and spelling. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

MASK = "***"

MAX_TEXT = 16_384  #: characters of a text that is searched; a longer one is hidden whole
MAX_HITS = 64  #: words of which one text may contain some; a text with more is hidden whole
_MAX_WORDS = 1024  #: words of which one text has a part; the same
_MAX_SPANS = 512  #: places of one text that are replaced one by one; the same
WITHIN = 6  #: characters of a word that is replaced within others; a shorter one must stand alone

_FEW = 64  #: texts that are tried one after another
_END = 8  #: characters by which a text is looked up: its last, because links and phones begin alike

_DASHES = re.compile("[\u2010-\u2015\u2212]")
_FOREIGN_DIGITS = re.compile(r"(?![0-9])\d")
_ODD_BLANKS = re.compile(r"[^\S ]|  ")


class Span(NamedTuple):
    """A part of a text, and what takes its place."""

    start: int
    end: int
    replacement: str = MASK


def plain_spelling(text: str) -> str:
    """The text with accents joined to their letters, digits and full-width signs as ASCII, and every dash a hyphen:
    spellings that look the same become the same."""
    if text.isascii():
        return text
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text))
    return _FOREIGN_DIGITS.sub(lambda match: str(unicodedata.decimal(match[0])), plain)


def folded(text: str) -> str:
    """The text without regard to letter case; a dotted and a dotless i are one letter. Works letter by letter."""
    plain = text.casefold()
    return plain if plain.isascii() else plain.replace("\u0307", "").replace("\u0131", "i")


def canonical(text: str) -> str:
    """A word as `WordReplacer` compares it: plain spelling, folded, one blank between its parts."""
    return " ".join(folded(plain_spelling(text)).split())


class SubstringIndex:
    """Index of texts, none of them empty, by their last characters."""

    __slots__ = ("_all", "_ends")

    def __init__(self, texts: Iterable[str]) -> None:
        self._all = tuple(dict.fromkeys(texts))
        #: Per length, the texts by their last so many characters; only where there are many.
        self._ends: dict[int, dict[str, list[str]]] = {}
        if len(self._all) > _FEW:
            for text in self._all:
                end = text[-_END:]
                self._ends.setdefault(len(end), {}).setdefault(end, []).append(text)

    def found_in(self, text: str) -> list[str]:
        """The texts that `text` contains."""
        # In nanoseconds, about: look up every place of the text, or search it for each of the texts.
        if not self._ends or len(text) * len(self._ends) * 60 > len(self._all) * (40 + len(text) * 0.3):
            return [one for one in self._all if one in text]
        ends = {
            (length, end)
            for length, known in self._ends.items()
            for place in range(len(text) - length + 1)
            if (end := text[place : place + length]) in known
        }
        return [one for length, end in ends for one in self._ends[length][end] if one in text]


class WordReplacer:
    """Finds words, each given in its canonical form with its replacement.

    `within`: characters from which on a word is also found inside of others."""

    def __init__(self, words: Mapping[str, str], *, within: int = WITHIN) -> None:
        self._within = within
        #: By their longest part, which a text must contain: words with their replacements.
        self._by_part: dict[str, list[tuple[str, str]]] = {}
        for word, replacement in words.items():
            self._by_part.setdefault(max(word.split(), key=len), []).append((word, replacement))
        self._index = SubstringIndex(self._by_part)

    def __bool__(self) -> bool:
        return bool(self._by_part)

    def spans(self, text: str) -> list[Span]:
        """The places of the words in a text of plain spelling."""
        if not self._by_part or not (found := self._index.found_in(lowered := folded(text))):
            return []
        if len(found) > MAX_HITS or sum(len(self._by_part[part]) for part in found) > _MAX_WORDS:
            return [Span(0, len(text))]
        places: list[int] | None = None
        if not text.isascii() or _ODD_BLANKS.search(text):
            lowered, places = _with_places(text)
        spans = []
        for part in found:
            for word, replacement in self._by_part[part]:
                for start, end in _occurrences(word, lowered, self._within):
                    span = (start, end) if places is None else (places[start], places[end - 1] + 1)
                    spans.append(Span(*span, replacement))
        return spans


def replaced(text: str, spans: Iterable[Span]) -> str:
    """The text with the replacement of each span; of two that overlap, of the one that begins first or is longer, and
    what the other has beyond it is hidden with it."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    if len(ordered) > _MAX_SPANS:
        return MASK
    parts: list[str] = []
    done = 0
    for start, end, replacement in ordered:
        if start >= done:
            parts += (text[done:start], replacement)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def _with_places(text: str) -> tuple[str, list[int]]:
    """The text folded, with one blank between words, and the place in `text` of each of its letters."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for one in " " if letter.isspace() else folded(letter):
            if one != " " or letters[-1:] != [" "]:
                letters.append(one)
                places.append(place)
    return "".join(letters), places


def _occurrences(word: str, text: str, within: int) -> Iterator[tuple[int, int]]:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if len(word) >= within or not (_in_word(text[start - 1 : start]) or _in_word(text[end : end + 1])):
            yield start, end
        start = text.find(word, end)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def map_texts(value: Any, text: Any) -> Any:
    """A copy of a JSON value with `text` applied to each of its texts and names."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        names = distinct([text(str(name)) for name in value])
        return dict(zip(names, (map_texts(item, text) for item in value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [map_texts(item, text) for item in value]
    return value


def distinct(names: list[str]) -> list[str]:
    """The names, numbered where several have become the same: `***`, `*** 2`, `*** 3`, in their order."""
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
