"""`audit-gateway export`: a file that is written in pieces and can be resumed after any interruption.

FILE.cursor is the *checkpoint*: a cursor, and the length of FILE with everything up to this cursor. Each piece is
flushed to the disk before the checkpoint is replaced atomically. Bytes after the checkpoint's length belong to a piece
without a checkpoint: they are truncated and read again, also after `kill -9` and a power cut.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.client import connected, signed_walk, walk
from app.cli.failures import USAGE, Failure, Notices, Problem, flag, print_error, printable, without_failed
from app.cli.flags import Config, Filters, Include, Order, Partial, query_pairs
from app.cli.output import console, format_of, lines_of, write_bytes
from app.forward import Checkpoint, Page, lock_file, read_checkpoint, save_checkpoint, sync_folder


class ResumableFile:
    """A file and its checkpoint. Raises ConfigurationError, OSError."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path, self._file = path, file
        self.checkpoint_path = path.with_name(f"{path.name}.cursor")
        self.has_begun = False

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of an unfinished export. Raises ConfigurationError for an invalid one."""
        foreign = f"{self.checkpoint_path} was not written by an export; remove it, or start over with --force."
        return read_checkpoint(self.checkpoint_path, foreign)

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, then truncate the file to its length."""
        self.has_begun = True
        save_checkpoint(self.checkpoint_path, checkpoint)
        os.ftruncate(self._file.fileno(), checkpoint.length)

    def add(self, data: bytes, checkpoint: Checkpoint) -> None:
        """Append `data`, then replace the checkpoint, whose length is the file's with `data`. One without a cursor is
        removed, because the file is complete."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())
        if checkpoint.cursor is None:
            self.checkpoint_path.unlink(missing_ok=True)
            sync_folder(self.path)
        else:
            save_checkpoint(self.checkpoint_path, checkpoint)


@contextmanager
def resumable(path: Path) -> Iterator[ResumableFile]:
    """Open a file, locked against a second process. Raises Failure, ConfigurationError."""
    is_new = not path.exists()
    if not (is_new or path.is_file()):
        raise Failure(f"{path} is not a regular file; give a file's name, or - for standard output", USAGE)
    try:
        stream = FileIO(path, "a")
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror})", USAGE) from None
    with stream:
        busy = Failure(f"{path} is being written by another export; wait until it is done")
        lock_file(stream.fileno(), path, busy)
        file = ResumableFile(path, stream)
        try:
            yield file
        finally:
            # A file that was created here without content is not an export.
            if is_new and not file.has_begun:
                path.unlink(missing_ok=True)


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
        bool, typer.Option("--incremental", help="Append the events since the last run, oldest first; for cron.")
    ] = False,
    signed: Annotated[
        bool, typer.Option("--signed", help="Write the gateway's manifests with the events, for audit-gateway verify.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over and overwrite FILE.")] = False,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> int:
    """Write all matching events to a file, newest first.

    After Ctrl-C, a failure or a power cut, the same command resumes: FILE.cursor stores the position and is removed
    when FILE is complete. No event is lost or duplicated.
    """
    path = None if file == "-" else Path(file)
    form = form or format_of(path)
    if incremental:
        # The API's error would name `follow`, which is not a flag of this command.
        if path is None:
            raise Failure("--incremental needs a file, beside which it stores its position", USAGE)
        if order == "desc":
            raise Failure("--incremental appends the oldest first; leave out --order desc", USAGE)
        if "until" in dict(filters):
            raise Failure("--incremental has no end; leave out --until", USAGE)
    if signed and (path is None or form != "ndjson" or incremental or partial):
        raise Failure("--signed needs a file in NDJSON, without --incremental and --partial", USAGE)
    order = order or ("asc" if incremental else "desc")
    # The flags for the file's content as the user wrote them: `7d` stays relative to the first run.
    asked = [word for name, text in sorted(filters) for word in (flag(name), text)]
    asked += [word for name in include or () for word in ("--include", name)]
    asked += ["--format", form, "--order", order, *["--incremental"] * incremental, *["--signed"] * signed]
    pairs = query_pairs(filters, order=order, partial=partial, follow=incremental, include=include)
    lines = lines_of(form)
    with ExitStack() as stack:
        output = None if path is None else stack.enter_context(resumable(path))
        checkpoint = Checkpoint(asked=shlex.join(asked))
        if output is not None and not force:
            checkpoint = _resumed(output, checkpoint, incremental=incremental)
        client = stack.enter_context(connected(config, signs=signed))
        if signed:
            pieces = signed_walk(client, pairs, cursor=checkpoint.cursor)
        else:
            pages = walk(client, pairs, cursor=checkpoint.cursor)
            pieces = ((page, lines.of(page.events)) for page in pages)
        return _write(pieces, lines.header, output, checkpoint, partial=partial)


def _resumed(file: ResumableFile, fresh: Checkpoint, *, incremental: bool) -> Checkpoint:
    """Return the checkpoint to continue from; `fresh` without one. Raises Failure if events would be lost."""
    checkpoint = file.checkpoint()
    if checkpoint is None and file.size:
        raise Failure(f"{file.path} exists and is complete; name another file, or overwrite it with --force", USAGE)
    if checkpoint is None:
        return fresh
    if checkpoint.asked != fresh.asked:
        remedy = f"other flags ({checkpoint.asked}): repeat them to resume, or start over with --force"
        raise Failure(f"{file.path} was begun with {remedy}", USAGE)
    if checkpoint.cursor is None:
        return fresh
    if incremental:
        checkpoint = msgspec.structs.replace(checkpoint, unreadable={}, unproven=False)  # each run reports its own
    if incremental and not file.size:
        # Moved away or emptied between two runs by a log rotation: continue in a new file.
        return msgspec.structs.replace(checkpoint, length=0)
    if file.size < checkpoint.length:
        raise Failure(f"{file.path} is shorter than its checkpoint; restore it, or start over with --force", USAGE)
    return checkpoint


def _write(
    pieces: Iterator[tuple[Page, bytes]],
    header: bytes,
    file: ResumableFile | None,
    checkpoint: Checkpoint,
    *,
    partial: bool,
) -> int:
    """Write pages to a file, or to standard output. Returns the exit code."""
    notices, has_begun = Notices(checkpoint.unreadable, unproven=checkpoint.unproven), False
    try:
        with _progress() as show:
            for page, data in pieces:
                if not has_begun and file is not None:
                    # The flags have proved valid: until now, an existing file was left unchanged.
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
                    unreadable=dict(notices.unreadable),
                    unproven=notices.unproven,
                )
                if file is None:
                    write_bytes(data)
                else:
                    file.add(data, checkpoint)
                show(checkpoint.events, page)
    except (Problem, KeyboardInterrupt) as stop:
        written = f"{checkpoint.events:,} events"
        if isinstance(stop, Problem) and has_begun and partial and stop.sources:
            resumes = f"and the same command resumes behind these {written}"
            raise (without_failed(stop) if file is None else without_failed(stop, resumes)) from None
        if file is not None and has_begun:
            print_error(f"stopped after {written}; the same command resumes there")
        elif file is not None and isinstance(stop, Problem) and stop.code == "invalid_cursor":
            why = "its GATEWAY_CURSOR_SECRET may have changed"
            what = f"the gateway refuses the cursor in {file.checkpoint_path} ({why}); start over with --force"
            raise Failure(what, USAGE) from None
        raise
    except OSError as error:
        if file is None:
            raise
        what = f"{file.path} cannot be written ({error.strerror}); the same command resumes once that is fixed"
        raise Failure(what) from None
    finally:
        code = notices.end()
    if file is not None and sys.stderr.isatty():
        print_error(f"{checkpoint.events:,} events are in {file.path}")
    return code


@contextmanager
def _progress() -> Iterator[Callable[[int, Page], None]]:
    """Show the number of events and the day reached on standard error, if it is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} events {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None)

        def show(events: int, page: Page) -> None:
            reached = f"to {printable(str(page.events[-1]['occurred_at'])[:10])}" if page.events else None
            progress.update(task, completed=events, description=reached)

        yield show
