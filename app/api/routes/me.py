"""`GET /me`: who is calling, and what the gateway grants them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import Response

from app.api.auth import Authenticator, requires
from app.api.openapi import answer_headers, problems
from app.api.rendering import encode
from app.api.routing import new_router
from app.api.schemas import Me
from app.domain.caller import Caller
from app.domain.query import NoParameters
from app.domain.times import format_seconds
from app.feed import Feed

router = new_router(tags=["monitoring"])


@router.get(
    "/me",
    response_model=Me,
    summary="Show the caller's own grants",
    responses={200: {"description": "The caller.", "headers": answer_headers()}, **problems("guarded")},
)
async def get_me(
    request: Request, caller: Annotated[Caller, Depends(requires(None))], _: Annotated[NoParameters, Query()]
) -> Response:
    """The caller's name, scopes, sources, rate and expiry. Any valid key or token will do, whatever its scopes."""
    feed: Feed = request.app.state.feed
    guard: Authenticator = request.app.state.guard
    body = {
        "name": caller.name,
        "kind": caller.kind,
        "scopes": sorted(caller.scopes),
        "sources": [name for name in feed.sources if caller.may_read(name)],
        "rate": caller.rate or guard.rates.default,
        "expires": None if caller.expires is None else format_seconds(caller.expires),
    }
    return Response(encode(body), media_type="application/json", headers={"Cache-Control": "no-store"})
