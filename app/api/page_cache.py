"""First pages as they were rendered, kept as long as the answers that they were made of (GATEWAY_PAGE_CACHE).

`app.providers.http.kept` spares the provider; this spares the gateway the work of making the same page again. What
callers may see differs, so a page is kept for those of equal rights alone. And a page is whole: the cursor in it goes
on from where it ends, whenever it was made, so nothing is lost or doubled behind a kept one.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence

import msgspec
from cachetools import TLRUCache

from app.domain.caller import Caller

_MOST = 32 * 1024 * 1024  #: bytes of pages kept in memory
_OVERHEAD = 1024  #: bytes of a page beside its body, about
_LONGEST = 2048  #: characters of a query whose page is kept: a query of any length would fill the memory with itself


class ShownPage(msgspec.Struct, frozen=True):
    """A page's answer. `next_query`: the next page's, as it is written in a URL; `sources` were asked for this one, and
    `delivered` counts its events by source. `good_until` as in `app.feed.model.Page`."""

    body: bytes
    next_query: str | None
    sources: Sequence[str]
    delivered: Mapping[str, int]
    good_until: float

    @property
    def size(self) -> int:
        return len(self.body) + len(self.next_query or "") + _OVERHEAD


class KeptPages:
    """Of one process."""

    def __init__(self) -> None:
        self._kept: TLRUCache[Hashable, ShownPage] = TLRUCache(
            _MOST, lambda _, page, now: page.good_until, time.monotonic, lambda page: page.size
        )

    def get(self, caller: Caller, pairs: Sequence[tuple[str, str]]) -> ShownPage | None:
        """What was answered to this query, where `caller` would be answered the same."""
        return self._kept.get(_question(caller, pairs))

    def put(self, caller: Caller, pairs: Sequence[tuple[str, str]], page: ShownPage) -> None:
        if page.size <= _MOST and sum(len(name) + len(value) for name, value in pairs) <= _LONGEST:
            self._kept[_question(caller, pairs)] = page


def _question(caller: Caller, pairs: Sequence[tuple[str, str]]) -> Hashable:
    return caller.scopes, caller.sources, *pairs
