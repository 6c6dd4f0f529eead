"""Compare a body with its response model and with the OpenAPI document."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.json"


def assert_shape(body: Any, shape: type[msgspec.Struct]) -> None:
    """Assert that the body has exactly the fields of `shape`, each as the document describes it."""
    assert msgspec.to_builtins(msgspec.convert(body, shape)) == body
    _validator(shape.__name__).validate(body)


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    components = json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
