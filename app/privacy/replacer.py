"""Replace known words in texts, whatever their letter case, spelling and separators. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

import ahocorasick

from app.privacy.spelling import (
    READINGS,
    canonical,
    decodings,
    letters_of,
    places_of_letters,
    plain_spelling,
    quick_letters,
)

MASK = "***"

MAX_TEXT = 16_384  #: characters of a text in which words are replaced; a longer one with a word is hidden whole
MAX_SPANS = 512  #: places of one text that are replaced one by one; a text with more is hidden whole
WITHIN = 6  #: letters of a word that is replaced within others; a shorter one must stand alone
_MAX_PLACES = 65_536  #: places of one text that are looked at; a text with more is hidden whole
_FEW = 64  #: words that are tried one after another before all are searched at once

_ASCII = re.compile("[0-9a-z]+")


class Span(NamedTuple):
    """A part of a text, and its replacement."""

    start: int
    end: int
    replacement: str = MASK


class Words:
    """Finds words by their letters and digits alone, each with its replacement.

    A word of at least `within` letters is found within others, too, and with any signs between its letters; a shorter
    one only as it is spelled, apart from letter case and blanks, and not within another word. `numbers`: words of six
    or more digits are phones or ids, which are written with and without a country's code."""

    def __init__(self, words: Mapping[str, str], *, within: int = WITHIN, numbers: bool = False) -> None:
        self._long: dict[str, str] = {}
        self._short: dict[str, dict[str, str]] = {}
        #: Per word, its longest part that is the same in `quick_letters`.
        probes: set[str] = set()
        for word, shown in words.items():
            letters = letters_of(plain := plain_spelling(word))
            if numbers and len(letters) >= WITHIN and letters.isascii() and letters.isdigit():
                spellings = _numbers(plain, letters)
                self._long |= dict.fromkeys(spellings, shown)
                letters = spellings[-1]
            elif len(letters) >= within:
                self._long[letters] = shown
            elif letters:
                self._short.setdefault(letters, {})[_stripped(canonical(plain))] = shown
            else:
                continue
            probes.add(letters if letters.isascii() else max(_ASCII.findall(letters), key=len, default=""))
        self._probes = probes if len(probes) <= _FEW else {""}
        self._automaton: ahocorasick.Automaton | None = None

    def __bool__(self) -> bool:
        return bool(self._long or self._short)

    def __contains__(self, letters: str) -> bool:
        return letters in self._long or letters in self._short

    def may_be_in(self, quick: bytes | None) -> bool:
        """Return False if a text certainly contains no word, by its `quick_letters`."""
        if quick is None:
            return bool(self)
        # A search in bytes takes twice as long, and `any` three times.
        text = quick.decode("latin-1")
        for probe in self._probes:  # noqa: SIM110
            if probe in text:
                return True
        return False

    def spans(self, plain: str) -> list[Span]:
        """Return the places of the words in a text of plain spelling."""
        if not self.may_be_in(quick_letters(plain)):
            return []
        letters = letters_of(plain)
        found = list(islice(self._search().iter(letters), _MAX_PLACES + 1))
        if not found:
            return []
        if len(found) > _MAX_PLACES or len(plain) > MAX_TEXT:
            return [Span(0, len(plain))]
        places = places_of_letters(plain)
        spans = []
        for last, word in found:
            start, end = places[last + 1 - len(word)], places[last] + 1
            shown = self._long.get(word)
            if shown is None and _is_alone(plain, start, end):
                shown = self._short[word].get(canonical(plain[start:end]))
            if shown is not None:
                spans.append(Span(start, end, shown))
        return spans

    def _search(self) -> ahocorasick.Automaton:
        if self._automaton is None:
            self._automaton = ahocorasick.Automaton()
            for word in (*self._long, *self._short):
                self._automaton.add_word(word, word)
            self._automaton.make_automaton()
        return self._automaton


def _numbers(plain: str, digits: str) -> list[str]:
    """Return a number with and without its country's code of one to three digits, the longest first."""
    international = plain.lstrip().startswith(("+", "00")) or len(digits) >= 10
    digits = digits.removeprefix("00")
    optional = min(3, max(0, len(digits) - 7)) if international else 0
    return [f"00{digits}", *(digits[start:] for start in range(optional + 1))]


def _stripped(text: str) -> str:
    """Return the text from its first until its last letter or digit."""
    places = [place for place, letter in enumerate(text) if letter.isalnum()]
    return text[places[0] : places[-1] + 1]


def _is_alone(plain: str, start: int, end: int) -> bool:
    """Whether no letter, digit or underscore stands beside a part of the text; a dot above, which `folded` drops, is
    none."""
    beside = plain[:start].rstrip("\u0307")[-1:], plain[end:].lstrip("\u0307")[:1]
    return not any(one.isalnum() or one == "_" for one in beside)


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Return the text with replaced spans. Overlapping spans become the replacement of the first and longest; `***`
    remains apart from the next where signs are between them, because two numbers side by side may contain a third.
    More than `MAX_SPANS` make the whole text `***`."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    if len(ordered) > MAX_SPANS:
        return MASK
    parts: list[str] = []
    done = 0
    for start, end, replacement in ordered:
        if start < done < end and replacement == MASK:
            start = next((place for place in range(done, end) if text[place].isalnum()), done)
        if start >= done and not (start == done and parts and parts[-1] == replacement == MASK):
            parts += (text[done:start], replacement)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def rewritten(text: str, spans: Callable[[str], list[Span]]) -> str:
    """Return the text without the `spans` of its plain spelling, and with `***` for each word, or the whole, that shows
    more than the decoded text without its own `spans`. A text without any is unchanged."""
    plain = plain_spelling(text)
    found = spans(plain)
    shown = replaced(plain, found) if found else plain
    forms = [(read, plain_spelling(form)) for read in READINGS if (form := read(plain)) != plain]
    if forms:
        hidden = [(read, letters_of(replaced(form, spans(form)))) for read, form in forms]

        def shows_more() -> bool:
            return any(not _is_part(letters_of(plain_spelling(read(shown))), rest) for read, rest in hidden)

        if shows_more():
            words = re.finditer(r"\S+", plain)
            found += [
                Span(*word.span()) for word in words if any(spans(plain_spelling(one)) for one in decodings(word[0]))
            ]
            shown = replaced(plain, found)
            if shows_more():
                return MASK
    return text if shown == plain else shown


def _is_part(letters: str, whole: str) -> bool:
    """Whether `whole` has all of the letters, in their order."""
    rest = iter(whole)
    return letters == whole or all(letter in rest for letter in letters)
