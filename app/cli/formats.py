"""Events as lines of a file: the formats of `GET /events/export`, made from events as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def format_names() -> list[str]:
    from app.api.exports import FORMATS

    return list(FORMATS)
