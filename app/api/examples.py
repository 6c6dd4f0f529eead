"""Add examples to the OpenAPI document: responses of the sandbox, recorded in `examples.json`.

`python -m tests.clients.recording` records them again, and a test compares. They contain no personal data, because
the sandbox's people are invented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from app.providers.base import Provider

Json = dict[str, Any]

RECORDED = Path(__file__).with_name("examples.json")

_REFERENCE = "#/components/schemas/"

#: Parameters, and the event fields with their values.
_ASKED_FOR = {
    "source": ("source",),
    "envelope_id": ("envelope", "id"),
    "workspace_id": ("envelope", "workspace_id"),
    "flow_id": ("envelope", "flow_id"),
    "owner": ("envelope", "owner"),
    "actor": ("actor", "email"),
    "recipient": ("recipient", "email"),
    "event_id": ("id",),
    "after": ("id",),
}


@cache
def recorded() -> Json:
    """Return responses by operation id."""
    found: Json = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found | {"get_event": found["list_events"]["data"][0]}


def add_examples(document: Json, providers: Mapping[str, Provider]) -> None:
    """Add examples to responses, fields and parameters, with vendors' names from `providers`.

    Runs after FastAPI, which would remove nulls from examples.
    """
    schemas = document["components"]["schemas"]
    vendors = {"provider": list(providers), "provider_type": _provider_types(providers, "recipient.signed")}
    for schema in schemas.values():
        for field in vendors.keys() & schema.get("properties", {}).keys():
            schema["properties"][field]["examples"] = vendors[field]
    for item in document["paths"].values():
        for operation in item.values():
            if (answer := recorded().get(operation["operationId"])) is not None:
                ((_, described),) = operation["responses"]["200"]["content"].items()
                described["example"] = answer
                _learn(described["schema"], answer, schemas)
            for parameter in operation.get("parameters", ()):
                described = parameter["schema"].get("items", parameter["schema"])
                if found := vendors.get(parameter["name"]) or _asked_for(parameter["name"]):
                    described["examples"] = found


def _learn(schema: Json, value: Any, schemas: Json) -> None:
    """Add an example from `value`, which `schema` describes, to every field without examples."""
    schema = _resolved(schema, schemas)
    if isinstance(value, list):
        for member in value:
            _learn(schema.get("items", {}), member, schemas)
    elif isinstance(value, dict):
        for name, field in schema.get("properties", {}).items():
            member = value.get(name)
            if isinstance(member, dict | list):
                _learn(field, member, schemas)
            elif member is not None:
                field.setdefault("examples", [member])


def _resolved(schema: Json, schemas: Json) -> Json:
    """Return the schema of a reference, which may be nullable."""
    for one in (schema, *schema.get("anyOf", ())):
        if "$ref" in one:
            found: Json = schemas[one["$ref"].removeprefix(_REFERENCE)]
            return found
    return schema


def _asked_for(parameter: str) -> Sequence[str]:
    """Return the values of the recorded events for a parameter."""
    found: list[str] = []
    for event in recorded()["list_events"]["data"] if parameter in _ASKED_FOR else ():
        value = event
        for member in _ASKED_FOR[parameter]:
            value = value and value[member]
        if value is not None and value not in found:
            found.append(value)
    return found


def _provider_types(providers: Mapping[str, Provider], type_: str) -> Sequence[str]:
    """Return the vendors' values that map to `type_`."""
    return [row.provider_type for provider in providers.values() for row in provider.mapping if row.type == type_]
