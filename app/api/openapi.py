"""The OpenAPI document: FastAPI's, in a form that client generators handle best.

Its examples are responses of the sandbox, recorded in `examples.json`. `python -m tests.clients.recording` records them
again, and a test compares. They contain no personal data, because the sandbox's people are invented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from app.api.schemas import Problem
from app.domain.parameters import DEFAULT_LIMIT, MAX_LIMIT
from app.providers.base import Provider

TITLE = "Audit gateway"

SUMMARY = "One feed of audit events over several e-signature accounts."

DESCRIPTION = """\
Three calls cover most needs:

1. `GET /events` reads the newest page: who did what, to which envelope, when.
2. `GET /events?cursor=…` with the `next_cursor` of that page reads the next one, until `has_more` is false.
   Each event is delivered exactly once, also if records are added meanwhile.
3. `GET /envelopes/{envelope_id}` returns all events of one envelope, and the progress of each recipient.

All filters are optional and combine with AND; a repeated parameter is OR. A filter that does not apply
to a source excludes that source; `sources` contains the reason.

Types, categories, statuses and codes are open: providers add new ones, and a client must accept unknown values. `type`
is `unknown` for a value without a mapping; `provider_type` keeps the provider's own value.

Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every error is
`application/problem+json` with a stable `code`, and names the parameter and the remedy.
"""

TAGS = [
    {"name": "events", "description": "Audit events and their types."},
    {"name": "envelopes", "description": "One envelope and the progress of its recipients."},
    {"name": "sources", "description": "Configured accounts."},
    {"name": "monitoring", "description": "The gateway itself."},
    {"name": "health", "description": "Liveness and readiness, without an API key."},
]

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the issuer."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in its own header."},
}

_GUARDED = (
    "unauthenticated", "forbidden", "uri_too_long", "unknown_parameter", "rate_limited", "headers_too_large",
    "internal_error", "overloaded", "issuer_unavailable",
)  # fmt: skip
_READING = (
    *_GUARDED, "invalid_parameter", "source_failed", "source_unauthorized", "source_unavailable", "source_timeout",
)  # fmt: skip
_FILTERED = (*_READING, "filter_not_applicable", "invalid_window")

#: Problems of each kind of operation, by codes of `PROBLEMS`.
_CODES = {
    "events": (*_FILTERED, "invalid_cursor", "cursor_mismatch"),
    "count": _FILTERED,
    "event": (*_READING, "not_found"),
    "envelope": (*_FILTERED, "not_found"),
    "guarded": _GUARDED,
    "manifest": (*_GUARDED, "not_found"),
    "open": ("internal_error",),
    "keys": ("unknown_parameter", "internal_error"),
    "ready": ("internal_error", "not_ready"),
}


#: Shapes of responses, added when the routes' modules are imported.
_SHAPES: set[type[msgspec.Struct]] = {Problem}
_REFERENCE = "#/components/schemas/{name}"


def header(description: str) -> dict[str, Any]:
    """Return a text header for the `responses` of a route."""
    return {"description": description, "schema": {"type": "string"}}


#: Headers of every response to a caller whose key has a rate.
_RATE_HEADERS = {
    "RateLimit-Policy": header('The key\'s rate: `"key";q=600;w=60` is 600 calls in 60 seconds.'),
    "RateLimit": header('What is left of it: `"key";r=12;t=7` is 12 calls, and more in 7 seconds.'),
}

#: Headers of every successful response of a call that needs a key.
ANSWER_HEADERS = {
    "Cache-Control": header("`no-store`."),
    "X-Request-ID": header("Names this call in the gateway's log."),
    **_RATE_HEADERS,
}


_UNKNOWN = "is not a parameter of this call; did you mean limit?"
_UNEXPECTED = "An unexpected error; the gateway's log has more under this request_id."

#: By status, the example of a problem.
_EXAMPLES = {
    PROBLEMS[code][0]: json.loads(
        problem_body(code, detail, instance="/events", request_id="8f14e45fceea167a5a36dedd4bea2543", errors=errors)
    )
    for code, detail, errors in (
        ("unknown_parameter", f"limits: {_UNKNOWN}", [("limits", _UNKNOWN)]),
        ("internal_error", _UNEXPECTED, []),
    )
}


def answers(
    kind: str, description: str, shape: type[msgspec.Struct] | None = None, **more: Any
) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: success with a JSON body of `shape`, and its problems, one of them with an
    example; `more` are members of the successful one."""
    good = {"description": description, **more}
    if "unauthenticated" in _CODES[kind]:
        good.setdefault("headers", ANSWER_HEADERS)
    if shape is not None:
        _SHAPES.add(shape)
        good["content"] = {"application/json": {"schema": {"$ref": _REFERENCE.format(name=shape.__name__)}}}
    found: dict[int | str, dict[str, Any]] = {200: good}
    codes = [code for code in PROBLEMS if code in _CODES[kind]]
    for status in sorted({PROBLEMS[code][0] for code in codes}):
        headers: dict[str, Any] = {}
        if status == 401:
            headers = {"WWW-Authenticate": header("How to authenticate.")}
        elif status in (429, 503):
            headers = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        if status == 429:
            headers |= _RATE_HEADERS
        texts = [f"`{code}`: {PROBLEMS[code][1]}" for code in codes if PROBLEMS[code][0] == status]
        found[status] = {
            "description": "; ".join(texts) + ".",
            "headers": headers | {"X-Request-ID": header("Names this call in the gateway's log.")},
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
        }
    shown = 422 if 422 in found else 500
    found[shown]["content"][MEDIA_TYPE]["example"] = _EXAMPLES[shown]
    return found


