"""A change that breaks generated clients needs an entry under *Breaking* in the changelog. The check finds planted
breaks and ignores compatible changes.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.clients.tools import DOCUMENT, HERE, RELEASED, ROOT, call, node, npm_package

Json = dict[str, Any]
Operation = tuple[str, str]  #: path and method


def breaking_changes(before: Path, *after: Path) -> list[list[str]]:
    """Return one line for each change by which a document `after` breaks clients of `before`."""
    npm_package("api-smart-diff")
    compared = json.loads(call(node(), str(HERE / "compare.mjs"), str(before), *map(str, after), cwd=HERE))
    old, *new = (json.loads(file.read_text(encoding="utf-8")) for file in (before, *after))
    return [
        [_line(diff) for diff in diffs if not _is_harmless(diff["action"], diff["path"])] + list(_unreported(old, one))
        for diffs, one in zip(compared, new, strict=True)
    ]


def _line(diff: Json) -> str:
    place = " > ".join(map(str, diff["path"]))
    return f"{diff['action']} {place}: {_short(diff.get('before'))} -> {_short(diff.get('after'))}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:59]}…"


def _is_harmless(action: str, path: Sequence[str | int]) -> bool:
    """Whether api-smart-diff reports a compatible change. It treats all schemas as those of requests, but in responses
    a new field and a newly required one break no client; nor does another way to authenticate.
    """
    if action != "add" or path[0] != "components":
        return False
    return path[-2] in ("properties", "required") or (len(path) == 3 and path[1] == "securitySchemes")


def _unreported(old: Json, new: Json) -> Iterator[str]:
    if old["servers"] != new["servers"]:
        yield f"servers: {_short(old['servers'])} -> {_short(new['servers'])}"
    for name in old["components"]["securitySchemes"].keys() - new["components"]["securitySchemes"].keys():
        yield f"security scheme {name} is gone"
    after = dict(_operations(new))
    for (path, method), operation in _operations(old):
        if (changed := after.get((path, method))) is None:
            continue  # reported by api-smart-diff
        place = f"{method} {path}"
        if operation["operationId"] != changed["operationId"]:
            yield f"{place}: operationId {operation['operationId']} -> {changed['operationId']}"
        ways, now = _security(old, operation), _security(new, changed)
        if any(way not in now for way in ways) or bool(ways) != bool(now):
            yield f"{place}: security {_short(ways)} -> {_short(now)}"
        parameters = dict(_parameters(changed))
        for name, traits in _parameters(operation):
            if name in parameters and parameters[name] != traits:
                yield f"{place}: parameter {name}: {_short(traits)} -> {_short(parameters[name])}"


def _operations(document: Json) -> Iterator[tuple[Operation, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield (path, method), operation


def _security(document: Json, operation: Json) -> list[Json]:
    """Return the ways to authenticate; an empty list if no authentication is required."""
    ways: list[Json] = operation.get("security", document["security"])
    return ways


def _parameters(operation: Json) -> Iterator[tuple[str, Json]]:
    """Yield the name and the traits of each parameter that generated clients depend on."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        member = schema.get("items", schema)
        traits = {name: parameter.get(name) for name in ("style", "explode")}
        traits |= {"type": schema.get("type"), "of": member.get("type"), "enum": member.get("enum")}
        yield f"{parameter['name']} in {parameter['in']}", traits


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
    "parameter no longer a list": lambda d: parameter(d, "type").update(schema={"type": "string"}),
    "list style": lambda d: parameter(d, "type").update(explode=False),
    "parameter is a choice": lambda d: parameter(d, "category")["schema"]["items"].update(enum=["envelope"]),
    "bound tighter": lambda d: parameter(d, "limit")["schema"].update(maximum=100),
    "scheme gone": lambda d: (d.update(security=[{"bearer": []}]), schemes(d).pop("apiKey")),
    "both keys required": lambda d: d.update(security=[{"bearer": [], "apiKey": []}]),
    "public operation needs a key": lambda d: operation(d, "/health/live").pop("security"),
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


#: The parts of the document that the changes need: all of it takes a second to compare.
PATHS = ("/events", "/events/count", "/events/export", "/event-types", "/health/live")


def test_no_client_of_the_last_release_breaks_unannounced() -> None:
    (broken,) = breaking_changes(RELEASED, DOCUMENT)
    unreleased = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## [Unreleased]", 1)[1]
    announced = re.search(r"^### Breaking\n+- \S", unreleased.split("\n## ", 1)[0], re.MULTILINE)
    lines = "\n  ".join(broken)
    assert announced or not broken, f"no entry under ### Breaking in CHANGELOG.md's [Unreleased] for\n  {lines}"


def test_each_planted_break_is_found_and_nothing_else(tmp_path: Path) -> None:
    document = shorten(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    before = tmp_path / "before.json"
    before.write_text(json.dumps(document), encoding="utf-8")

    def harmless(changed: Json) -> None:
        for change in HARMLESS.values():
            change(changed)

    changes = {**PLANTED, "harmless": harmless}
    after = []
    for name, change in changes.items():
        changed = copy.deepcopy(document)
        change(changed)
        after.append(tmp_path / f"{name}.json")
        after[-1].write_text(json.dumps(changed), encoding="utf-8")
    found = dict(zip(changes, breaking_changes(before, *after), strict=True))
    assert [name for name in PLANTED if not found[name]] == []
    assert found["harmless"] == []


def shorten(document: Json) -> Json:
    document["components"].pop("examples", None)
    document["paths"] = {path: document["paths"][path] for path in PATHS}
    for path, item in document["paths"].items():
        if path != "/events":
            item["get"].pop("parameters", None)
        responses = item["get"]["responses"]
        item["get"]["responses"] = {
            status: responses[status] for status in ("200", "401", "429") if status in responses
        }
        for response in item["get"]["responses"].values():
            for content in response["content"].values():
                content.pop("examples", None)
    return document
