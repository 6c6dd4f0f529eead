"""Functions of texts: memoized in bounded memory, and one form to compare texts in. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

LONGEST = 256  #: characters of a cached text; a provider may send a member's name of ten megabytes

Key = TypeVar("Key", str, tuple[str, ...])
Value = TypeVar("Value")


def memoize(function: Callable[[Key], Value], most: int = 4096) -> Callable[[Key], Value]:
    """`function` of a text or a tuple of texts, with a cache of up to `most` results for keys of at most `LONGEST`
    characters.

    `functools.lru_cache` bounds the number of its keys, not their size; a dictionary's lookup is faster, too, and a
    page has thousands of them. A full cache is emptied: the texts are few and recur, unless an attacker sends many.
    """
    return _Memory(function, most).__getitem__


class Memoized(Generic[Value]):
    """The result of `make` for a set of texts, computed once for all records with the same set.

    `most` bounds the cached sets. A repeated tuple is recognized by its identity, because the records of one envelope
    share a tuple of possibly thousands of texts.
    """

    def __init__(self, make: Callable[[frozenset[str]], Value], most: int = 1024) -> None:
        self._make, self._most = make, most
        self._by_texts: dict[frozenset[str], Value] = {}
        # Holds the tuple, so that no other tuple gets its id.
        self._by_id: dict[int, tuple[tuple[str, ...], frozenset[str]]] = {}

    def of(self, texts: Iterable[str], more: Collection[str] = ()) -> Value:
        """The result for `texts` and `more` together, without empty ones."""
        if isinstance(texts, tuple):
            if (held := self._by_id.get(id(texts))) is None:
                if len(self._by_id) >= self._most:
                    self._by_id.clear()
                held = self._by_id[id(texts)] = texts, frozenset(filter(None, texts))
            wanted = held[1]
        else:
            wanted = frozenset(filter(None, texts))
        if more and not wanted.issuperset(more):
            wanted = wanted.union(filter(None, more))
        value = self._by_texts.get(wanted)
        if value is None:
            if len(self._by_texts) >= self._most:
                self._by_texts.clear()
            value = self._by_texts[wanted] = self._make(wanted)
        return value


class _Memory(dict[Key, Value], Generic[Key, Value]):
    _function: Callable[[Key], Value]

    def __init__(self, function: Callable[[Key], Value], most: int) -> None:
        super().__init__()
        self._function, self._most = function, most

    def __missing__(self, key: Key) -> Value:
        value = self._function(key)
        if (len(key) if isinstance(key, str) else sum(map(len, key))) <= LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value


#: Every width of space becomes one; what has no width (soft hyphen, joiners, marks of direction) is left out.
_BLANKS = dict.fromkeys((160, 5760, *range(8192, 8203), 8239, 8287, 12288), " ")
#: These are Unicode's Default_Ignorable_Code_Point, of which the Hangul fillers are letters.
INVISIBLE = dict.fromkeys((
    0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0x200B, 0x2010),
    *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10), 0xFEFF, 0xFFA0,
    *range(0xE0000, 0xE1000),
))  # fmt: skip
_TABLE = _BLANKS | INVISIBLE


#: Letters that people without them write with ASCII letters, and that are no letter with an accent.
_SPELLED = str.maketrans({"ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ð": "d", "Ð": "D"})


def without_accents(text: str) -> str:
    """Return the text as it is written where accents are missing, in plain width and without invisible characters."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text.translate(_SPELLED).translate(INVISIBLE))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFC", text.translate(_TABLE)).casefold()
    return unicodedata.normalize("NFC", composed)


#: The text in NFC, case-folded, with plain blanks: equal for equal texts in any letter case and any composition.
fold = memoize(_fold, 8192)
