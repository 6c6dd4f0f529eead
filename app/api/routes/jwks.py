"""`GET /.well-known/jwks.json`: the public key that verifies signed exports and reports."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from app.api.rendering import encode
from app.api.routing import new_router
from app.domain.query import NoParameters

router = new_router(tags=["monitoring"])


@router.get("/.well-known/jwks.json", include_in_schema=False)
async def get_jwks(request: Request, _: Annotated[NoParameters, Query()]) -> Response:
    """The public key that verifies exports and reports of this gateway. Needs no API key."""
    key = request.app.state.signing_key
    body = {"keys": []} if key is None else key.jwks()
    return Response(encode(body), media_type="application/json", headers={"Cache-Control": "max-age=300"})
