"""Write the generated parts of the documentation: `make docs`. `tests/operations/test_docs.py` checks that they are
current.

A page contains `<!-- generated: NAME -->` … `<!-- generated: end -->`; the text between the two comes from code.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ["TYPER_USE_RICH"] = "0"  # before typer is imported: help without boxes

import typer.main
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from app.api.exports import ecs, ocsf
from app.api.problems import PROBLEMS
from app.api.routes.service import event_types
from app.cli.main import cli
from app.config import PREFIX, Settings
from app.providers.http.network import VARIABLES
from app.providers.registry import find_providers

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (?!end\b)(\w+) -->\n).*?(<!-- generated: end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"|{'|'.join(map(_cell, line))}|\n" for line in lines)


def _cell(text: str) -> str:
    return f" {text.replace('|', '&#124;')} " if text else " "


def settings() -> str:
    rows = [
        (f"`{PREFIX}{name.upper()}`", field.description or "", _default(field))
        for name, field in sorted(Settings.model_fields.items())
    ]
    return table(("variable", "meaning", "default"), rows)


def provider_settings() -> str:
    parts = []
    for provider in find_providers().values():
        rows = ((f"`{name}`", text) for name, text in provider.variables.items())
        parts.append(f"### {provider.title}\n\n" + table(("variable", "meaning"), rows))
    return "\n".join(parts)


def network() -> str:
    return table(("variable", "meaning"), ((f"`{name}`", text) for name, text in VARIABLES.items()))


def _default(field: FieldInfo) -> str:
    default = field.default
    if field.default_factory is not None:
        return "random at each start"
    if default is PydanticUndefined or default is None or default == ():
        return ""
    if isinstance(default, timedelta):
        return f"`P{default.days}D`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    assert not isinstance(default, SecretStr)
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def types() -> str:
    providers = find_providers()
    body = event_types(providers)
    names = list(providers)
    rows = []
    for entry in body.data:
        values = {name: [row.provider_type for row in entry.mappings if row.provider == name] for name in names}
        rows.append((f"`{entry.type}`", *(", ".join(f"`{value}`" for value in values[name]) for name in names)))
    return table(("type", *(provider.title for provider in providers.values())), rows)


def calls() -> str:
    """The operations of `openapi/openapi.json`, which a test compares with the code."""
    paths = json.loads((DOCS.parent / "openapi" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, item in sorted(paths.items(), key=lambda entry: not entry[0].startswith("/events"))
        for method, operation in item.items()
    ]
    return table(("call", "result"), rows)


def parameters() -> str:
    """The parameters of `GET /events`."""
    paths = json.loads((DOCS.parent / "openapi" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    rows = [(f"`{one['name']}`", one["description"]) for one in paths["/events"]["get"]["parameters"]]
    return table(("parameter", "meaning"), rows)


def problems() -> str:
    rows = [
        (str(status), f"`{code}`", title) for code, (status, title) in sorted(PROBLEMS.items(), key=lambda x: x[1][0])
    ]
    return table(("status", "`code`", "meaning"), rows)


def ocsf_activities() -> str:
    rows = [(f"`{verb}`", f"{number} {name}") for verb, (number, name) in ocsf.ACTIVITIES.items()]
    return table(
        ("second half of the type", "activity"),
        [
            *rows,
            ("any other (`signed`, `completed`, …)", "99 Other, named by the type"),
            ("`unknown` (the whole type)", "99 Other, named by `provider_type`"),
        ],
    )


def ecs_categories() -> str:
    rows = ((f"`{subject}`", category, ", ".join(also)) for subject, (category, also) in ecs.CATEGORIES.items())
    return table(("first half of the type", "`event.category`", "also in `event.type`"), rows)


def ecs_types() -> str:
    rows = [(f"`{verb}`", kind) for verb, kind in ecs.TYPES.items()]
    other = ("any other", "info")
    return table(("second half of the type", "`event.type`"), [*rows, other])


def commands() -> str:
    return "\n".join(_help([], typer.main.get_command(cli)))


def _help(path: list[str], command: Any) -> Iterable[str]:
    for name, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from _help([*path, name], below)
            continue
        shown = CliRunner().invoke(cli, [*path, name, "--help"], prog_name="audit-gateway", env={"COLUMNS": "100"})
        text = "\n".join(line.rstrip() for line in shown.stdout.strip().splitlines())
        yield f"## {' '.join([*path, name])}\n\n```text\n{text}\n```\n"


PARTS: dict[str, Callable[[], str]] = {
    "network": network, "settings": settings, "provider_settings": provider_settings, "types": types, "calls": calls,
    "parameters": parameters, "problems": problems,
    "ocsf_activities": ocsf_activities, "ecs_categories": ecs_categories, "ecs_types": ecs_types, "commands": commands,
}  # fmt: skip


def pages() -> dict[Path, str]:
    """Every page that has generated parts, and its current text."""
    found = {}
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        current = _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)
        if "<!-- generated:" in text:
            found[page] = current
    return found


def main() -> int:
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
