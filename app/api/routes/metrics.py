"""`GET /metrics`: how the gateway fares, for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import PlainTextResponse, Response

from app.api.auth import requires
from app.api.metrics import MEDIA_TYPE, Metrics
from app.api.openapi import answer_headers, problems
from app.api.routing import new_router
from app.domain.caller import Caller
from app.domain.query import NoParameters

router = new_router(tags=["monitoring"])


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="Read the gateway's metrics",
    responses={
        200: {"description": "Prometheus' text format, version 0.0.4.", "headers": answer_headers()},
        **problems("guarded"),
    },
)
async def read_metrics(
    request: Request,
    caller: Annotated[Caller, Depends(requires("metrics:read"))],
    _: Annotated[NoParameters, Query()],
) -> Response:
    """Requests, calls to the providers, retries, circuits, cache hits, events delivered; no personal data."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.exposition(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
