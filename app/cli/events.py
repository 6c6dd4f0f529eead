"""`audit-gateway events`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from app.cli.client import Problem, connected
from app.cli.failures import USAGE, Failure, Notices, print_error, without_failed
from app.cli.flags import Config, Filters, Include, Order, Partial, query_pairs
from app.cli.output import console, lines_of, write_bytes
from app.cli.table import EventTable
from app.cli.walk import walk
from app.forward.target import Json

DEFAULT_EVENTS = 50


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
