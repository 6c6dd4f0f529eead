"""`audit-gateway events`, `count`, `event` and `sources`.

Events are by default a table: on a terminal cut to its width, elsewhere, such as in a pipe, whole.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from app.cli.client import connected, walk
from app.cli.failures import USAGE, Failure, Notices, Problem, print_error, printable, without_failed
from app.cli.flags import AsJson, By, Config, Filters, Include, Order, Partial, query_pairs
from app.cli.output import WHOLE, console, json_line, lines_of, plain_table, print_table, write_bytes
from app.forward import Json

_HEADINGS = ("time (UTC)", "source", "type", "envelope", "actor", "recipient")
_WIDE = ("outcome", "provider type", "envelope id", "event id")
_SHORTENED = slice(3, 6)  #: columns that become narrower on a narrow terminal, before the others
_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}
DEFAULT_EVENTS = 50


def cells_of(event: Json, *, wide: bool = False) -> tuple[str, ...]:
    """Return the event's cells: time, source, type, envelope, actor, recipient; with `wide`, also those of `_WIDE`."""
    kind = str(event["type"])
    cells: tuple[Any, ...] = (
        f"{str(event['occurred_at']).replace('T', ' ')[:19]}Z",
        event["source"],
        f"unknown ({event['provider_type']})" if kind == "unknown" else kind,
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
    """Print pages as tables, the first one with headings; `cut` to the console's width, with times without the year, or
    as wide as the cells."""

    def __init__(self, console: Console, *, cut: bool, wide: bool = False) -> None:
        self._console, self._wide, self._cut, self._has_headings = console, wide, cut, True
        if not cut:
            console.width = WHOLE

    def add(self, events: Sequence[Json]) -> None:
        if not events:
            return
        headings = (*_HEADINGS, *_WIDE) if self._wide else _HEADINGS
        table = plain_table(*headings, has_headings=self._has_headings, gap=1 if self._cut else 2)
        for column in (*table.columns[: _SHORTENED.start], *table.columns[_SHORTENED.stop :]):
            column.no_wrap = True
        for event in events:
            styles = ("cyan", "dim", "red" if event["outcome"] == "failure" else "")
            time, *cells = cells_of(event, wide=self._wide)
            styled = zip_longest((time[5:19] if self._cut else time, *cells), styles, fillvalue="")
            table.add_row(*(Text(cell, style, no_wrap=True, overflow="ellipsis") for cell, style in styled))
        self._console.print(table)
        self._has_headings = False


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
    table = None if as_json or as_csv else EventTable(console(), cut=sys.stdout.isatty() and not wide, wide=wide)
    lines = lines_of("csv" if as_csv else "ndjson")
    has_begun, shown, more, notices = False, 0, False, Notices(None if follow else {})
    with connected(config) as client:
        try:
            for page in walk(client, pairs, most=most, follow=follow):
                if table is None and not has_begun:
                    write_bytes(lines.header)  # not before the first page: a refused call leaves standard output empty
                has_begun = True
                notices.page(page)
                if table is None:
                    write_bytes(lines.of(page.events))
                else:
                    table.add(page.events)
                shown += len(page.events)
                more = page.has_more
        except Problem as problem:
            if not has_begun or not partial or not problem.sources:
                raise
            raise without_failed(problem) from None
        finally:
            code = notices.end()
    if table is not None and sys.stderr.isatty():
        if more and shown:
            print_error("more events match; add --limit N or --all")
        elif not shown:
            # With an envelope's id the window begins at the beginning.
            has_window = "envelope_id" not in dict(filters)
            print_error("no event matches" + "; --since widens the period, which is 30 days by default" * has_window)
    return code


def count(
    filters: Filters,
    by: By = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read on until the gateway's deadline where events are counted by reading.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Count events by source and in total.

    With --by, also by the values of a field."""
    pairs = query_pairs(filters)
    pairs += ([("by", by)] if by else []) + ([("exact", "true")] if exact else [])
    with connected(config) as client:
        totals = client.get("/events/count", pairs)
    notices = Notices()
    notices.warnings(totals.get("warnings") or ())
    for source in totals["sources"]:
        if source.get("scanned_to"):
            notices.add(f"source {source['name']} was counted back to {source['scanned_to']} only; --exact reads on")
    if as_json:
        write_bytes(json_line(totals))
        return
    groups = plain_table("", "", has_headings=False)
    table = plain_table("", "", "", has_headings=False)
    for each in (groups, table):
        each.columns[1].justify = "right"
    for group in totals.get("groups") or ():
        groups.add_row(printable(str(group["key"])), f"{group['value']:,}")
    if groups.rows:
        print_table(groups)
        print()
    for name, total in (*((source["name"], source) for source in totals["sources"]), ("total", totals)):
        relation = _RELATIONS.get(total["relation"], f"{total['relation']} ")
        table.add_row(printable(str(name)), f"{relation}{total['value']:,}", str(total["unit"]))
    print_table(table)


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.", show_default=False)],
    as_json: AsJson = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Print one event with all its fields."""
    with connected(config) as client:
        found = client.get(f"/events/{quote(event_id, safe='')}", query_pairs((), include=include))
    write_bytes(json_line(found, indent=None if as_json else 2))


def sources(as_json: AsJson = False, config: Config = None) -> None:
    """List the sources with their state and native filters.

    Native filters are those that the provider applies. --json adds all observations."""
    with connected(config) as client:
        found = client.get("/sources")
    if as_json:
        write_bytes(json_line(found))
        return
    table = plain_table("source", "provider", "circuit", "paused until", "settle", "filtered by the provider")
    for source in found["data"]:
        health = source["health"] or {}
        native = ", ".join(name for name, how in source["filters"].items() if how == "native")
        state = (health.get(name) or "-" for name in ("circuit", "paused_until"))
        cells = (source["name"], source["provider"], *state)
        table.add_row(*map(printable, cells), f"{source['settle']:g} s", native)
    print_table(table)
