"""`GET /ui`: the page that shows the audit trail, and `GET /`, which redirects to the API's documentation.

The page consists of the files of `app/ui`, as they are: no build step, nothing from other hosts. It calls the same API
with the same keys as every other client; these routes contain no data and need no key.
"""

from __future__ import annotations

import json
from importlib import resources

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.api.api_keys import SANDBOX_KEY
from app.api.routing import READ, new_router

router = new_router(include_in_schema=False)

#: Endings of the files that the page consists of.
_SERVED = (".js", ".css", ".svg")

_FILES = StaticFiles(directory=str(resources.files("app") / "ui"))

#: Trusted types make the browser itself refuse to turn any text into HTML, whatever a script may try.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src blob:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Accept-Ranges": "none",
    "Cache-Control": "no-cache",  # asked again each time, and answered with 304 while it is the same
}


@router.api_route("/", methods=READ)
async def root() -> Response:
    # Relative: it works under whatever path a proxy puts the gateway.
    return RedirectResponse("docs", status_code=307)


@router.api_route("/ui", methods=READ)
async def trail_page(request: Request) -> Response:
    return await _file("index.html", request)


@router.api_route("/ui/setup.js", methods=READ)
async def trail_setup(request: Request) -> Response:
    """The key of the sandbox, which is public and opens invented data. No other key is ever filled in."""
    setup = {"knownKey": SANDBOX_KEY if request.app.state.sandbox else ""}
    body = f"export const setup = {json.dumps(setup)};\n"
    return Response(body, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


@router.api_route("/ui/{name:path}", methods=READ)
async def trail_file(name: str, request: Request) -> Response:
    # Without index.html: its addresses are relative to /ui, and lead nowhere from here.
    if not name.endswith(_SERVED):
        raise HTTPException(404)
    return await _file(name, request)


async def _file(name: str, request: Request) -> Response:
    """Raises HTTPException 404 where there is no such file."""
    # The response looks for a range itself, and refuses one that is wrong in plain text; the files are small.
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    response = await _FILES.get_response(name, request.scope)
    response.headers.update(_HEADERS)
    return response
