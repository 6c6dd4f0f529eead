"""`audit-gateway events`."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from app.cli.client import Client, Json, Problem, connected
from app.cli.failures import FAILED, USAGE, Failure, print_error, source_warnings, without_failed
from app.cli.flags import Filters, included, known_types, to_send
from app.cli.formats import Lines, lines_of
from app.cli.table import EventTable
from app.cli.terminal import console, write_bytes
from app.cli.walk import follow, walk
from app.domain.errors import ConfigurationError
from app.domain.times import now_micros

Form = Literal["table", "ndjson", "csv"]


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
    """Prints the events; returns the exit code. Raises Problem, Failure, ConfigurationError."""
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
    shown, more, failed = 0, False, False
    known: set[str] = set()
    try:
        for page in pages:
            # Not before the first page is there: a call that is refused leaves nothing on standard output.
            printer = printer or _printer(listing.form)
            failed = source_warnings(page.sources, known) or failed
            printer.add(page.events)
            shown += len(page.events)
            more = page.has_more
    except Problem as problem:
        if printer is None or not listing.partial or not problem.sources:
            raise
        raise without_failed(problem) from None
    if listing.form == "table" and sys.stderr.isatty():
        if not shown:
            print_error(f"no event matches{_hint(listing.filters)}")
        elif more:
            print_error(f"there are more than these {shown}: --limit N or --all shows them")
    return FAILED if failed else 0


def _hint(filters: Filters) -> str:
    """Why there may be nothing."""
    if asked := [text for name, text in filters if name == "type"]:
        with suppress(ConfigurationError):  # of a server's setting, which is none of a client's business
            types = known_types()
            for text in asked:
                if text not in types:
                    near = "".join(f"; the nearest is {one}" for one in difflib.get_close_matches(text, types, n=1))
                    return f": no type {text} is known here{near}"
    if "envelope_id" in dict(filters):
        return ""  # its events are looked for from the beginning on
    return "; --since widens the time, which is the last 30 days otherwise"


def _printer(form: Form) -> Printer:
    if form != "table":
        return LinePrinter(lines_of(form))
    out = console()
    return EventTable(out, out.width if sys.stdout.isatty() else None)
