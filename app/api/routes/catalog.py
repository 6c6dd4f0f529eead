"""`GET /sources`, `GET /event-types` and `GET /me`: what a caller can read, and with which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from starlette.responses import Response

from app.api.auth import Authenticator, requires
from app.api.catalog_schemas import EventTypes, Me, Sources
from app.api.openapi import answers
from app.api.rendering import json_response
from app.api.routing import NoQuery, new_router
from app.domain.caller import Caller
from app.domain.query import FILTERS, OWN_FILTERS
from app.domain.times import format_micros, format_seconds
from app.feed import Feed
from app.providers.base import Provider, Source

router = new_router()

#: The parameters that sources differ in; the others are the gateway's own, and work everywhere.
JUDGED = ("since", "until", *FILTERS)


@router.get(
    "/event-types",
    tags=["events"],
    response_model=EventTypes,
    summary="List the event types",
    responses=answers("guarded", "All types."),
)
async def list_event_types(
    request: Request, caller: Annotated[Caller, Depends(requires("events:read"))], _: NoQuery
) -> Response:
    """Every type there is, with the providers' values that become it. Any other value becomes `unknown`."""
    return json_response(event_types(request.app.state.providers))


def event_types(providers: Mapping[str, Provider]) -> dict[str, Any]:
    """The body, sorted by type; within one, in the order of the providers' tables."""
    by_type: dict[str, list[dict[str, str]]] = {}
    for provider in providers.values():
        for row in provider.mapping:
            by_type.setdefault(row.type, []).append(
                {"provider": provider.name, "provider_type": row.provider_type, "category": row.category}
            )
    return {
        "data": [{"type": type_, "mappings": rows} for type_, rows in sorted(by_type.items())],
        "providers": [
            {"name": provider.name, "title": provider.title, "mapping_version": provider.mapping_version}
            for provider in providers.values()
        ],
    }


@router.get(
    "/sources",
    tags=["sources"],
    response_model=Sources,
    summary="List the sources",
    responses=answers("guarded", "The sources that the caller may read."),
)
async def list_sources(
    request: Request, caller: Annotated[Caller, Depends(requires("sources:read"))], _: NoQuery
) -> Response:
    """The configured accounts: which filters each has a notion of, and what is known of it."""
    feed: Feed = request.app.state.feed
    readable = [source for source in feed.sources.values() if caller.may_read(source.name)]
    return json_response({"data": [_source_info(source) for source in readable]})


def _source_info(source: Source) -> dict[str, Any]:
    health = source.health()
    shown: dict[str, Any] | None = None if health is None else msgspec.structs.asdict(health)
    for name in ("since", "retry_at", "paused_until"):
        if shown is not None and shown[name] is not None:
            shown[name] = format_micros(shown[name])
    return {
        "name": source.name,
        "provider": source.provider,
        "filters": {
            **{name: source.filters.get(name, "not_applicable") for name in JUDGED},
            **{name.replace("_not", ".not"): source.filters.get(name, "gateway") for name in OWN_FILTERS},
        },
        "settle": source.settle,
        "health": shown,
        "details": source.describe(),
    }


@router.get(
    "/me",
    tags=["monitoring"],
    response_model=Me,
    summary="Show the caller's own grants",
    responses=answers("guarded", "The caller."),
)
async def get_me(request: Request, caller: Annotated[Caller, Depends(requires(None))], _: NoQuery) -> Response:
    """The caller's name, scopes, sources, rate and expiry. Any valid key or token will do, whatever its scopes."""
    feed: Feed = request.app.state.feed
    authenticator: Authenticator = request.app.state.authenticator
    body = {
        "name": caller.name,
        "kind": caller.kind,
        "scopes": sorted(caller.scopes),
        "sources": [name for name in feed.sources if caller.may_read(name)],
        "rate": caller.rate or authenticator.rates.default,
        "expires": None if caller.expires is None else format_seconds(caller.expires),
    }
    return json_response(body)
