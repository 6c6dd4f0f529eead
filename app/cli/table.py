"""Events as a table that fits the terminal.

On a terminal each day has a heading and each event one line, cut to the terminal's width. Elsewhere, where `grep` and
`awk` read it, nothing is cut, and each line has the whole time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from app.cli.client import Json
from app.cli.failures import printable

_HEADINGS = ("time (UTC)", "source", "type", "envelope", "actor", "recipient")
_WIDE = ("outcome", "provider type", "envelope id", "event id")
#: Cells below which a column is not cut as long as another can be: kinds of events must stay readable.
_FLOORS = (0, 8, 27, 10, 8, 8)
_MOST = 60  #: cells of one column on a terminal
_STYLES = ("cyan", "dim", "", "", "", "")
_FAILURE = "red"


def cells_of(event: Json, *, wide: bool = False) -> tuple[str, ...]:
    """The event's cells: time, source, type, envelope, actor, recipient; with `wide`, also those of `_WIDE`."""
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
    """The first of these members that is there."""
    found = (part.get(name) for name in names) if isinstance(part, dict) else ()
    return next((str(value) for value in found if value), "-")


class EventTable:
    """Prints pages one under the other, in columns as wide as the first page needs. `width` in cells; None: no cell is
    cut."""

    def __init__(self, console: Console, width: int | None, *, wide: bool = False) -> None:
        self._console, self._width, self._wide = console, width, wide
        self._headings = _HEADINGS + (_WIDE if wide else ())
        self._styles = _STYLES + ("",) * (len(_WIDE) if wide else 0)
        self._widths: list[int] | None = None
        self._day = ""

    def add(self, events: Sequence[Json]) -> None:
        rows = [cells_of(event, wide=self._wide) for event in events]
        if not rows:
            return
        if self._widths is None:
            self._widths = self._measure(rows)
            headings = self._headings if self._width is None else ("time", *self._headings[1:])
            self._print(self._line(headings, ["bold"] * len(headings)))
        for event, row in zip(events, rows, strict=True):
            if self._width is not None:
                day, row = row[0][:10], (row[0][11:19], *row[1:])
                if day != self._day:
                    self._day = day
                    self._print(Text(day, style="bold"))
            failed = event["outcome"] == "failure"
            self._print(self._line(row, [*self._styles[:2], _FAILURE if failed else "", *self._styles[3:]]))

    def _measure(self, rows: Sequence[tuple[str, ...]]) -> list[int]:
        columns = list(zip(self._headings, *rows, strict=True))
        natural = [max(map(cell_len, column)) for column in columns]
        if self._width is None:
            return natural
        widths = [8, *(min(_MOST, width) for width in natural[1:])]
        return shrink(widths, _FLOORS, self._width - (len(widths) - 1) * self._gap)

    @property
    def _gap(self) -> int:
        return 2 if self._width is None or self._width >= 100 else 1

    def _line(self, row: Sequence[str], styles: Sequence[str]) -> Text:
        assert self._widths is not None
        line = Text()
        for number, (cell, width, style) in enumerate(zip(row, self._widths, styles, strict=True)):
            text = cell if self._width is None else cut(cell, width)
            is_last = number == len(row) - 1
            line.append(text, style=style or None)
            if not is_last:
                line.append(" " * (max(0, width - cell_len(text)) + self._gap))
        if self._width is not None:
            line.truncate(self._width)
        return line

    def _print(self, line: Text) -> None:
        # Not wrapped and not cut by the console, which takes 80 columns for granted where there is no terminal.
        self._console.print(line, soft_wrap=True)


def shrink(widths: Sequence[int], floors: Sequence[int], room: int) -> list[int]:
    """`widths` made to fit in `room` by taking from the widest above its floor first; below the floors only where
    there is no other way, and never below 1. The first is left as it is."""
    widths = list(widths)
    for lowest in (floors, [1] * len(floors)):
        while sum(widths) > room:
            number = max(range(1, len(widths)), key=lambda each: widths[each] - lowest[each])
            if widths[number] <= lowest[number]:
                break
            widths[number] -= 1
    return widths


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is missing."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
