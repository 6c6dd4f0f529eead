"""Remembering answers about short texts, in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

LONGEST = 256  #: characters of a text that is remembered; a provider may send a member's name of ten megabytes

Value = TypeVar("Value")


def remembered(function: Callable[[str], Value], most: int = 4096) -> Callable[[str], Value]:
    """`function`, which remembers what it said of up to `most` texts of at most `LONGEST` characters.

    `functools.lru_cache` bounds the number of texts that it keeps alive, not their size. A dictionary's lookup is
    quicker, too, and these are asked thousands of times a page. When it is full it begins anew: the texts are few, and
    come back, unless somebody sends many on purpose.
    """
    return _Memory(function, most).__getitem__


class _Memory(dict[str, Value], Generic[Value]):
    def __init__(self, function: Callable[[str], Value], most: int) -> None:
        super().__init__()
        self._function, self._most = function, most

    def __missing__(self, text: str) -> Value:
        value = self._function(text)
        if len(text) <= LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[text] = value
        return value
