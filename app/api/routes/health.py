"""`GET /health/live` and `GET /health/ready`. Neither calls a provider: that is not this process's health. HEAD is
answered, too: many monitors ask so.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import Response

from app.api.openapi import problems
from app.api.problems import problem_response
from app.api.rendering import encode
from app.api.routing import READ, new_router
from app.api.schemas import Health

router = new_router(tags=["health"], prefix="/health")

_OPEN: dict[str, Any] = {"security": []}

# Each call has two routes: the lower one, which is the first, answers, and says both methods in `Allow`; the upper one
# is what the OpenAPI document shows, where HEAD would be an operation of its own, and a function of every client.


@router.get(
    "/live",
    response_model=Health,
    summary="Is the process alive?",
    responses={200: {"description": "It is."}, **problems("open")},
    openapi_extra=_OPEN,
)
@router.api_route("/live", methods=READ, include_in_schema=False)
async def health_live(request: Request) -> Response:
    """Answers as long as the process can answer at all."""
    return _ok()


@router.get(
    "/ready",
    response_model=Health,
    summary="Can the process take calls?",
    responses={200: {"description": "It can."}, **problems("ready")},
    openapi_extra=_OPEN,
)
@router.api_route("/ready", methods=READ, include_in_schema=False)
async def health_ready(request: Request) -> Response:
    """Answers 200 between the end of the start and the beginning of the stop."""
    if not request.app.state.ready:
        return problem_response(request, "not_ready", "The gateway is starting or stopping; try another replica.")
    return _ok()


def _ok() -> Response:
    return Response(encode({"status": "ok"}), media_type="application/json", headers={"Cache-Control": "no-store"})
