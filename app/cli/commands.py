"""The commands that read events: their flags. Each imports what it runs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.flags import By, Config, Filters, Include, Order, Partial, words

EPILOG = (
    "Queries the gateway at GATEWAY_URL with the key GATEWAY_KEY (both also from .env). If GATEWAY_URL is unset, or"
    " with --config, reads the configured accounts directly. Exit codes: audit-gateway --help."
)

DEFAULT_EVENTS = 50

Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]


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
) -> None:
    """Print events as a table, NDJSON or CSV; the newest first."""
    from app.cli.failures import USAGE, Failure, reported
    from app.cli.listing import Form, Listing, list_events

    with reported(partial_helps=lambda: not partial):
        for clash, names in (
            (as_json and as_csv, "--json and --csv"),
            (every and limit, "--all and --limit"),
            (wide and (as_json or as_csv), "--wide and --json or --csv"),
        ):
            if clash:
                raise Failure(f"{names} cannot go together; leave one out", USAGE)
        form: Form = "ndjson" if as_json else "csv" if as_csv else "wide" if wide else "table"
        wanted = 0 if every or (follow and limit is None) else DEFAULT_EVENTS if limit is None else limit
        listing = Listing(filters, form, wanted or None, order, follow, partial, include or [], config)
        raise typer.Exit(list_events(listing))


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.", show_default=False)],
    as_json: Json = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Print one event with all its fields."""
    from app.cli.failures import reported
    from app.cli.reports import show_event

    with reported():
        raise typer.Exit(show_event(event_id, include or [], config, as_json=as_json))


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
    from app.cli.failures import reported
    from app.cli.reports import count_events

    with reported():
        raise typer.Exit(count_events(filters, config, by=by, exact=exact, as_json=as_json))


def sources(as_json: Json = False, config: Config = None) -> None:
    """List the sources: the filters of each, its health, and what the gateway observed of it."""
    from app.cli.failures import reported
    from app.cli.reports import list_sources

    with reported():
        raise typer.Exit(list_sources(config, as_json=as_json))


def export(
    filters: Filters,
    file: Annotated[str, typer.Argument(help="The file to write; - is standard output.", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            autocompletion=words("ndjson", "csv", "ocsf", "cloudevents", "ecs"),
            help="Default: by FILE's suffix (.ndjson, .jsonl, .csv, .ocsf, .cloudevents, .ecs); else ndjson.",
        ),
    ] = None,
    order: Order = None,
    incremental: Annotated[
        bool,
        typer.Option("--incremental", help="Append the events since the last run, oldest first; for cron."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over and overwrite FILE.")] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Write all matching events to a file, the newest first.

    After Ctrl-C, a failure or a power cut, the same command resumes: FILE.cursor stores the position and is removed
    when FILE is complete. No event is lost or doubled.
    """
    from app.cli.export import Export, export_events
    from app.cli.failures import reported
    from app.cli.formats import format_of

    with reported(broken_pipe=1, partial_helps=lambda: not partial):
        path = None if file == "-" else Path(file)
        exported = Export(
            filters, path, form or format_of(path), order, partial, include or [], incremental, force, config
        )
        raise typer.Exit(export_events(exported))
