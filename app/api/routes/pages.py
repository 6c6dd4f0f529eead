"""The web pages: `GET /ui`, the audit trail, and `GET /docs`, Swagger UI. `GET /` redirects to the latter.

They are the unchanged files of `app/ui`, `app/api/swagger` and `fastapi-swagger`, without a build step and other hosts.
They call the API like any other client; these routes contain no data and need no key.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.api.api_keys import SANDBOX_KEY
from app.api.routing import READ, new_router

router = new_router(include_in_schema=False)

#: Suffixes of the pages' files.
_SERVED = (".js", ".css", ".svg", ".png")

_UI = StaticFiles(directory=str(resources.files("app") / "ui"))
_SWAGGER = StaticFiles(directory=Path(__file__).parents[1] / "swagger", packages=[("fastapi_swagger", "resources")])

_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Accept-Ranges": "none",
    "Cache-Control": "no-cache",  # revalidated each time, with a 304 if unchanged
}
_POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
#: With trusted types the browser refuses to turn any text into HTML.
_UI_POLICY = (
    f"{_POLICY} frame-ancestors 'none'; style-src 'self'; img-src 'self'; frame-src blob:;"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_SWAGGER_POLICY = f"{_POLICY} frame-ancestors 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


@router.api_route("/", methods=READ)
async def root() -> Response:
    # Relative, so that it works under any path of a proxy.
    return RedirectResponse("docs", status_code=307)


@router.api_route("/ui/setup.js", methods=READ)
async def trail_setup(request: Request) -> Response:
    """The public key of the sandbox for invented data. No other key is ever filled in."""
    setup = {"knownKey": SANDBOX_KEY if request.app.state.sandbox else ""}
    body = f"export const setup = {json.dumps(setup)};\n"
    return Response(body, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


@router.api_route("/ui", methods=READ)
@router.api_route("/ui/{name:path}", methods=READ)
async def trail_page(request: Request, name: str | None = None) -> Response:
    return await _file(_UI, "index.html", _UI_POLICY, name, request)


@router.api_route("/docs", methods=READ)
@router.api_route("/docs/{name}", methods=READ)
async def swagger_page(request: Request, name: str | None = None) -> Response:
    return await _file(_SWAGGER, "page.html", _SWAGGER_POLICY, name, request)


async def _file(files: StaticFiles, page: str, policy: str, name: str | None, request: Request) -> Response:
    """Return a file; without a `name`, the page. Raises HTTPException 404 if it does not exist."""
    # Not the pages by their names, because their links are relative to /ui and /docs.
    if name is not None and not name.endswith(_SERVED):
        raise HTTPException(404)
    # The response would refuse an invalid range in plain text; the files are small.
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    response = await files.get_response(page if name is None else name, request.scope)
    response.headers.update({**_HEADERS, "Content-Security-Policy": policy})
    return response
