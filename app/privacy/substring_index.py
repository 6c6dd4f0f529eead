"""Which of many texts another one holds, without trying each of very many in each of very many. Pure."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 256  #: needles told of one text
_END = 8  #: characters of a needle that it is looked up by: its last, for links and phones begin alike


class SubstringIndex:
    """Texts to be looked for; none of them is empty."""

    __slots__ = ("_all", "_ends")

    def __init__(self, needles: Iterable[str]) -> None:
        self._all = tuple(dict.fromkeys(needles))
        #: Per length, the needles by their last so many characters; only where there are many.
        self._ends: dict[int, dict[str, list[str]]] = {}
        if len(self._all) > MOST:
            for needle in self._all:
                end = needle[-_END:]
                self._ends.setdefault(len(end), {}).setdefault(end, []).append(needle)

    def found_in(self, text: str) -> list[str] | None:
        """Those that `text` holds; None where they may be more than `MOST`: who hides them hides all of it then."""
        if not self._ends:
            return [needle for needle in self._all if needle in text]
        # In nanoseconds, about: slicing and looking up every place of the text, or searching it for each needle.
        if len(text) * len(self._ends) * 60 > len(self._all) * (40 + len(text) * 0.3):
            found = [needle for needle in self._all if needle in text]
            return found if len(found) <= MOST else None
        likely: set[str] = set()
        for length, ends in self._ends.items():
            for place in range(len(text) - length + 1):
                if (held := ends.get(text[place : place + length])) is not None:
                    likely.update(held[: MOST + 1])
                    if len(likely) > MOST:
                        return None
        return [needle for needle in likely if needle in text]
