"""`GET /sources`, `/event-types`, `/me`, `/health/live`, `/health/ready`, `/metrics`, `/.well-known/jwks.json` and
`/problems/{code}`; and the web pages: `/ui`, the audit trail, and `/docs`, Swagger UI, to which `/` redirects.

The health calls call no provider, whose health is separate. They accept HEAD, which many monitors send. The pages are
the unchanged files of `app/ui`, `app/api/swagger` and `fastapi-swagger`, without a build step and other hosts. They
call the API like any other client; their routes contain no data and need no key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.api import schemas
from app.api.api_keys import SANDBOX_KEY
from app.api.auth import Authenticator, EventReader, requires
from app.api.metrics import MEDIA_TYPE, Metrics
from app.api.openapi import answers
from app.api.problems import PROBLEMS, problem_response
from app.api.rendering import json_response
from app.api.routing import READ, NoQuery, new_router
from app.domain.caller import Caller
from app.domain.query import FILTERS, OWN_FILTERS
from app.domain.times import format_seconds
from app.feed.service import Feed
from app.providers.base import Provider

router = new_router()

#: Parameters that depend on the source; the gateway applies all others.
JUDGED = ("since", "until", *FILTERS)

_OPEN: dict[str, Any] = {"security": []}

_PROBLEM_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{code}</title></head>
<body><h1>{title}</h1><p>Status {status}, code <code>{code}</code>.</p>
<p>The member <code>detail</code> of the problem describes the case and the remedy; <code>errors</code> names the
parameters at fault and <code>sources</code> the sources that failed. Quote <code>request_id</code> to the gateway's
operator, whose log has more.</p></body></html>
"""

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


@router.get(
    "/event-types",
    tags=["events"],
    summary="List the event types",
    responses=answers("guarded", "All types.", schemas.EventTypes),
)
async def list_event_types(request: Request, caller: EventReader, _: NoQuery) -> Response:
    """All event types, with the providers' values that map to them. Any other value becomes `unknown`."""
    return json_response(event_types(request.app.state.providers))


def event_types(providers: Mapping[str, Provider]) -> schemas.EventTypes:
    """Return the body, sorted by type, then in the order of the providers' tables."""
    by_type: dict[str, list[schemas.TypeMapping]] = {}
    for provider in providers.values():
        for row in provider.mapping:
            by_type.setdefault(row.type, []).append(schemas.TypeMapping(provider.name, row.provider_type, row.category))
    return schemas.EventTypes(
        [schemas.EventType(type_, rows) for type_, rows in sorted(by_type.items())],
        [
            schemas.ProviderInfo(provider.name, provider.title, provider.mapping_version)
            for provider in providers.values()
        ],
    )


@router.get(
    "/sources",
    tags=["sources"],
    summary="List the sources",
    responses=answers("guarded", "The sources that the caller may read.", schemas.Sources),
)
async def list_sources(
    request: Request, caller: Annotated[Caller, Depends(requires("sources:read"))], _: NoQuery
) -> Response:
    """The configured accounts with their filters, settings, health and observations."""
    feed: Feed = request.app.state.feed
    found = []
    for source in feed.sources.values():
        if not caller.may_read(source.name):
            continue
        filters = {name: source.filters.get(name, "not_applicable") for name in JUDGED}
        filters |= {name.replace("_not", ".not"): source.filters.get(name, "gateway") for name in OWN_FILTERS}
        health, details = source.health(), source.describe()
        found.append(schemas.SourceInfo(source.name, source.provider, filters, source.settle, health, details))
    return json_response(schemas.Sources(found))


@router.get(
    "/me",
    tags=["monitoring"],
    summary="Show the caller's own grants",
    responses=answers("guarded", "The caller.", schemas.Me),
)
async def get_me(request: Request, caller: Annotated[Caller, Depends(requires(None))], _: NoQuery) -> Response:
    """The caller's name, scopes, sources, rate and expiry. Needs any valid key or token."""
    feed: Feed = request.app.state.feed
    authenticator: Authenticator = request.app.state.authenticator
    sources, rate = [name for name in feed.sources if caller.may_read(name)], caller.rate or authenticator.rates.default
    expires = None if caller.expires is None else format_seconds(caller.expires)
    return json_response(schemas.Me(caller.name, caller.kind, sorted(caller.scopes), sources, rate, expires))


# Each health call has two routes. The lower one is the first, answers, and lists both methods in `Allow`. The upper one
# is for the OpenAPI document, where HEAD would become a function of every client.


@router.get(
    "/health/live",
    tags=["health"],
    summary="Is the process alive?",
    responses=answers("open", "It is.", schemas.Health),
    openapi_extra=_OPEN,
)
@router.api_route("/health/live", methods=READ, include_in_schema=False)
async def health_live(request: Request) -> Response:
    """200 while the process responds at all."""
    return json_response(schemas.Health("ok"))


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Can the process take calls?",
    responses=answers("ready", "It can.", schemas.Health),
    openapi_extra=_OPEN,
)
@router.api_route("/health/ready", methods=READ, include_in_schema=False)
async def health_ready(request: Request) -> Response:
    """200 from the end of the start to the beginning of the shutdown."""
    if not request.app.state.ready:
        return problem_response(request, "not_ready", "The gateway is starting or stopping; try another replica.")
    return json_response(schemas.Health("ok"))


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
    if (shared := request.app.state.shared) is not None:
        await shared.check()  # an idle replica would report Redis as it was at the last request
    return Response(metrics.exposition(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.get(
    "/.well-known/jwks.json",
    tags=["monitoring"],
    summary="Read the key that verifies signatures",
    responses=answers("keys", "The public key.", schemas.PublicKeys),
    openapi_extra=_OPEN,
)
async def get_jwks(request: Request, _: NoQuery) -> Response:
    """The public key that verifies exports and reports of this gateway. Needs no API key."""
    key = request.app.state.signing_key
    return json_response({"keys": []} if key is None else key.jwks(), cache="max-age=300")


@router.api_route("/openapi.json", methods=READ, include_in_schema=False)
async def openapi_document(request: Request) -> Response:
    return json_response(request.app.openapi(), cache="no-cache")


@router.api_route("/problems/{code}", methods=READ, include_in_schema=False)
async def problem_type(request: Request, code: str) -> Response:
    """The page of a problem's `type`."""
    if code not in PROBLEMS:
        raise HTTPException(404)
    status, title = PROBLEMS[code]
    page = _PROBLEM_PAGE.format(code=escape(code), title=escape(title), status=status)
    return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-cache"})


# ---- web pages ----


@router.api_route("/", methods=READ, include_in_schema=False)
async def root(request: Request) -> Response:
    # Relative, so that it works under any path of a proxy.
    return RedirectResponse("docs", status_code=307)


@router.api_route("/ui/setup.js", methods=READ, include_in_schema=False)
async def trail_setup(request: Request) -> Response:
    """The public key of the sandbox for invented data. No other key is ever filled in."""
    setup = {"knownKey": SANDBOX_KEY if request.app.state.sandbox else ""}
    body = f"export const setup = {json.dumps(setup)};\n"
    return Response(body, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


@router.api_route("/ui", methods=READ, include_in_schema=False)
@router.api_route("/ui/{name:path}", methods=READ, include_in_schema=False)
async def trail_page(request: Request, name: str | None = None) -> Response:
    return await _file(_UI, "index.html", _UI_POLICY, name, request)


@router.api_route("/docs", methods=READ, include_in_schema=False)
@router.api_route("/docs/{name}", methods=READ, include_in_schema=False)
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
