"""What in a newer OpenAPI document breaks the clients of an older one.

api-smart-diff judges most of it (`compare.mjs`). What it does not look at is judged here: the names of the functions
that clients have, how a caller authenticates, where the paths hang, and the types of parameters.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.clients.tools import HERE, call, node, npm_package

Json = dict[str, Any]
Operation = tuple[str, str]  #: path and method


def breaking_changes(before: Path, *after: Path) -> list[list[str]]:
    """For each document `after`, one line for each break; none where every client of `before` goes on working."""
    npm_package("api-smart-diff")
    compared = json.loads(call(node(), str(HERE / "compare.mjs"), str(before), *map(str, after), cwd=HERE))
    old, *new = (json.loads(file.read_text(encoding="utf-8")) for file in (before, *after))
    return [
        [_line(diff) for diff in diffs if not _is_harmless(diff["action"], diff["path"])] + list(_overlooked(old, one))
        for diffs, one in zip(compared, new, strict=True)
    ]


def _line(diff: Json) -> str:
    place = " > ".join(map(str, diff["path"]))
    return f"{diff['action']} {place}: {_short(diff.get('before'))} -> {_short(diff.get('after'))}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:59]}…"


def _is_harmless(action: str, path: Sequence[str | int]) -> bool:
    """What api-smart-diff takes for a break since it cannot know that our schemas are all of answers: there a new field
    takes nothing away, nor does a promise that a field is always there. One more way to authenticate neither.
    """
    if action != "add" or path[0] != "components":
        return False
    return path[-2] in ("properties", "required") or (len(path) == 3 and path[1] == "securitySchemes")


def _overlooked(old: Json, new: Json) -> Iterator[str]:
    if old["servers"] != new["servers"]:
        yield f"servers: {_short(old['servers'])} -> {_short(new['servers'])}"
    for name in old["components"]["securitySchemes"].keys() - new["components"]["securitySchemes"].keys():
        yield f"security scheme {name} is gone"
    after = dict(_operations(new))
    for (path, method), operation in _operations(old):
        if (changed := after.get((path, method))) is None:
            continue  # which api-smart-diff reports
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
    """The ways to authenticate; none where nobody has to."""
    ways: list[Json] = operation.get("security", document["security"])
    return ways


def _parameters(operation: Json) -> Iterator[tuple[str, Json]]:
    """What of each parameter a client has built in: its type, how lists are written, and values to choose from."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        member = schema.get("items", schema)
        traits = {name: parameter.get(name) for name in ("style", "explode")}
        traits |= {"type": schema.get("type"), "of": member.get("type"), "enum": member.get("enum")}
        yield f"{parameter['name']} in {parameter['in']}", traits
