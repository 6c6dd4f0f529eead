"""Read what ServiceStack publishes of its own types at `/types/metadata` (ServiceStack documentation, "Metadata")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.providers.http.lenient_json import read_json
from app.providers.taktikal.models import folded, objects

_ENUMS = ("FlowType", "StatusFilter")
_MOST = 20  #: values of an enumeration that are shown


def describe_types(body: bytes) -> str | None:
    """Return the values of FlowType and StatusFilter and the largest `Take`, as far as the document has them; None
    where it has none. Raises SourceFailed for what is not JSON."""
    found: dict[str, str] = {}
    for one in _objects_in(read_json(body).value):
        name = one.get("name")
        values = one.get("enumnames")
        if name in _ENUMS and isinstance(values, list):
            found[str(name)] = f"{name}: {', '.join(map(str, values[:_MOST]))}"
        if isinstance(name, str) and name.casefold() == "take" and isinstance(most := one.get("allowablemax"), int):
            found["Take"] = f"Take: at most {most}"
    return "; ".join(found[name] for name in sorted(found)) or None


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        members = folded(value)
        yield members
        for member in members.values():
            yield from _objects_in(member)
    else:
        for one in value if isinstance(value, list) else objects(value):
            yield from _objects_in(one)
