"""`audit-gateway count`, `event` and `sources`: one answer of the API as text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli import client as api
from app.cli.failures import Notices, printable
from app.cli.flags import By, Config, Filters, Include, Json, query_pairs
from app.cli.output import console, json_line, write_bytes

_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}
_SUPPORT = {
    "native": "filters there",
    "gateway": "filtered here",
    "not_applicable": "no such filter",
}
_TIMES = {"retry_at": "next trial call at", "paused_until": "paused until"}


def count(
    filters: Filters,
    by: By = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read on until the gateway's deadline where events are counted by reading.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Count events, per source and in all; with --by, also per value of a field."""
    pairs = query_pairs(filters)
    pairs += ([("by", by)] if by else []) + ([("exact", "true")] if exact else [])
    with api.connected(config) as client:
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


def _amount(total: api.Json) -> str:
    relation = _RELATIONS.get(total["relation"], f"{total['relation']} ")
    return f"{relation}{total['value']:,} {total['unit']}"


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.", show_default=False)],
    as_json: Json = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Print one event with all its fields."""
    with api.connected(config) as client:
        found = client.event(event_id, query_pairs((), include=include))
    if as_json:
        write_bytes(json_line(found))
    else:
        _print_rows((name, _value(value)) for name, value in _fields(found))


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, scalar or list of scalars) of all members."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _fields(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for number, item in enumerate(value):
            yield from _fields(item, f"{name}.{number}")
    else:
        yield name, value


def sources(as_json: Json = False, config: Config = None) -> None:
    """List the sources: the filters of each, its health, and what the gateway observed of it."""
    with api.connected(config) as client:
        found = client.sources()
    if as_json:
        write_bytes(json_line({"data": found}))
        return
    out = console()
    for number, source in enumerate(found):
        if number:
            out.print()
        out.print(Text(printable(f"{source['name']} ({source['provider']})"), style="bold"), soft_wrap=True)
        _print_rows(_source_rows(source), indent="  ")


def _source_rows(source: api.Json) -> Iterator[tuple[str, str]]:
    filters: dict[str, str] = source.get("filters") or {}
    for support in dict.fromkeys((*_SUPPORT, *filters.values())):
        if names := [name for name, how in filters.items() if how == support]:
            yield _SUPPORT.get(support, support), ", ".join(names)
    if health := source.get("health"):
        parts = [f"circuit {health['circuit']} since {health['since']}"]
        if health.get("consecutive_failures"):
            parts.append(f"{health['consecutive_failures']} failures in a row")
        yield (
            "health",
            ", ".join(parts + [f"{text} {health[name]}" for name, text in _TIMES.items() if health.get(name)]),
        )
    details = dict(source.get("details") or {})
    observed = details.pop("learnt", None)
    yield "settings", "; ".join(f"{name} {_value(value)}" for name, value in details.items())
    for fact in observed or [None]:
        yield "observed", "nothing yet" if fact is None else _fact(fact)


def _fact(fact: Any) -> str:
    if not isinstance(fact, dict) or "name" not in fact:
        return _value(fact)
    return f"{fact['name']} {_value(fact.get('value'))} (from {fact.get('how')}, {fact.get('at')})"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(item)}" for name, item in value.items()) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_counts(rows: Iterable[tuple[str, str]]) -> None:
    """Print labels with counts such as `at least 12 events`, the numbers right-aligned."""
    parts = [(printable(label), *printable(text).rpartition(" ")) for label, text in rows]
    # Without a unit, as of a group, the text is the number.
    cells = [(label, number or unit, unit if number else "") for label, number, _, unit in parts]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for label, number, unit in cells:
        console().print(f"{label:{widths[0]}}  {number:>{widths[1]}} {unit}".rstrip(), soft_wrap=True)


def _print_rows(rows: Iterable[tuple[str, str]], *, indent: str = "") -> None:
    """Print labels with their texts: wrapped to a terminal's width, on one line each elsewhere."""
    rows = [(indent + printable(label), printable(text)) for label, text in rows]
    out = console()
    first = max((len(label) for label, _ in rows), default=0)
    if not sys.stdout.isatty():
        for label, text in rows:
            out.print(f"{label:{first}}  {text}".rstrip(), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim", min_width=first)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)
