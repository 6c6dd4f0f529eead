"""`GET /events`, `GET /events/count` and `GET /events/{event_id}`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from cachetools import TTLCache
from fastapi import Path, Query, Request
from starlette.responses import Response

from app.api.auth import EventReader, require_raw
from app.api.openapi import ANSWER_HEADERS, answers, header
from app.api.rendering import PartedResponse, json_response, render_page
from app.api.request_log import note_sources, request_log
from app.api.routing import LONGEST_HEADER, READ, new_router, pairs_of, wants_no_cache
from app.api.schemas import EventPage
from app.domain.caller import Caller
from app.domain.event import Event
from app.domain.parameters import DEFAULT_LIMIT
from app.domain.query import CountQuery, EventQuery, SingleEventQuery
from app.feed.model import Totals
from app.feed.service import Feed
from app.privacy.redaction import Redactor
from app.providers.base import CallBudget
from app.providers.http.concurrency import SingleFlight

_MOST = 32 * 1024 * 1024  #: bytes of cached pages
_OVERHEAD = 1024  #: approximate bytes of a page in addition to its body
_LONGEST = 2048  #: bytes of a query whose page is cached, because the query is stored, too


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
    """Rendered first pages for `ttl` seconds (GATEWAY_PAGE_CACHE_TTL), in this process, for callers with equal
    grants. The cursor of a page continues at its end, so no event is lost or duplicated after a cached page. Concurrent
    callers of one page share one computation."""

    def __init__(self, ttl: float) -> None:
        self._pages: TTLCache[Hashable, RenderedPage] = TTLCache(_MOST, ttl, getsizeof=lambda page: page.size)
        self._flights: SingleFlight[RenderedPage] = SingleFlight()

    async def get(
        self,
        caller: Caller,
        pairs: Sequence[tuple[str, str]],
        make: Callable[[], Coroutine[Any, Any, RenderedPage]],
        *,
        no_cache: bool,
    ) -> tuple[RenderedPage, bool | None]:
        """Return the page of a query, and whether it was cached (None: `no_cache`, with which a new page replaces it).
        Raises what `make` raises."""
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


router = new_router(tags=["events"])

#: Parameters that may differ from a cursor's and that the next page probably needs again.
_KEPT = ("limit", "include", "partial")

_LINKS: dict[str, Any] = {
    "NextPage": {
        "operationId": "list_events",
        "description": "The next page, while `has_more` is true.",
        "parameters": {"cursor": "$response.body#/page/next_cursor"},
    },
    "FirstEvent": {
        "operationId": "get_event",
        "description": "The page's first event by itself.",
        "parameters": {"event_id": "$response.body#/data/0/id"},
    },
}

_PAGE_HEADERS: dict[str, Any] = {
    "Link": header(
        'The next page, with `rel="next"` (RFC 8288): a reference relative to the URL that was called, such as'
        " `<?limit=100&cursor=…>`, so that it holds behind any proxy. Left out where too long for a header."
    ),
    **ANSWER_HEADERS,
}


@router.get(
    "/events",
    summary="Read one page of events",
    responses=answers("events", "A page.", EventPage, headers=_PAGE_HEADERS, links=_LINKS),
)
@router.api_route("/events", methods=READ, include_in_schema=False)
async def list_events(request: Request, caller: EventReader, query: Annotated[EventQuery, Query()]) -> Response:
    """One page of the events of all sources, in one order. All filters are optional and combine with AND."""
    pairs, no_cache = pairs_of(request.scope), wants_no_cache(request)
    log = request_log(request)
    cache: PageCache | None = request.app.state.page_cache
    if cache is None or query.cursor is not None or len(request.scope["query_string"]) > _LONGEST:
        shown = await _make_page(request, query, pairs, caller, no_cache)
    else:
        make = partial(_make_page, request, query, pairs, caller, no_cache)
        shown, cached = await cache.get(caller, pairs, make, no_cache=no_cache)
        if cached is not None:
            request.app.state.metrics.on_page_cache(shown.sources, cached)
        if cached:
            log.sources = {source: {"calls": 0, "records": 0} for source in shown.sources}
    log.deliver(shown.delivered)
    headers = {"Cache-Control": "no-store"}
    # Relative: behind a proxy the gateway knows neither scheme, host nor prefix, and an `http` URL would expose the
    # key. If the link is too long, `next_cursor` has the cursor.
    if shown.next_query is not None and len(shown.next_query) <= LONGEST_HEADER:
        headers["Link"] = f'<?{shown.next_query}>; rel="next"'
    return PartedResponse(shown.parts, media_type="application/json", headers=headers)


async def _make_page(
    request: Request, query: EventQuery, pairs: Sequence[tuple[str, str]], caller: Caller, no_cache: bool
) -> RenderedPage:
    feed: Feed = request.app.state.feed
    begun = time.monotonic()  # the deadline includes the time in the queue of large pages
    async with request.app.state.large_pages.turn(query.limit or (DEFAULT_LIMIT if query.cursor is None else None)):
        if query.include and "raw" in query.include:
            require_raw(caller)
        page = await feed.page(query, caller, no_cache=no_cache, begun=begun)
        if "raw" in page.include:
            require_raw(caller, by_cursor=query.include is None)
        note_sources(request_log(request), page.sources)
        if page.total is not None:
            _note_totals(request, page.total)
        parts = await render_page(page, caller, request.app.state.pseudonyms)
    next_query = None
    if page.next_cursor is not None:
        next_query = urlencode([*(pair for pair in pairs if pair[0] in _KEPT), ("cursor", page.next_cursor)])
    return RenderedPage(
        parts,
        next_query,
        [status.name for status in page.sources if status.status == "ok"],
        Counter([record.key[1] for record in page.records]),
        # Totals have a cache of their own.
        page.total is None and all(status.status in ("ok", "skipped") for status in page.sources),
    )


@router.get("/events/count", summary="Count events", responses=answers("count", "The totals.", Totals))
async def count_events(request: Request, caller: EventReader, query: Annotated[CountQuery, Query()]) -> Response:
    """The number of matching events: from a provider's own total if that is exact, else counted by reading, within
    `GATEWAY_SCAN` calls a source and half the deadline."""
    feed: Feed = request.app.state.feed
    totals = await feed.totals(query, caller, no_cache=wants_no_cache(request))
    _note_totals(request, totals)
    return json_response(totals)


@router.get("/events/{event_id}", summary="Read one event", responses=answers("event", "The event.", Event))
async def get_event(
    request: Request,
    event_id: Annotated[str, Path(description="An event's `id`.")],
    caller: EventReader,
    query: Annotated[SingleEventQuery, Query()],
) -> Response:
    """One event, found from its id alone."""
    raw = bool(query.include)
    if raw:
        require_raw(caller)
    feed: Feed = request.app.state.feed
    log, spent = request_log(request), dict[str, CallBudget]()
    try:
        record = await feed.event(event_id, caller, spent)
    finally:
        log.sources = {name: {"calls": cost.calls, "records": cost.records} for name, cost in spent.items()}
    log.deliver({record.key[1]: 1})
    redactor = Redactor(private="pii:read" in caller.scopes, raw=raw, pseudonyms=request.app.state.pseudonyms)
    return json_response(redactor.event(record))


def _note_totals(request: Request, totals: Totals) -> None:
    log = request_log(request)
    log.totals = [(total.name, total.cached) for total in totals.sources]
    for name, cached in log.totals:
        log.sources.setdefault(name, {"cached": cached})
