"""The commands that ask for events: their flags. What they do is in the modules that they import when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.flags import Config, Filters, Include, Order, Partial

EPILOG = (
    "Asks the gateway at GATEWAY_URL with the key GATEWAY_KEY (both also from .env); without GATEWAY_URL, or with"
    " --config, reads the configured sources from here. Exit codes: 0 done; 1 failed while running, a source that"
    " failed included; 2 wrong flag or setting; 130 Ctrl-C."
)

DEFAULT_EVENTS = 50

Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]


def _formats() -> list[str]:
    from app.cli.formats import format_names

    return format_names()


def events(
    filters: Filters,
    as_json: Annotated[bool, typer.Option("--json", help="Print NDJSON: one event a line, whole.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a header, one event a record.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="How many events in all; 0: all. Default: 50.")
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="The same as --limit 0.")] = False,
    order: Order = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Print events as they come, from now (or --since) on, until Ctrl-C."),
    ] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Print events: a table, NDJSON or CSV; the newest first."""
    from app.cli.failures import USAGE, Failure, reported

    with reported(partial_helps=lambda: not partial):
        from app.cli.listing import Form, Listing, list_events

        if as_json and as_csv:
            raise Failure("--json and --csv cannot go together; leave one out", USAGE)
        if all_of_them and limit:
            raise Failure("--all and --limit cannot go together; leave one out", USAGE)
        form: Form = "ndjson" if as_json else "csv" if as_csv else "table"
        wanted = 0 if all_of_them or (follow and limit is None) else DEFAULT_EVENTS if limit is None else limit
        listing = Listing(filters, form, wanted or None, order, follow, partial, include or [], config)
        raise typer.Exit(list_events(listing))


def count(
    filters: Filters,
    exact: Annotated[
        bool, typer.Option("--exact", help="Count events one by one where no cheaper way exists.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Count events; as the providers count them, unless --exact."""
    from app.cli.failures import reported

    with reported():
        from app.cli.counting import count_events

        raise typer.Exit(count_events(filters, config, exact=exact, as_json=as_json))


def sources(as_json: Json = False, config: Config = None) -> None:
    """List the sources: what each can filter, how it fares, what was learnt of it."""
    from app.cli.failures import reported

    with reported():
        from app.cli.accounts import list_sources

        raise typer.Exit(list_sources(config, as_json=as_json))


def export(
    filters: Filters,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - is standard output.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="ndjson, csv, ocsf, cloudevents or ecs.", autocompletion=_formats
        ),
    ] = "ndjson",
    order: Order = None,
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental",
            help="Add what has come since the last run, and keep the place in FILE.cursor: for cron.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, whatever FILE holds.")] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Write all matching events to a file, the oldest first.

    Stopped by Ctrl-C, a failure or a power cut, the same command goes on where it was: FILE.cursor keeps the place, and
    is gone when FILE is finished. No event is lost or doubled.
    """
    from app.cli.failures import reported

    with reported(broken_pipe=1, partial_helps=lambda: not partial):
        from app.cli.export import Export, export_events

        path = None if file == "-" else Path(file)
        exported = Export(filters, path, form, order, partial, include or [], incremental, force, config)
        raise typer.Exit(export_events(exported))
