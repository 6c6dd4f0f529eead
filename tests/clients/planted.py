"""Changes to the OpenAPI document that break its clients (PLANTED), and such that do not (HARMLESS), by their names:
what `breaking.py` judges itself, and a sample of what api-smart-diff does."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Change = Callable[[Json], object]


def operation(document: Json, path: str = "/events") -> Json:
    found: Json = document["paths"][path]["get"]
    return found


def parameters(document: Json) -> list[Json]:
    found: list[Json] = operation(document)["parameters"]
    return found


def parameter(document: Json, name: str) -> Json:
    return next(one for one in parameters(document) if one["name"] == name)


def schema(document: Json, name: str = "Event") -> Json:
    found: Json = document["components"]["schemas"][name]
    return found


def field(document: Json, name: str, of: str = "Event") -> Json:
    found: Json = schema(document, of)["properties"][name]
    return found


def schemes(document: Json) -> Json:
    found: Json = document["components"]["securitySchemes"]
    return found


def new(required: bool) -> Json:
    return {"name": "tenant", "in": "query", "required": required, "schema": {"type": "string"}}


NULL = {"type": "null"}
PLANTED: dict[str, Change] = {
    "operation gone": lambda d: d["paths"].pop("/events/count"),
    "paths moved": lambda d: d.update(servers=[{"url": "/v2"}]),
    "operation renamed": lambda d: operation(d).update(operationId="read_events"),
    "field gone": lambda d: (schema(d)["required"].remove("data"), schema(d)["properties"].pop("data")),
    "field nullable": lambda d: field(d, "provider").update(type=["string", "null"]),
    "field type": lambda d: field(d, "limit", "PageInfo").update(type="string"),
    "open string closed": lambda d: field(d, "type").update(enum=["recipient.signed", "unknown"]),
    "parameter gone": lambda d: parameters(d).remove(parameter(d, "q")),
    "new parameter required": lambda d: parameters(d).append(new(required=True)),
    "parameter type": lambda d: parameter(d, "limit").update(schema={"type": "string"}),
    "parameter repeats no more": lambda d: parameter(d, "type").update(schema={"type": "string"}),
    "list written otherwise": lambda d: parameter(d, "type").update(explode=False),
    "parameter is a choice": lambda d: parameter(d, "category")["schema"]["items"].update(enum=["envelope"]),
    "bound tighter": lambda d: parameter(d, "limit")["schema"].update(maximum=100),
    "scheme gone": lambda d: (d.update(security=[{"bearer": []}]), schemes(d).pop("apiKey")),
    "both keys needed": lambda d: d.update(security=[{"bearer": [], "apiKey": []}]),
    "open operation needs a key": lambda d: operation(d, "/health/live").pop("security"),
    "status gone": lambda d: operation(d)["responses"].pop("429"),
}

PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NEW_OPERATION = {"get": {"operationId": "read_new", "responses": {"200": {"description": "It is."}}}}
HARMLESS: dict[str, Change] = {
    "new operation": lambda d: d["paths"].update({"/new": NEW_OPERATION}),
    "new field": lambda d: (
        schema(d)["required"].append("severity"),
        schema(d)["properties"].update(severity={"type": "string"}),
    ),
    "new schema": lambda d: (
        d["components"]["schemas"].update(Place=PLACE),
        schema(d, "Actor")["properties"].update(place={"anyOf": [{"$ref": "#/components/schemas/Place"}, NULL]}),
    ),
    "new parameter": lambda d: parameters(d).insert(0, new(required=False)),
    "other order": lambda d: (schema(d)["required"].reverse(), parameters(d).reverse()),
    "looser bound": lambda d: parameter(d, "limit")["schema"].update(maximum=5000),
    "one more scheme": lambda d: (
        schemes(d).update(basic={"type": "http", "scheme": "basic"}),
        d["security"].append({"basic": []}),
    ),
}
