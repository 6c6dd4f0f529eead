"""`GET /sources`: the configured accounts, and what can be asked of each."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.responses import Response

from app.api.auth import requires
from app.api.openapi import answer_headers, problems
from app.api.rendering import encode
from app.api.routing import new_router
from app.api.schemas import Sources
from app.domain.caller import Caller
from app.domain.query import FILTERS, NoParameters
from app.domain.times import format_micros
from app.feed import Feed
from app.providers.base import Source, SourceHealth

router = new_router(tags=["sources"])

#: The parameters that sources differ in; the others are the gateway's own, and work everywhere.
JUDGED = ("since", "until", *FILTERS)


@router.get(
    "/sources",
    response_model=Sources,
    summary="List the sources",
    responses={
        200: {"description": "The sources that the caller may read.", "headers": answer_headers()},
        **problems("guarded"),
    },
)
async def list_sources(
    request: Request,
    caller: Annotated[Caller, Depends(requires("sources:read"))],
    _: Annotated[NoParameters, Query()],
) -> Response:
    """The configured accounts: which filters each has a notion of, and what is known of it."""
    feed: Feed = request.app.state.feed
    readable = [source for source in feed.sources.values() if caller.may_read(source.name)]
    body = encode({"data": [source_info(source) for source in readable]})
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def source_info(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "provider": source.provider,
        "filters": {name: source.filters.get(name, "not_applicable") for name in JUDGED},
        "settle": source.settle,
        "health": _health(source.health()),
        "details": source.describe(),
    }


def _health(health: SourceHealth | None) -> dict[str, Any] | None:
    if health is None:
        return None
    return {
        "circuit": health.circuit,
        "since": format_micros(health.since),
        "consecutive_failures": health.consecutive_failures,
        "retry_at": None if health.retry_at is None else format_micros(health.retry_at),
        "paused_until": None if health.paused_until is None else format_micros(health.paused_until),
        "in_flight": health.in_flight,
        "waiting": health.waiting,
    }
