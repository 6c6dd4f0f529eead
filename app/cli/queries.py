"""`audit-gateway events`, `count`, `event` and `sources`.

Events are by default a table that fits the terminal. On a terminal each day has a heading and each event one line, cut
to the terminal's width. For other output, such as a pipe, lines are not cut and contain the whole time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from app.cli.client import Problem, connected
from app.cli.failures import USAGE, Failure, Notices, print_error, printable, without_failed
from app.cli.flags import AsJson, By, Config, Filters, Include, Order, Partial, query_pairs
from app.cli.output import console, json_line, lines_of, write_bytes
from app.cli.walk import walk
from app.forward.target import Json

_HEADINGS = ("time (UTC)", "source", "type", "envelope", "actor", "recipient")
_WIDE = ("outcome", "provider type", "envelope id", "event id")
_TIME = 8  #: cells of a time without the day
_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}
DEFAULT_EVENTS = 50


def cells_of(event: Json, *, wide: bool = False) -> tuple[str, ...]:
    """Return the event's cells: time, source, type, envelope, actor, recipient; with `wide`, also those of `_WIDE`."""
    time = str(event["occurred_at"]).replace("T", " ")
    kind = str(event["type"])
    if kind == "unknown":
        kind = f"unknown ({event['provider_type']})"
    cells: tuple[Any, ...] = (
        f"{time[:19]}Z",
        event["source"],
        kind,
        _first(event["envelope"], "name", "id"),
        _first(event["actor"], "name", "email", "id", "kind"),
        _first(event["recipient"], "name", "email", "id"),
    )
    if wide:
        more = (event["outcome"] or "-", event["provider_type"], _first(event["envelope"], "id"), event["id"])
        cells = (*cells, *more)
    return tuple(printable(str(cell)) for cell in cells)


def _first(part: Any, *names: str) -> str:
    """Return the first of these members that is present."""
    found = (part.get(name) for name in names) if isinstance(part, dict) else ()
    return next((str(value) for value in found if value), "-")


class EventTable:
    """Print pages as one table. `width` of the terminal in cells; None: no cell is cut, and the first page determines
    the columns' widths."""

    def __init__(self, console: Console, width: int | None, *, wide: bool = False) -> None:
        self._console, self._wide, self._cuts = console, wide, width is not None
        self._gap = 1 if self._cuts else 2
        self._widths = None if width is None else column_widths(width)
        self._headings = (*_HEADINGS, *_WIDE) if wide else _HEADINGS
        self._day: str | None = None

    def add(self, events: Sequence[Json]) -> None:
        rows = [cells_of(event, wide=self._wide) for event in events]
        if not rows:
            return
        if self._widths is None:
            self._widths = [max(map(cell_len, column)) for column in zip(self._headings, *rows, strict=True)]
        if self._day is None:
            headings = ("time", *self._headings[1:]) if self._cuts else self._headings
            self._print(headings, ["bold"] * len(headings))
        for event, row in zip(events, rows, strict=True):
            day, self._day = self._day, row[0][:10]
            if self._cuts:
                if day != self._day:
                    self._console.print(self._day, style="bold")
                row = (row[0][11:19], *row[1:])
            failed = event["outcome"] == "failure"
            self._print(row, ["cyan", "dim", "red" if failed else "", *[""] * (len(row) - 3)])

    def _print(self, row: Sequence[str], styles: Sequence[str]) -> None:
        assert self._widths is not None
        line = Text()
        for cell, width, style in zip(row, self._widths, styles, strict=True):
            text = cut(cell, width) if self._cuts else cell
            line.append(text, style).append(" " * (width - cell_len(text) + self._gap))
        line.rstrip()
        # Not wrapped or cut by the console, which assumes 80 columns without a terminal.
        self._console.print(line, soft_wrap=True)


def column_widths(width: int) -> list[int]:
    """Return the widths of the six columns on a terminal of this width, with a blank between two. From 60 on, the
    longest common type fits."""
    room = width - _TIME - 5
    source, kind = max(8, room // 8), max(27, room // 4)
    if room < source + kind + 12:
        source = kind = room // 5
    return [_TIME, source, kind, *[max(1, (room - source - kind) // 3)] * 3]


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, with an ellipsis if it is cut."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def events(
    filters: Filters,
    as_json: Annotated[bool, typer.Option("--json", help="Print NDJSON: one event a line, whole.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a header, one event a record.")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Cut no column; add the provider's type, the envelope's and the event's id.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Number of events in all; 0: all. Default: 50.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The same as --limit 0.")] = False,
    order: Order = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new events, from now (or --since) on, until Ctrl-C.")
    ] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> int:
    """Print events as a table, NDJSON or CSV, newest first."""
    for clash, names in (
        (as_json and as_csv, "--json and --csv"),
        (every and limit, "--all and --limit"),
        (wide and (as_json or as_csv), "--wide and --json or --csv"),
    ):
        if clash:
            raise Failure(f"{names} cannot go together; leave one out", USAGE)
    if follow:
        if "until" in dict(filters):
            raise Failure("--follow cannot go with --until: a follower has no end; leave one out", USAGE)
        if "since" not in dict(filters):
            filters = (*filters, ("since", "now"))  # the API would begin with the last 30 days
        limit, order = limit or 0, order or "asc"
    most = None if every or limit == 0 else limit or DEFAULT_EVENTS
    pairs = query_pairs(filters, order=order, partial=partial, follow=follow, include=include)
    form = "ndjson" if as_json else "csv" if as_csv else "table"
    show: Callable[[Sequence[Json]], None] | None = None
    shown, more, notices = 0, False, Notices()
    with connected(config) as client:
        try:
            for page in walk(client, pairs, most=most, follow=follow):
                # After the first page, so that a refused call leaves standard output empty.
                show = show or _printer(form, wide=wide)
                notices.page(page)
                show(page.events)
                shown += len(page.events)
                more = page.has_more
        except Problem as problem:
            if show is None or not partial or not problem.sources:
                raise
            raise without_failed(problem) from None
    code = notices.end()
    if form == "table" and sys.stderr.isatty():
        if more and shown:
            print_error(f"more than these {shown} events match; add --limit N or --all")
        elif not shown:
            # With an envelope's id the window begins at the beginning.
            has_window = "envelope_id" not in dict(filters)
            print_error("no event matches" + "; --since widens the period, which is 30 days by default" * has_window)
    return code


def _printer(form: str, *, wide: bool) -> Callable[[Sequence[Json]], None]:
    if form == "table":
        out = console()
        return EventTable(out, out.width if sys.stdout.isatty() and not wide else None, wide=wide).add
    lines = lines_of(form)
    write_bytes(lines.header)
    return lambda page: write_bytes(lines.of(page))


def count(
    filters: Filters,
    by: By = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read on until the gateway's deadline where events are counted by reading.")
    ] = False,
    as_json: AsJson = False,
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
    as_json: AsJson = False,
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


def sources(as_json: AsJson = False, config: Config = None) -> None:
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
