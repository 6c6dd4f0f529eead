"""The OpenAPI document: what FastAPI derives from the routes, put into the form that client generators read
best.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api import examples
from app.api.problems import MEDIA_TYPE, PROBLEMS
from app.api.schemas import Problem
from app.providers.base import Provider

TITLE = "Audit gateway"

SUMMARY = "One feed of audit events over several e-signature accounts."

DESCRIPTION = """\
One normalized, ordered feed of audit events over all configured e-signature accounts.

Three calls are all one needs:

1. `GET /events` reads the newest page: who did what, to which envelope, when.
2. `GET /events?cursor=…` with the `next_cursor` of that page reads the next one, until `has_more` is false.
   Every event comes once and only once, whatever happens meanwhile.
3. `GET /events?envelope_id=…&order=asc` tells one envelope's life from its beginning.

Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every error is
`application/problem+json` with a stable `code`, and names the parameter and the remedy.
"""

TAGS = [
    {"name": "events", "description": "The audit events, and what they mean."},
    {"name": "sources", "description": "The accounts that events come from."},
    {"name": "operation", "description": "How the gateway fares, for monitoring."},
    {"name": "health", "description": "Is the gateway alive, and ready? No API key is needed."},
]

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the issuer."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in its own header.",
    },
}

_STATUSES = {
    "events": (400, 401, 403, 414, 422, 429, 431, 500, 502, 503, 504),
    "count": (401, 403, 414, 422, 429, 431, 500, 502, 503, 504),
    "event": (401, 403, 404, 414, 422, 429, 431, 500, 502, 503, 504),
    "guarded": (401, 403, 414, 422, 429, 431, 500, 503),
    "open": (500,),
    "ready": (500, 503),
}


def problems(kind: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the problems that it may answer with."""
    return {status: _problem(status) for status in _STATUSES[kind]}


def _problem(status: int) -> dict[str, Any]:
    codes = [code for code, (of, _) in PROBLEMS.items() if of == status]
    headers: dict[str, Any] = {}
    if status == 401:
        headers = {"WWW-Authenticate": _header("How to authenticate.")}
    elif status in (429, 503):
        headers = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    if status == 429:
        headers |= rate_headers()
    schema = {"$ref": "#/components/schemas/Problem"}
    named = {code: {"summary": PROBLEMS[code][1]} for code in codes}
    return {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes) + ".",
        "headers": headers | {"X-Request-ID": _header("Names this call in the gateway's log.")},
        "content": {MEDIA_TYPE: {"schema": schema, "examples": named}},
    }


def rate_headers() -> dict[str, Any]:
    """The headers that go with every answer to a caller whose key has a rate."""
    return {
        "RateLimit-Policy": _header('The key\'s rate: `"key";q=600;w=60` is 600 calls in 60 seconds.'),
        "RateLimit": _header('What is left of it: `"key";r=12;t=7` is 12 calls, and more in 7 seconds.'),
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def install_openapi(app: FastAPI, providers: Mapping[str, Provider], schemas: Mapping[str, Any]) -> None:
    """Make `app.openapi()` give our document. `schemas` are added to its components under their names."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, providers, schemas)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, providers: Mapping[str, Provider], schemas: Mapping[str, Any]) -> dict[str, Any]:
    document = get_openapi(
        title=TITLE,
        version=version("audit-gateway"),
        summary=SUMMARY,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        servers=[{"url": "/"}],
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = SECURITY_SCHEMES
    components.setdefault("schemas", {}).update(schemas)
    document["security"] = [{"bearer": []}, {"apiKey": []}]
    _add_examples(document, providers)
    return document


def _add_examples(document: dict[str, Any], providers: Mapping[str, Provider]) -> None:
    """Put in what FastAPI would strip of its nulls, or only the providers know."""
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                for code, example in response["content"].get(MEDIA_TYPE, {}).get("examples", {}).items():
                    example["value"] = examples.problem(code)
    paths = document["paths"]
    for path, example in (
        ("/events", examples.event_page(providers)),
        ("/events/{event_id}", examples.event(providers)),
    ):
        paths[path]["get"]["responses"]["200"]["content"]["application/json"]["example"] = example
    vendors = {
        "provider": list(providers),
        "provider_type": examples.provider_types(providers, "recipient.signed"),
    }
    for schema in document["components"]["schemas"].values():
        for field in vendors.keys() & schema.get("properties", {}).keys():
            schema["properties"][field]["examples"] = vendors[field]
    for path in ("/events", "/events/export", "/events/stream"):
        for parameter in paths[path]["get"]["parameters"]:
            if parameter["name"] in vendors:
                parameter["schema"]["items"]["examples"] = vendors[parameter["name"]]
    for path, media_type, text in (
        ("/events/export", "application/x-ndjson", examples.exported(providers)),
        ("/events/stream", "text/event-stream", examples.streamed(providers)),
    ):
        paths[path]["get"]["responses"]["200"]["content"][media_type]["example"] = text


def problem_schemas() -> dict[str, Any]:
    """The schemas of a problem, which every route refers to and none returns."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    return {**schema.pop("$defs"), "Problem": schema}
