"""Error responses: the table from the gateway's codes to HTTP statuses, and their body (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.auth import CHALLENGE
from app.api.request_log import request_log
from app.api.schemas import Problem, ProblemParameter, ProblemSource
from app.domain.errors import CallerError, GatewayError, RateLimited, SourceError, SourcesFailed

MEDIA_TYPE = "application/problem+json"

#: code -> (HTTP status, title).
PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_cursor": (400, "The cursor is invalid or was changed"),
    "cursor_mismatch": (400, "A filter differs from the one in the cursor"),
    "bad_request": (400, "The request is malformed"),
    "unauthenticated": (401, "A valid API key is required"),
    "forbidden": (403, "The API key does not grant this"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "The path does not support this method"),
    "request_timeout": (408, "The request timed out"),
    "uri_too_long": (414, "The URL is too long"),
    "invalid_parameter": (422, "A parameter is not valid"),
    "unknown_parameter": (422, "A parameter is not known"),
    "filter_not_applicable": (422, "A filter does not apply to the selected sources"),
    "invalid_window": (422, "The time window is not valid"),
    "rate_limited": (429, "Too many requests"),
    "headers_too_large": (431, "The request's headers are too large"),
    "internal_error": (500, "The gateway failed"),
    "source_failed": (502, "A source returned no usable response"),
    "source_unauthorized": (502, "A source refuses the gateway's credentials"),
    "source_unavailable": (503, "A source is unavailable"),
    "overloaded": (503, "The gateway is overloaded"),
    "issuer_unavailable": (503, "The token issuer's keys are unavailable"),
    "not_ready": (503, "The gateway is not ready"),
    "source_timeout": (504, "A source timed out"),
}

#: Seconds of Retry-After if the provider sent none.
DEFAULT_RETRY_AFTER = 5

#: What the framework itself raises, and what to say of it.
_FRAMEWORK = {
    400: ("bad_request", "Bad Request."),
    404: ("not_found", "There is no such path; /openapi.json lists those there are."),
    405: ("method_not_allowed", "{method} is not offered here; see the Allow header."),
}


def install_problems(app: FastAPI) -> None:
    """Make every expected error of `app` a problem; `app.api.middleware` handles unexpected ones."""
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def problem_response(
    request: Request,
    code: str,
    detail: str,
    *,
    errors: Sequence[tuple[str, str]] = (),
    sources: Sequence[SourceError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response for `code`. `errors` are (parameter, message) pairs."""
    status = PROBLEMS[code][0]
    log = request_log(request)
    log.code = code
    for error in sources:
        log.sources.setdefault(error.source or "?", {})["error"] = error.code
    path, request_id = request.url.path, log.request_id
    body = problem_body(code, detail, instance=path, request_id=request_id, errors=errors, sources=sources)
    own = {"Cache-Control": "no-store"}
    if status == 401:
        own["WWW-Authenticate"] = CHALLENGE
    elif status in (429, 503):
        # The caller needs all of them, so the longest wait counts, in whole seconds, rounded up.
        waits = [error.retry_after for error in sources if error.retry_after is not None]
        own["Retry-After"] = str(max(1, math.ceil(max(waits, default=DEFAULT_RETRY_AFTER))))
    headers = {**own, **(headers or {})}
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_body(
    code: str,
    detail: str,
    *,
    instance: str,
    request_id: str,
    errors: Sequence[tuple[str, str]] = (),
    sources: Sequence[SourceError] = (),
) -> bytes:
    """Return the body of an error, also outside a request."""
    status, title = PROBLEMS[code]
    problem = Problem(
        f"/problems/{code}", title, status, detail, instance, code, request_id,
        [ProblemParameter(name, message) for name, message in errors],
        [
            ProblemSource(
                error.source, error.code, error.detail, error.provider_request_id,
                None if error.retry_after is None else round(error.retry_after, 1),
            )
            for error in sources
        ],
    )  # fmt: skip
    return msgspec.json.encode(problem)


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    if error.code not in PROBLEMS:
        raise error  # a code without a row is a bug: 500
    errors = error.errors if isinstance(error, CallerError) else ()
    sources = error.errors if isinstance(error, SourcesFailed) else [error] if isinstance(error, SourceError) else ()
    headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))} if isinstance(error, RateLimited) else None
    return problem_response(request, error.code, error.detail, errors=errors, sources=sources, headers=headers)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    # Raised only by the framework: unknown path, unsupported method, malformed request.
    assert isinstance(error, HTTPException)
    if error.status_code not in _FRAMEWORK:
        raise error
    code, detail = _FRAMEWORK[error.status_code]
    return problem_response(request, code, detail.format(method=request.method), headers=error.headers)
