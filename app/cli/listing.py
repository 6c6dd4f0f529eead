"""`audit-gateway events`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from app.cli.client import Client, Json, Problem, connected
from app.cli.failures import USAGE, Failure, Notices, print_error, without_failed
from app.cli.flags import Filters, included, to_send
from app.cli.formats import Lines, lines_of
from app.cli.table import EventTable
from app.cli.terminal import console, write_bytes
from app.cli.walk import follow, walk
from app.domain.times import now_micros

Form = Literal["table", "wide", "ndjson", "csv"]


class Listing(msgspec.Struct, frozen=True):
    """What to list. `most` events in all, at least 1; None: all."""

    filters: Filters
    form: Form
    most: int | None
    order: str | None
    follow: bool
    partial: bool
    include: Sequence[str]
    config: Path | None


class Printer(Protocol):
    def add(self, events: Sequence[Json]) -> None: ...


class LinePrinter:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        write_bytes(lines.header)

    def add(self, events: Sequence[Json]) -> None:
        write_bytes(self._lines.of(events))


def list_events(listing: Listing) -> int:
    """Print the events; returns the exit code. Raises Problem, Failure, ConfigurationError."""
    if listing.follow and "until" in dict(listing.filters):
        # Else the `since` that is added below would be what is found fault with.
        raise Failure("--follow cannot go with --until: a follower has no end; leave one out", USAGE)
    pairs = to_send(listing.filters, now_micros())
    order = listing.order or ("asc" if listing.follow else None)
    pairs += [("order", order)] if order else []
    pairs += [("partial", "true")] if listing.partial else []
    pairs += included(listing.include)
    if listing.follow:
        pairs.append(("follow", "true"))
        if "since" not in dict(pairs):
            # What comes from now on; the API would begin with the last 30 days.
            pairs += to_send((("since", "now"),), now_micros())
    with connected(listing.config) as client:
        return _print(client, pairs, listing)


def _print(client: Client, pairs: list[tuple[str, str]], listing: Listing) -> int:
    pages = (follow if listing.follow else walk)(client, pairs, most=listing.most)
    printer: Printer | None = None
    shown, more, notices = 0, False, Notices()
    try:
        for page in pages:
            # Not before the first page is there: a call that is refused leaves nothing on standard output.
            printer = printer or _printer(listing.form)
            notices.page(page)
            printer.add(page.events)
            shown += len(page.events)
            more = page.has_more
    except Problem as problem:
        if printer is None or not listing.partial or not problem.sources:
            raise
        raise without_failed(problem) from None
    code = notices.end()
    if listing.form in ("table", "wide") and sys.stderr.isatty():
        if not shown:
            print_error(f"no event matches{_hint(listing.filters)}")
        elif more:
            print_error(f"more than these {shown} events match; add --limit N or --all")
    return code


def _hint(filters: Filters) -> str:
    """The remedy for an empty list; with an envelope's id the search already begins at the beginning."""
    return "" if "envelope_id" in dict(filters) else "; --since widens the period, which is 30 days by default"


def _printer(form: Form) -> Printer:
    if form in ("ndjson", "csv"):
        return LinePrinter(lines_of(form))
    out = console()
    return EventTable(out, out.width if sys.stdout.isatty() and form == "table" else None, wide=form == "wide")
