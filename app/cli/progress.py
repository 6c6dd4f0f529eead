"""The bar of an export."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.cli.client import Page
from app.cli.failures import printable


class Bar:
    """`total` in events; None where nobody knows it: then the bar only moves, and the day that was reached says how
    far it is."""

    def __init__(self, console: Console, total: int | None) -> None:
        self.total = total
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            *((TimeRemainingColumn(),) if total is not None else (TimeElapsedColumn(),)),
            console=console,
        )
        self._task = self._progress.add_task("exporting ", total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, events: int, page: Page) -> None:
        if page.events:
            reached = printable(str(page.events[-1]["occurred_at"])[:10])
            self._progress.update(self._task, description=reached)
        self._progress.update(
            self._task,
            completed=events,
            # The history may have grown, or shrunk, since it was counted.
            total=events if not page.has_more else None if self.total is None else max(self.total, events),
        )
