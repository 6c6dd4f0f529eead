"""`GET /sources`, `GET /event-types` and `GET /me`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from app.api.auth import Authenticator, EventReader, requires
from app.api.openapi import answers
from app.api.rendering import json_response
from app.api.routing import NoQuery, new_router
from app.api.schemas import EventType, EventTypes, Me, ProviderInfo, SourceInfo, Sources, TypeMapping
from app.domain.caller import Caller
from app.domain.query import FILTERS, OWN_FILTERS
from app.domain.times import format_seconds
from app.feed import Feed
from app.providers.base import Provider, Source

router = new_router()

#: Parameters that depend on the source; the gateway applies all others.
JUDGED = ("since", "until", *FILTERS)


@router.get(
    "/event-types",
    tags=["events"],
    summary="List the event types",
    responses=answers("guarded", "All types.", EventTypes),
)
async def list_event_types(request: Request, caller: EventReader, _: NoQuery) -> Response:
    """All event types, with the providers' values that map to them. Any other value becomes `unknown`."""
    return json_response(event_types(request.app.state.providers))


def event_types(providers: Mapping[str, Provider]) -> EventTypes:
    """Return the body, sorted by type, then in the order of the providers' tables."""
    by_type: dict[str, list[TypeMapping]] = {}
    for provider in providers.values():
        for row in provider.mapping:
            by_type.setdefault(row.type, []).append(TypeMapping(provider.name, row.provider_type, row.category))
    return EventTypes(
        [EventType(type_, rows) for type_, rows in sorted(by_type.items())],
        [ProviderInfo(provider.name, provider.title, provider.mapping_version) for provider in providers.values()],
    )


@router.get(
    "/sources",
    tags=["sources"],
    summary="List the sources",
    responses=answers("guarded", "The sources that the caller may read.", Sources),
)
async def list_sources(
    request: Request, caller: Annotated[Caller, Depends(requires("sources:read"))], _: NoQuery
) -> Response:
    """The configured accounts with their filters, settings, health and observations."""
    feed: Feed = request.app.state.feed
    readable = [source for source in feed.sources.values() if caller.may_read(source.name)]
    return json_response(Sources([_source_info(source) for source in readable]))


def _source_info(source: Source) -> SourceInfo:
    filters = {name: source.filters.get(name, "not_applicable") for name in JUDGED}
    filters |= {name.replace("_not", ".not"): source.filters.get(name, "gateway") for name in OWN_FILTERS}
    return SourceInfo(source.name, source.provider, filters, source.settle, source.health(), source.describe())


@router.get(
    "/me", tags=["monitoring"], summary="Show the caller's own grants", responses=answers("guarded", "The caller.", Me)
)
async def get_me(request: Request, caller: Annotated[Caller, Depends(requires(None))], _: NoQuery) -> Response:
    """The caller's name, scopes, sources, rate and expiry. Needs any valid key or token."""
    feed: Feed = request.app.state.feed
    authenticator: Authenticator = request.app.state.authenticator
    return json_response(
        Me(
            name=caller.name,
            kind=caller.kind,
            scopes=sorted(caller.scopes),
            sources=[name for name in feed.sources if caller.may_read(name)],
            rate=caller.rate or authenticator.rates.default,
            expires=None if caller.expires is None else format_seconds(caller.expires),
        )
    )
