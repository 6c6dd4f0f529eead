"""`audit-gateway export`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.cli.client import Client, Page, Pairs, Problem, connected
from app.cli.failures import USAGE, Failure, Notices, flag, print_error, printable, without_failed
from app.cli.flags import Config, Filters, Include, Order, Partial, query_pairs
from app.cli.output import Lines, console, format_of, lines_of, write_bytes
from app.cli.resumable import Checkpoint, ResumableFile
from app.cli.walk import signed_walk, walk


def export(
    filters: Filters,
    file: Annotated[str, typer.Argument(help="The file to write; - is standard output.", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Default: by FILE's suffix (.ndjson, .jsonl, .csv, .ocsf, .cloudevents, .ecs); else ndjson.",
        ),
    ] = None,
    order: Order = None,
    incremental: Annotated[
        bool,
        typer.Option("--incremental", help="Append the events since the last run, oldest first; for cron."),
    ] = False,
    signed: Annotated[
        bool,
        typer.Option("--signed", help="Write the gateway's manifests with the events, for audit-gateway verify."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over and overwrite FILE.")] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> int:
    """Write all matching events to a file, the newest first.

    After Ctrl-C, a failure or a power cut, the same command resumes: FILE.cursor stores the position and is removed
    when FILE is complete. No event is lost or doubled.
    """
    path = None if file == "-" else Path(file)
    form = form or format_of(path)
    if incremental:
        # The API would name `follow`, which is no flag of this command.
        if path is None:
            raise Failure("--incremental needs a file, beside which it stores its position", USAGE)
        if order == "desc":
            raise Failure("--incremental appends the oldest first; leave out --order desc", USAGE)
        if "until" in dict(filters):
            raise Failure("--incremental has no end; leave out --until", USAGE)
    if signed and (path is None or form != "ndjson" or incremental or partial):
        raise Failure("--signed needs a file in NDJSON, without --incremental and --partial", USAGE)
    order = order or ("asc" if incremental else "desc")
    # The flags that decide what is in the file, as the user wrote them: `7d` stays the first run's day.
    asked = [word for name, text in sorted(filters) for word in (flag(name), text)]
    asked += [word for name in include or () for word in ("--include", name)]
    asked += ["--format", form, "--order", order] + ["--incremental"] * incremental
    asked += ["--signed"] * signed
    pairs = query_pairs(filters, order=order, partial=partial, follow=incremental, include=include)
    lines = lines_of(form)
    if path is None:
        with connected(config) as client:
            return _to_standard_output(client, pairs, lines, partial=partial)
    with ResumableFile(path) as output:
        checkpoint = _start(output, shlex.join(asked), force=force, incremental=incremental)
        with connected(config, signs=signed) as client:
            if signed:
                pieces = signed_walk(client, pairs, cursor=checkpoint.cursor)
            else:
                pages = walk(client, pairs, cursor=checkpoint.cursor)
                pieces = ((page, lines.of(page.events)) for page in pages)
            bar = _progress(client, pairs, checkpoint)
            return _to_file(pieces, bar, lines.header, output, checkpoint, partial=partial)


def _to_standard_output(client: Client, pairs: Pairs, lines: Lines, *, partial: bool) -> int:
    notices, events, pages = Notices(), 0, 0
    try:
        with _progress(client, pairs, None) as bar:
            for page in walk(client, pairs):
                notices.page(page)
                write_bytes((b"" if pages else lines.header) + lines.of(page.events))
                pages += 1
                events += len(page.events)
                bar.show(events, page)
    except Problem as problem:
        if not pages or not partial or not problem.sources:
            raise
        raise without_failed(problem) from None
    return notices.end()


def _start(file: ResumableFile, asked: str, *, force: bool, incremental: bool) -> Checkpoint:
    """The checkpoint to continue from. Raises Failure where that would lose something."""
    fresh = Checkpoint(asked)
    if force:
        return fresh
    checkpoint = file.checkpoint()
    if checkpoint is None:
        if file.size:
            raise Failure(f"{file.path} exists and is complete; name another file, or overwrite it with --force", USAGE)
        return fresh
    if checkpoint.asked != asked:
        raise Failure(
            f"{file.path} was begun with other flags ({checkpoint.asked}): repeat them to resume, or start over with"
            " --force",
            USAGE,
        )
    if checkpoint.cursor is None:
        return fresh
    if incremental and not file.size:
        # Moved away or emptied between two runs, as logs are rotated: what comes goes into a new file.
        return msgspec.structs.replace(checkpoint, length=0)
    if file.size < checkpoint.length:
        raise Failure(f"{file.path} is shorter than its checkpoint; restore it, or start over with --force", USAGE)
    return checkpoint


def _to_file(
    pieces: Iterator[tuple[Page, bytes]],
    progress: AbstractContextManager[_Bar],
    header: bytes,
    file: ResumableFile,
    checkpoint: Checkpoint,
    *,
    partial: bool,
) -> int:
    """Write pages, each with its bytes in the file's format. Returns the exit code."""
    notices, has_begun = Notices(), False
    try:
        with progress as bar:
            for page, data in pieces:
                if not has_begun:
                    # Only now is it certain that the flags are right: until then, an existing file stays whole.
                    checkpoint = msgspec.structs.replace(checkpoint, total=bar.total or checkpoint.total)
                    file.begin(checkpoint)
                    has_begun = True
                if not checkpoint.length:
                    data = header + data
                notices.page(page)
                checkpoint = msgspec.structs.replace(
                    checkpoint,
                    cursor=page.next_cursor,
                    length=checkpoint.length + len(data),
                    events=checkpoint.events + len(page.events),
                )
                if checkpoint.cursor is None:
                    file.finish(data)
                else:
                    file.add(data, checkpoint)
                bar.show(checkpoint.events, page)
    except KeyboardInterrupt:
        if has_begun:
            print_error(f"stopped after {checkpoint.events:,} events; the same command resumes there")
        raise
    except Problem as problem:
        if problem.code == "invalid_cursor" and not has_begun:
            raise Failure(
                f"the gateway refuses the cursor in {file.checkpoint_path} (its GATEWAY_CURSOR_SECRET may have"
                " changed); start over with --force",
                USAGE,
            ) from None
        if has_begun and partial and problem.sources:
            how = f"and the same command resumes behind these {checkpoint.events:,} events"
            raise without_failed(problem, how) from None
        if has_begun:
            print_error(f"broken off after {checkpoint.events:,} events; the same command resumes there")
        raise
    except OSError as error:
        raise Failure(
            f"{file.path} cannot be written ({error.strerror}); the same command resumes once that is fixed"
        ) from None
    code = notices.end()
    if sys.stderr.isatty():
        print_error(f"{checkpoint.events:,} events are in {file.path}")
    return code


