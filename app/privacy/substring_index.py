"""Find which of many texts occur in another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_FEW = 64  #: texts that are tried one after another
_END = 8  #: characters by which a text is looked up: its last, because links and phones begin alike


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
