"""First pages as they were rendered, cached for seconds (GATEWAY_PAGE_CACHE_TTL), in this process.

What callers may see differs, so a page is cached for callers with equal grants alone. A page is consistent by itself:
its cursor continues where it ends, whenever it was made, so no event is lost or doubled behind a cached page.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any

import msgspec
from cachetools import TTLCache

from app.domain.caller import Caller
from app.providers.http.single_flight import SingleFlight

_MOST = 32 * 1024 * 1024  #: bytes of cached pages
_OVERHEAD = 1024  #: bytes of a page beside its body, about
_LONGEST = 2048  #: characters of a query whose page is cached: longer queries would fill the memory with themselves


class RenderedPage(msgspec.Struct, frozen=True):
    """A page's answer. `parts` of its body, `packed` with gzip or not; `next_query`: the next page's, as it is written
    in a URL; `sources` were read for this one, and `delivered` counts its events by source. `cacheable`: every source
    answered, and no total is in it."""

    parts: Sequence[bytes]
    next_query: str | None
    sources: Sequence[str]
    delivered: Mapping[str, int]
    cacheable: bool
    packed: bool = False

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
        packed: bool,
        no_cache: bool,
    ) -> tuple[RenderedPage, bool | None]:
        """The page of a query, and whether it was cached (None: not cacheable). `packed`: the caller accepts gzip.
        `no_cache` bypasses the cache, as do pages after a cursor. Raises what `make` raises."""
        is_first = not any(name == "cursor" for name, _ in pairs)
        if not self._ttl or not is_first or sum(len(name) + len(value) for name, value in pairs) > _LONGEST:
            return await make(), None
        key = (caller.scopes, caller.sources, packed, *sorted(pairs))
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