class _Bar:
    """A progress bar. `total` in events, None where it is unknown: the bar then only shows the day that was reached."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self.total, self._progress = total, progress
        self._task = progress.add_task("exporting ", total=total)

    def show(self, events: int, page: Page) -> None:
        if page.events:
            reached = printable(str(page.events[-1]["occurred_at"])[:10])
            self._progress.update(self._task, description=reached)
        # The history may have grown, or shrunk, since it was counted.
        total = events if not page.has_more else None if self.total is None else max(self.total, events)
        self._progress.update(self._task, completed=events, total=total)


@contextmanager
def _progress(client: Client, pairs: Pairs, checkpoint: Checkpoint | None) -> Iterator[_Bar]:
    """A bar on standard error, shown where that is a terminal; with a total where the sources have one."""
    is_shown = sys.stderr.isatty()
    total = None
    if is_shown:
        is_resumed = checkpoint is not None and checkpoint.cursor is not None
        total = checkpoint.total if checkpoint is not None and is_resumed else _total(client, pairs)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn() if total is None else TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), disable=not is_shown) as progress:
        yield _Bar(progress, total)


def _total(client: Client, pairs: Sequence[tuple[str, str]]) -> int | None:
    """The number of events to come; None where the sources have no exact one."""
    counted = [pair for pair in pairs if pair[0] not in ("order", "partial", "follow", "include")]
    try:
        totals = client.count(counted)
    except Problem:
        return None  # the first page fails with the same problem
    value = totals["value"] if (totals["unit"], totals["relation"]) == ("events", "eq") else None
    return int(value) if value else None
