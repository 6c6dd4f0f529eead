"""`audit-gateway count`, `event` and `sources`: one answer of the API as text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from app.cli.client import Json, connected
from app.cli.failures import Notices, printable
from app.cli.flags import Filters, included, to_send
from app.cli.terminal import console, json_line, write_bytes
from app.domain.times import now_micros

_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}
_SUPPORT = {
    "native": "filters there",
    "gateway": "filtered here",
    "not_applicable": "no such filter",
}
_TIMES = {"retry_at": "next trial call at", "paused_until": "paused until"}


def count_events(filters: Filters, config: Path | None, *, by: str | None, exact: bool, as_json: bool) -> int:
    """Print the totals; returns the exit code. Raises Problem, Failure, ConfigurationError."""
    pairs = to_send(filters, now_micros())
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
        return 0
    rows = [(str(source["name"]), _amount(source)) for source in totals["sources"]]
    rows.append(("total", _amount(totals)))
    groups = [(str(group["key"]), f"{group['value']:,}") for group in totals.get("groups") or ()]
    _print_rows([*groups, *([("", "")] if groups else []), *rows], numeric=True)
    return 0


def _amount(total: Json) -> str:
    relation = _RELATIONS.get(total["relation"], f"{total['relation']} ")
    return f"{relation}{total['value']:,} {total['unit']}"


def show_event(event_id: str, include: Sequence[str], config: Path | None, *, as_json: bool) -> int:
    """Print one event; returns the exit code. Raises Problem, Failure, ConfigurationError."""
    with connected(config) as client:
        event = client.event(event_id, included(include))
    if as_json:
        write_bytes(json_line(event))
    else:
        _print_rows([(name, _value(value)) for name, value in _fields(event)])
    return 0


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


def list_sources(config: Path | None, *, as_json: bool) -> int:
    """Print the sources; returns the exit code. Raises Problem, ConfigurationError."""
    with connected(config) as client:
        sources = client.sources()
    if as_json:
        write_bytes(json_line({"data": sources}))
        return 0
    out = console()
    for number, source in enumerate(sources):
        if number:
            out.print()
        out.print(Text(printable(f"{source['name']} ({source['provider']})"), style="bold"), soft_wrap=True)
        _print_rows(_source_rows(source), indent=2)
    return 0


def _source_rows(source: Json) -> Iterator[tuple[str, str]]:
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


def _print_rows(
    rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]], *, indent: int = 0, numeric: bool = False
) -> None:
    """Print labels with their texts: wrapped to a terminal's width, on one line each elsewhere."""
    rows = [(printable(label), printable(text)) for label, text in rows]
    out = console()
    first = max((len(label) for label, _ in rows), default=0)
    if numeric or not sys.stdout.isatty():
        second = max((len(_number(text)) for _, text in rows), default=0) if numeric else 0
        for label, text in rows:
            number = _number(text)
            shown = f"{number:>{second}}{text[len(number) :]}" if numeric else text
            out.print(f"{'':{indent}}{label:{first}}  {shown}".rstrip(), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim", min_width=first + indent)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(f"{'':{indent}}{label}", text)
    out.print(table)


def _number(text: str) -> str:
    """The part of a count before its unit."""
    return text.rpartition(" ")[0] or text
