"""Remembering answers about texts, in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

LONGEST = 256  #: characters of a text that is remembered; a provider may send a member's name of ten megabytes

Key = TypeVar("Key", str, tuple[str, ...])
Value = TypeVar("Value")


def memoize(function: Callable[[Key], Value], most: int = 4096) -> Callable[[Key], Value]:
    """`function` of a text or of a tuple of texts, which remembers its results for up to `most` keys of at most
    `LONGEST` characters.

    `functools.lru_cache` bounds the number of texts that it keeps alive, not their size. A dictionary's lookup is
    quicker, too, and these are asked thousands of times a page. When it is full it begins anew: the texts are few, and
    come back, unless somebody sends many on purpose.
    """
    return _Memory(function, most).__getitem__


class Memoized(Generic[Value]):
    """What `make` makes of a set of texts, made once for all records that have the same set.

    `most` bounds the sets that are kept. A tuple that comes again is known by itself, without reading it anew: the
    records of one envelope share theirs, and each may hold thousands of texts.
    """

    def __init__(self, make: Callable[[frozenset[str]], Value], most: int = 1024) -> None:
        self._make, self._most = make, most
        self._by_texts: dict[frozenset[str], Value] = {}
        # The tuple is kept, so that no other comes to have its id.
        self._by_id: dict[int, tuple[tuple[str, ...], frozenset[str]]] = {}

    def of(self, texts: Iterable[str], more: Collection[str] = ()) -> Value:
        """What is made of `texts` and `more` together, without empty ones."""
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
