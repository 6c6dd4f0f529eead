"""`GET /health/live`, `GET /health/ready`, `GET /metrics`, `GET /.well-known/jwks.json` and `GET /problems/{code}`.

The health calls call no provider, whose health is separate. They accept HEAD, which many monitors send.
"""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from app.api.auth import requires
from app.api.metrics import MEDIA_TYPE, Metrics
from app.api.openapi import answers
from app.api.problems import PROBLEMS, problem_response
from app.api.rendering import json_response
from app.api.routing import READ, NoQuery, new_router
from app.api.schemas import Health
from app.domain.caller import Caller

router = new_router()

_OPEN: dict[str, Any] = {"security": []}

_PROBLEM_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{code}</title></head>
<body><h1>{title}</h1><p>Status {status}, code <code>{code}</code>.</p>
<p>The member <code>detail</code> of the problem describes the case and the remedy; <code>errors</code> names the
parameters at fault and <code>sources</code> the sources that failed. Quote <code>request_id</code> to the gateway's
operator, whose log has more.</p></body></html>
"""


# Each health call has two routes. The lower one is the first, answers, and lists both methods in `Allow`. The upper one
# is for the OpenAPI document, where HEAD would become a function of every client.


@router.get(
    "/health/live",
    tags=["health"],
    summary="Is the process alive?",
    responses=answers("open", "It is.", Health),
    openapi_extra=_OPEN,
)
@router.api_route("/health/live", methods=READ, include_in_schema=False)
async def health_live(request: Request) -> Response:
    """200 while the process responds at all."""
    return json_response(Health("ok"))


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Can the process take calls?",
    responses=answers("ready", "It can.", Health),
    openapi_extra=_OPEN,
)
@router.api_route("/health/ready", methods=READ, include_in_schema=False)
async def health_ready(request: Request) -> Response:
    """200 from the end of the start to the beginning of the shutdown."""
    if not request.app.state.ready:
        return problem_response(request, "not_ready", "The gateway is starting or stopping; try another replica.")
    return json_response(Health("ok"))


@router.get(
    "/metrics",
    tags=["monitoring"],
    response_class=PlainTextResponse,
    summary="Read the gateway's metrics",
    responses=answers("guarded", "Prometheus' text format, version 0.0.4."),
)
async def read_metrics(
    request: Request, caller: Annotated[Caller, Depends(requires("metrics:read"))], _: NoQuery
) -> Response:
    """Requests, calls to the providers, retries, circuits, cache hits, events delivered; no personal data."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.exposition(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.get("/.well-known/jwks.json", include_in_schema=False)
async def get_jwks(request: Request, _: NoQuery) -> Response:
    """The public key that verifies exports and reports of this gateway. Needs no API key."""
    key = request.app.state.signing_key
    return json_response({"keys": []} if key is None else key.jwks(), cache="max-age=300")


@router.api_route("/problems/{code}", methods=READ, include_in_schema=False)
async def problem_type(code: Annotated[str, Path()]) -> Response:
    """The page of a problem's `type`."""
    if code not in PROBLEMS:
        raise HTTPException(404)
    status, title = PROBLEMS[code]
    page = _PROBLEM_PAGE.format(code=escape(code), title=escape(title), status=status)
    return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-cache"})
