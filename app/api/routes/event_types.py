"""`GET /event-types`: the vocabulary, from every provider's mapping table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.responses import Response

from app.api.auth import requires
from app.api.openapi import answer_headers, problems
from app.api.rendering import encode
from app.api.routing import new_router
from app.api.schemas import EventTypes
from app.domain.caller import Caller
from app.domain.query import NoParameters
from app.providers.base import Provider

router = new_router(tags=["events"])


@router.get(
    "/event-types",
    response_model=EventTypes,
    summary="List the event types",
    responses={200: {"description": "All types.", "headers": answer_headers()}, **problems("guarded")},
)
async def list_event_types(
    request: Request,
    caller: Annotated[Caller, Depends(requires("events:read"))],
    _: Annotated[NoParameters, Query()],
) -> Response:
    """Every type there is, with the providers' values that become it. Any other value becomes `unknown`."""
    body = encode(event_types(request.app.state.providers))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


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
