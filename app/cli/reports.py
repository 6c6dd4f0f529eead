"""`audit-gateway count`, `event` and `sources`: one response of the API as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli.client import connected
from app.cli.failures import Notices, printable
from app.cli.flags import By, Config, Filters, Include, Json, query_pairs
from app.cli.output import console, json_line, write_bytes

_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}


def count(
    filters: Filters,
    by: By = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read on until the gateway's deadline where events are counted by reading.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Count events by source and in total; with --by, also by values of a field."""
    pairs = query_pairs(filters)
    pairs += ([("by", by)] if by else []) + ([("exact", "true")] if exact else [])
    with connected(config) as client:
        totals = client.count(pairs)
    notices = Notices()
    notices.values(totals.get("warnings") or ())
    for source in totals["sources"]:
        if source.get("scanned_to"):
            notices.add(f"source {source['name']} was counted back to {source['scanned_to']} only; --exact reads on")
    if as_json:
        write_bytes(json_line(totals))
        return
    rows = [(str(source["name"]), _amount(source)) for source in totals["sources"]]
    rows.append(("total", _amount(totals)))
    groups = [(str(group["key"]), f"{group['value']:,}") for group in totals.get("groups") or ()]
    _print_counts([*groups, *([("", "")] if groups else []), *rows])


def _amount(total: dict[str, Any]) -> str:
    relation = _RELATIONS.get(total["relation"], f"{total['relation']} ")
    return f"{relation}{total['value']:,} {total['unit']}"


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.", show_default=False)],
    as_json: Json = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Print one event with all its fields."""
    with connected(config) as client:
        found = client.event(event_id, query_pairs((), include=include))
    if as_json:
        write_bytes(json_line(found))
    else:
        _print_members(found)


def sources(as_json: Json = False, config: Config = None) -> None:
    """List the sources with their filters, health and observations."""
    with connected(config) as client:
        found = client.sources()
    if as_json:
        write_bytes(json_line({"data": found}))
        return
    for source in found:
        console().print(Text(printable(f"{source.pop('name')} ({source.pop('provider')})"), style="bold"))
        _print_members(source, "  ")


def _print_members(value: dict[str, Any], indent: str = "") -> None:
    """Print an object's members, one a line, with nested members indented."""
    for name, item in value.items():
        if isinstance(item, dict) and item:
            console().print(printable(f"{indent}{name}:"), soft_wrap=True)
            _print_members(item, f"{indent}  ")
        elif isinstance(item, list) and any(isinstance(one, dict) for one in item):
            console().print(printable(f"{indent}{name}:"), soft_wrap=True)
            for one in item:
                console().print(printable(f"{indent}  - {_value(one)}"), soft_wrap=True)
        else:
            console().print(printable(f"{indent}{name}: {_value(item)}"), soft_wrap=True)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(item)}" for name, item in value.items()) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _print_counts(rows: Iterable[tuple[str, str]]) -> None:
    """Print labels with counts such as `at least 12 events`, the numbers right-aligned."""
    parts = [(printable(label), *printable(text).rpartition(" ")) for label, text in rows]
    # Without a unit, as for a group, the text is the number.
    cells = [(label, number or unit, unit if number else "") for label, number, _, unit in parts]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for label, number, unit in cells:
        console().print(f"{label:{widths[0]}}  {number:>{widths[1]}} {unit}".rstrip(), soft_wrap=True)
