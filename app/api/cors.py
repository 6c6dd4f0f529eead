"""Calls that scripts of other origins make in a browser."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.problems import problem_response


class CrossOrigin(CORSMiddleware):
    """Starlette's own, whose refusal of a preflight is plain text: here it is a problem, as every error is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                response = self.preflight_response(headers)
                if response.status_code >= 400:
                    # Starlette says which of origin, method and headers it is.
                    detail = f"{bytes(response.body).decode()}; scripts may send GET from GATEWAY_CORS_ORIGINS."
                    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
                    response = problem_response(Request(scope), "bad_request", detail, headers=kept)
                await response(scope, receive, send)
                return
        await super().__call__(scope, receive, send)
