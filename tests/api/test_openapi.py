"""The OpenAPI document is correct, and in the form that client generators need."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api import schemas
from app.cli.main import openapi_text
from app.domain.errors import InvalidCursor, ParameterError
from app.domain.parameters import parameter_names, read_query
from app.domain.query import CountQuery, EventQuery, ExportQuery
from tests.api.shapes import DOCUMENT, assert_shape

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi_text())
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method} {path}", item[method]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_the_committed_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == openapi_text(), (
        "openapi/openapi.json has drifted; run: audit-gateway openapi --output openapi/openapi.json"
    )


def test_exactly_the_accepted_parameters_are_described(document: dict[str, Any]) -> None:
    models = {"/events": EventQuery, "/events/count": CountQuery, "/events/export": ExportQuery}
    for path, model in models.items():
        described = document["paths"][path]["get"]["parameters"]
        assert [parameter["name"] for parameter in described] == list(parameter_names(model))
        for parameter in described:
            assert parameter["in"] == "query"
            assert parameter["description"].endswith(".")
            repeats = parameter_names(model)[parameter["name"]]
            assert (parameter["schema"]["type"] == "array") == repeats
            assert (parameter.get("style"), parameter.get("explode")) == (("form", True) if repeats else (None, None))


def test_every_example_and_choice_of_a_parameter_is_accepted(document: dict[str, Any]) -> None:
    for parameter in document["paths"]["/events"]["get"]["parameters"]:
        described = parameter["schema"].get("items", parameter["schema"])
        for value in [*described.get("examples", ()), *described.get("enum", ())]:
            assert read_query(EventQuery, [(parameter["name"], value)])


def test_closed_values_are_enumerated_and_defaults_shown(document: dict[str, Any]) -> None:
    schemas = {one["name"]: one["schema"] for one in document["paths"]["/events"]["get"]["parameters"]}
    assert schemas["order"]["enum"] == ["asc", "desc"]
    assert schemas["envelope_status"]["enum"] == ["completed", "active", "inactive"]
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    # Swagger UI and some clients send defaults, which would contradict the filters of a cursor.
    assert {name for name, schema in schemas.items() if "default" in schema} == {"limit"}


def test_no_response_schema_has_a_closed_enumeration(document: dict[str, Any]) -> None:
    assert not [node for node in walk(document["components"]["schemas"]) if "enum" in node or "const" in node]


def test_every_operation_declares_its_errors_and_security(document: dict[str, Any]) -> None:
    """Errors are problems, none of them FastAPI's own. Health and the public keys need no API key."""
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    assert document["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
    assert {operation["operationId"] for _, operation in operations(document)} == {
        "list_events", "count_events", "export_events", "stream_events", "get_event", "get_envelope",
        "get_envelope_report", "list_event_types", "list_sources", "get_me", "read_metrics", "health_live",
        "health_ready", "get_manifest", "get_jwks",
    }  # fmt: skip
    for name, operation in operations(document):
        assert operation.get("security") == ([] if "/health/" in name or "/.well-known/" in name else None), name
        assert any(status.startswith("4") for status in operation["responses"]) == ("/health/" not in name), name
        assert "500" in operation["responses"]
        for parameter in operation.get("parameters", ()):
            assert all(node.get("type") != "null" for node in walk(parameter))
        examples = []
        for status, response in operation["responses"].items():
            if status == "200":
                continue
            (content,) = response["content"].items()
            assert content[0] == "application/problem+json", name
            assert content[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
            if "example" in content[1]:
                examples.append(content[1]["example"])
                assert content[1]["example"]["status"] == int(status)
        (example,) = examples
        assert_shape(example, schemas.Problem)


def test_the_document_has_a_relative_server_and_pagination_links(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/"}]
    link = document["paths"]["/events"]["get"]["responses"]["200"]["links"]["NextPage"]
    assert link["operationId"] == "list_events"
    assert link["parameters"] == {"cursor": "$response.body#/page/next_cursor"}
    accepted = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", ())}
        for _, operation in operations(document)
    }
    links = [
        link
        for _, operation in operations(document)
        for link in operation["responses"]["200"].get("links", {}).values()
    ]
    assert len(links) == 3
    for link in links:
        assert link["parameters"].keys() <= accepted[link["operationId"]]


def test_the_documented_bounds_of_parameters_are_enforced(document: dict[str, Any]) -> None:
    """A value at its bound is accepted, one beyond it is refused."""
    parameters = document["paths"]["/events"]["get"]["parameters"]
    texts = {one["name"]: one["schema"] for one in parameters if one["schema"]["type"] == "string"}
    lists = {one["name"]: one["schema"] for one in parameters if one["schema"]["type"] == "array"}
    for name in texts.keys() - {"since", "until", "order", "envelope_status", "by"}:
        longest = texts[name]["maxLength"]
        assert read_query(EventQuery, [(name, "x" * longest)])
        with pytest.raises((ParameterError, InvalidCursor)):
            read_query(EventQuery, [(name, "x" * (longest + 1))])
    for name, schema in lists.items():
        value = "raw" if name == "include" else "x"
        assert read_query(EventQuery, [(name, value)] * schema["maxItems"])
        with pytest.raises(ParameterError, match="at most"):
            read_query(EventQuery, [(name, value)] * (schema["maxItems"] + 1))
        if name != "include":
            longest = schema["items"]["maxLength"]
            assert read_query(EventQuery, [(name, "x" * longest)])
            with pytest.raises(ParameterError, match="at most"):
                read_query(EventQuery, [(name, "x" * (longest + 1))])


async def test_the_documented_response_headers_are_sent(document: dict[str, Any], client: httpx.AsyncClient) -> None:
    always = {"Cache-Control", "X-Request-ID"}
    page = (await client.get("/events?limit=1")).json()
    for name, operation in operations(document):
        path = name.split()[-1].replace("{event_id}", page["data"][0]["id"])
        if operation.get("security") == [] or path == "/events/stream":
            continue
        declared = operation["responses"]["200"]["headers"]
        assert declared.keys() >= {*always, "RateLimit", "RateLimit-Policy"}, name
        result = await client.get(path)
        assert all(header in result.headers for header in always), name


def test_every_field_is_described_and_required(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        optional = {"unproven"} if name == "SourceStatus" else set()
        assert set(schema["required"]) == set(schema["properties"]) - optional, name
        for field, described in schema["properties"].items():
            assert described["description"].endswith("."), f"{name}.{field}"
            assert "title" not in described
            # Generators misread nullable fields in any other form than a list of types, or a schema or null.
            assert all("$ref" in one or one == {"type": "null"} for one in described.get("anyOf", ()))
