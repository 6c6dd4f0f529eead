"""Cache of rendered first pages for seconds (GATEWAY_PAGE_CACHE_TTL), in this process.

A page is cached only for callers with equal grants. Its cursor continues at its end, so no event is lost or duplicated
after a cached page.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any

import msgspec
from cachetools import TTLCache

from app.domain.caller import Caller
from app.providers.http.single_flight import SingleFlight

_MOST = 32 * 1024 * 1024  #: bytes of cached pages
_OVERHEAD = 1024  #: approximate bytes of a page in addition to its body
_LONGEST = 2048  #: characters of a query whose page is cached, because the query is stored, too


class RenderedPage(msgspec.Struct, frozen=True):
    """A rendered page. `parts` of its body; `next_query`: the next page's query in a URL; `sources` that were read,
    `delivered` events by source. `cacheable`: no source failed and there is no total."""

    parts: Sequence[bytes]
    next_query: str | None
    sources: Sequence[str]
    delivered: Mapping[str, int]
    cacheable: bool

    @property
    def size(self) -> int:
        return sum(map(len, self.parts)) + len(self.next_query or "") + _OVERHEAD


class PageCache:
    """Pages for `ttl` seconds; 0: none. Concurrent callers of one page share one computation."""

    def __init__(self, ttl: float) -> None:
        self._pages: TTLCache[Hashable, RenderedPage] = TTLCache(_MOST, ttl, getsizeof=lambda page: page.size)
        self._flights: SingleFlight[RenderedPage] = SingleFlight()
        self._ttl = ttl

    async def get(
        self,
        caller: Caller,
        pairs: Sequence[tuple[str, str]],
        make: Callable[[], Coroutine[Any, Any, RenderedPage]],
        *,
        no_cache: bool,
    ) -> tuple[RenderedPage, bool | None]:
        """Return the page of a query, and whether it was cached (None: not cacheable). `no_cache`
        bypasses the cache, as do pages after a cursor. Raises what `make` raises."""
        is_first = not any(name == "cursor" for name, _ in pairs)
        if not self._ttl or not is_first or sum(len(name) + len(value) for name, value in pairs) > _LONGEST:
            return await make(), None
        key = (caller.scopes, caller.sources, *sorted(pairs))
        if not no_cache and (page := self._pages.get(key)) is not None:
            return page, True
        made = False

        async def make_and_keep() -> RenderedPage:
            nonlocal made
            made = True
            page = await make()
            if page.cacheable and page.size <= _MOST:
                self._pages[key] = page
            return page

        if no_cache:
            return await make_and_keep(), None
        page = await self._flights.join(key, make_and_keep)
        return (page, not made) if made or page.cacheable else (await make(), False)
