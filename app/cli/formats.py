"""Events as lines of a file: the formats of `GET /events/export`, made from events as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from app.cli.client import Json, Problem
from app.cli.failures import USAGE, Failure
from app.cli.terminal import json_line


class Lines(msgspec.Struct, frozen=True):
    """One format. `header` goes before the first event."""

    header: bytes
    line: Callable[[Json], bytes]

    def of(self, events: Sequence[Json]) -> bytes:
        """The events' bytes, the last line's end included. Raises Problem for what is no event."""
        return b"".join(map(self.line, events))


def lines_of(name: str) -> Lines:
    """The format of this name. Raises Failure, naming those there are."""
    if name == "ndjson":
        # As it came, with members that a newer gateway may have and this program does not know.
        return Lines(b"", json_line)
    from app.api.exports import FORMATS
    from app.domain.event import Event

    if name not in FORMATS:
        raise Failure(f"--format must be one of {', '.join(FORMATS)}", USAGE)
    known = FORMATS[name]

    def line(event: Json) -> bytes:
        try:
            return known.line(msgspec.convert(event, Event))
        except msgspec.ValidationError as error:
            # A path and two types, no value: such as "Expected `str`, got `int` - at `$.type`".
            raise Problem("not_a_gateway", f"The gateway sent an event that cannot be read ({error})") from None

    return Lines(known.header, line)


_SUFFIXES = {"": "ndjson", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"} | {
    f".{name}": name for name in ("ocsf", "cloudevents", "ecs")
}


def format_of(path: Path | None) -> str:
    """The format that a file's suffix names, such as `.csv`, `.ecs` or `.ecs.ndjson`; NDJSON for standard output and
    for a name without a suffix. Raises Failure for another suffix.
    """
    if path is None:
        return "ndjson"
    suffix, stem = path.suffix.lower(), Path(path.stem).suffix.lower()
    if suffix not in _SUFFIXES:
        raise Failure(
            f"{path}: the suffix {suffix} names no format; add --format, or use one of "
            f"{', '.join(filter(None, _SUFFIXES))}",
            USAGE,
        )
    found = _SUFFIXES[suffix]
    return _SUFFIXES[stem] if found == "ndjson" and stem in (".ocsf", ".cloudevents", ".ecs") else found
