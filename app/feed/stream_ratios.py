"""How streams that were read side by side lately shared pages: a first page asks each for as much as it is likely to
give, for what is missing costs another round of calls, and what is left over is read again.

A guess and nothing more: a page asks again for what is missing. Only counts are kept, of this process's pages.
"""

from __future__ import annotations

from collections.abc import Mapping

from cachetools import LRUCache

_MOST = 256  #: sets of streams
_MOST_STREAMS = 16  #: of one set: more are those of single envelopes, which hardly come together again
_MEMORY = 2000  #: records after which older ones count half

StreamId = tuple[str, str]  #: source, stream


class StreamRatios:
    """Shares are in thousandths of a page."""

    def __init__(self) -> None:
        self._given: LRUCache[frozenset[StreamId], Mapping[StreamId, int]] = LRUCache(_MOST)

    def learn(self, given: Mapping[StreamId, int]) -> None:
        """How many records each of the streams of a page gave."""
        if len(given) > _MOST_STREAMS or not any(given.values()):
            return
        before = self._given.get(streams := frozenset(given), {})
        fade = 2 if sum(before.values()) > _MEMORY else 1
        self._given[streams] = {stream: before.get(stream, 0) // fade + count for stream, count in given.items()}

    def of(self, streams: frozenset[StreamId]) -> dict[StreamId, int]:
        """By stream; empty where these were not read together lately."""
        given = self._given.get(streams, {})
        shown = sum(given.values())
        return {stream: 1000 * count // shown for stream, count in given.items()}
