"""Standard output: encoding, and events in the formats of `GET /events/export`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from app.cli.failures import USAGE, Failure, Problem, discard_output
from app.forward import Json

# Valid in JSON, but terminal controls, line ends for some readers, or not UTF-8.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# All controls but tab and line ends.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Console(Console):
    """Leave the exit code to `app.cli.failures.reported` for a closed pipe; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError, which rich is handling when it calls this


def console(*, stderr: bool = False) -> Console:
    """Return a console with colour only on a terminal and without NO_COLOR. Markup in texts has no effect."""
    stream: Any = sys.stderr if stderr else sys.stdout
    stream.reconfigure(errors="replace")  # a letter outside the terminal's encoding must not end the command
    system: Any = None if os.environ.get("NO_COLOR") else "auto"
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, color_system=system)


WHOLE = 100_000  #: columns of a console that cuts and wraps nothing


def print_table(table: Table) -> None:
    """Print a table: on a terminal within its width, elsewhere, such as in a pipe, one line a row."""
    target = console()
    if not sys.stdout.isatty():
        target.width = WHOLE
    target.print(table)


def plain_table(*headings: str, has_headings: bool = True, gap: int = 2) -> Table:
    """Return a table without lines, with `gap` cells between two columns."""
    return Table(*headings, box=None, pad_edge=False, padding=(0, gap, 0, 0), show_header=has_headings)


def json_line(value: Any, *, indent: int | None = None) -> bytes:
    """Return JSON in UTF-8 with its line end, on one line without `indent`."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ":" if indent is None else ": "))
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def write_bytes(data: bytes) -> None:
    """Write to standard output immediately; to a terminal without control characters. Raises Failure if it cannot be
    written, and BrokenPipeError."""
    if sys.stdout.isatty():
        data = _CONTROLS.sub("\N{MIDDLE DOT}", data.decode(errors="replace")).encode()
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise Failure(f"standard output cannot be written ({error.strerror})") from None


class Lines(msgspec.Struct, frozen=True):
    """One format. `header` goes before the first event."""

    header: bytes
    line: Callable[[Json], bytes]

    def of(self, events: Sequence[Json]) -> bytes:
        """Return the events' bytes, with the last line's end. Raises Problem for an object that is not an event."""
        return b"".join(map(self.line, events))


def lines_of(name: str) -> Lines:
    """Return the format of this name. Raises Failure with the known formats."""
    if name == "ndjson":
        # Unchanged: a newer gateway may send members that this program does not have.
        return Lines(b"", json_line)
    from app.api.exports import FORMATS
    from app.domain.event import Event

    if name not in FORMATS:
        raise Failure(f"--format must be one of {', '.join(FORMATS)}", USAGE)
    known = FORMATS[name]

    def line(event: Json) -> bytes:
        try:
            return known.lines([msgspec.convert(event, Event)])
        except msgspec.ValidationError as error:
            # A path and two types without a value, such as "Expected `str`, got `int` - at `$.type`".
            raise Problem("not_a_gateway", f"The gateway sent an event that cannot be read ({error})") from None

    return Lines(known.header, line)


_SUFFIXES = ("ndjson", "jsonl", "csv", "ocsf", "cloudevents", "ecs")


def format_of(path: Path | None) -> str:
    """Return the format of a file's suffix, such as `.csv`, `.ecs` or `.ecs.ndjson`; NDJSON for standard output and for
    a name without a suffix. Raises Failure for another suffix.
    """
    suffixes = [] if path is None else [suffix[1:].lower() for suffix in path.suffixes]
    first, last = ["", "", *suffixes][-2:]
    if last in ("", "ndjson", "jsonl"):
        return first if first in ("ocsf", "cloudevents", "ecs") else "ndjson"
    if last not in _SUFFIXES:
        remedy = f"add --format, or use one of .{', .'.join(_SUFFIXES)}"
        raise Failure(f"{path}: the suffix .{last} names no format; {remedy}", USAGE)
    return last