def install_openapi(app: FastAPI, providers: Mapping[str, Provider]) -> None:
    """Make `app.openapi()` return this document."""

    def make() -> dict[str, Any]:
        document = get_openapi(
            title=TITLE,
            version=version("audit-gateway"),
            summary=SUMMARY,
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
            servers=[{"url": "/"}],
        )
        _, schemas = msgspec.json.schema_components(_SHAPES, ref_template=_REFERENCE)
        document["components"] = {"schemas": schemas, "securitySchemes": SECURITY_SCHEMES}
        document["security"] = [{"bearer": []}, {"apiKey": []}]
        for schema in schemas.values():
            _simplify(schema)
        for item in document["paths"].values():
            for operation in item.values():
                if parameters := [_parameter(one) for one in operation.pop("parameters", ())]:
                    operation["parameters"] = parameters
        _add_examples(document, providers)
        return document

    app.openapi = cache(make)  # type: ignore[method-assign]


#: Parameters whose default may accompany a cursor; others might contradict its filters.
_DEFAULTS = ("format", "exact")


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter with an explicit style, and without null, titles and constants, which confuse generators."""
    schema = parameter["schema"]
    for one in schema.pop("anyOf", ()):
        schema |= one if one != {"type": "null"} else {}
    for name in ("title", "uniqueItems") + (() if parameter["name"] in _DEFAULTS else ("default",)):
        schema.pop(name, None)
    if parameter["name"] == "limit" and schema["maximum"] == MAX_LIMIT:  # an export has all events by default
        schema["default"] = DEFAULT_LIMIT
    described = schema.get("items", schema)
    if "const" in described:
        described["enum"] = [described.pop("const")]
    return parameter | ({"style": "form", "explode": True} if schema["type"] == "array" else {})


def _simplify(schema: dict[str, Any]) -> None:
    """Simplify for generators: every field that is always sent is required, and "or null" is a list of types. With
    `anyOf`, openapi-generator 7.26 uses one model, with the first description, for all fields of a simple type."""
    del schema["title"]
    # A field that may be UNSET has no default in msgspec's schema.
    always = schema.get("required", [])
    schema["required"] = [name for name, field in schema["properties"].items() if name in always or "default" in field]
    for field in schema["properties"].values():
        field.pop("default", None)
        if field.get("type") == "object":
            field.setdefault("additionalProperties", True)
        if len(either := field.get("anyOf", ())) == 2 and "$ref" not in either[0]:
            one, null = field.pop("anyOf")
            field |= one
            field["type"] = [one["type"], null["type"]]


RECORDED = Path(__file__).with_name("examples.json")

#: Parameters, and the path of their values in a recorded event.
_PATHS = {
    "source": "source", "envelope_id": "envelope.id", "workspace_id": "envelope.workspace_id",
    "flow_id": "envelope.flow_id", "owner": "envelope.owner", "actor": "actor.email", "recipient": "recipient.email",
    "event_id": "id", "after": "id",
}  # fmt: skip


def _add_examples(document: dict[str, Any], providers: Mapping[str, Provider]) -> None:
    """Add examples to responses and parameters, with vendors' names from `providers`. Runs after FastAPI, which would
    remove nulls from examples."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    events = recorded["list_events"]["data"]
    recorded["get_event"] = events[0]
    found: dict[str, Sequence[str]] = {}
    for name, path in _PATHS.items():
        values = events
        for member in path.split("."):
            values = [value[member] for value in values if value is not None]
        found[name] = list(dict.fromkeys(value for value in values if value is not None))
    rows = [row for provider in providers.values() for row in provider.mapping if row.type == "recipient.signed"]
    vendors = {"provider": list(providers), "provider_type": [row.provider_type for row in rows]}
    for schema in document["components"]["schemas"].values():
        for name in vendors.keys() & schema["properties"].keys():
            schema["properties"][name]["examples"] = vendors[name]
    for item in document["paths"].values():
        for operation in item.values():
            if (answer := recorded.get(operation["operationId"])) is not None:
                ((_, described),) = operation["responses"]["200"]["content"].items()
                described["example"] = answer
            for parameter in operation.get("parameters", ()):
                if values := (found | vendors).get(parameter["name"]):
                    parameter["schema"].get("items", parameter["schema"])["examples"] = values
