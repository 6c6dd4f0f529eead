"""`audit-gateway export`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from app.cli.client import Client, Page, Pairs, Problem, connected
from app.cli.failures import USAGE, Failure, Notices, flag, print_error, without_failed
from app.cli.flags import Filters, included, to_send
from app.cli.formats import Lines, lines_of
from app.cli.resumable import Checkpoint, ResumableFile
from app.cli.terminal import console, write_bytes
from app.cli.walk import walk
from app.domain.times import now_micros


class Export(msgspec.Struct, frozen=True):
    """What to export. `file` None: standard output. `incremental`: what has come since the last run, kept going by the
    mark beside the file."""

    filters: Filters
    file: Path | None
    form: str
    order: str | None
    partial: bool
    include: Sequence[str]
    incremental: bool
    force: bool
    config: Path | None

    @property
    def shown_order(self) -> str:
        return self.order or ("asc" if self.incremental else "desc")

    @property
    def asked(self) -> str:
        """The flags that decide what is in the file, as they were written; `7d` is the day it was in the first run."""
        words = [word for name, text in sorted(self.filters) for word in (flag(name), text)]
        words += [word for name in self.include for word in ("--include", name)]
        words += ["--format", self.form, "--order", self.shown_order]
        return shlex.join(words + ["--incremental"] * self.incremental)


class Progress(Protocol):
    @property
    def total(self) -> int | None: ...

    def show(self, events: int, page: Page) -> None: ...


def export_events(export: Export) -> int:
    """Writes the file; returns the exit code. Raises Problem, Failure, OSError, ConfigurationError."""
    lines = lines_of(export.form)
    if export.incremental:
        _check_incremental(export)
    if export.file is None:
        return _to_standard_output(export, lines)
    with ResumableFile(export.file) as file:
        mark = _where_to_begin(export, file)
        with connected(export.config) as client:
            return _to_file(export, lines, file, mark, client)


def _check_incremental(export: Export) -> None:
    """Raises Failure. The API would find fault with `follow`, which is no flag of this command."""
    if export.file is None:
        raise Failure("--incremental needs a file, beside which it stores its position", USAGE)
    if export.order == "desc":
        raise Failure("--incremental appends the oldest first; leave out --order desc", USAGE)
    if "until" in dict(export.filters):
        raise Failure("--incremental has no end; leave out --until", USAGE)


def _to_standard_output(export: Export, lines: Lines) -> int:
    pairs, notices, events = _pairs(export), Notices(), 0
    pages = 0
    try:
        with connected(export.config) as client, _progress(client, pairs, None) as progress:
            for pages, page in enumerate(walk(client, pairs), start=1):
                notices.page(page)
                write_bytes((lines.header if pages == 1 else b"") + lines.of(page.events))
                events += len(page.events)
                progress.show(events, page)
    except Problem as problem:
        if not pages or not export.partial or not problem.sources:
            raise
        raise without_failed(problem) from None
    return notices.end()


def _where_to_begin(export: Export, file: ResumableFile) -> Checkpoint:
    """The mark to go on from. Raises Failure where that would lose something."""
    fresh = Checkpoint(export.asked)
    if export.force:
        return fresh
    mark = file.mark()
    if mark is None:
        if file.size:
            raise Failure(f"{file.path} exists and is complete; name another file, or overwrite it with --force", USAGE)
        return fresh
    if mark.asked != export.asked:
        raise Failure(
            f"{file.path} was begun with other flags ({mark.asked}): repeat them to resume, or start over with --force",
            USAGE,
        )
    if mark.cursor is None:
        return fresh
    if export.incremental and not file.size:
        # Taken away or emptied between two runs, as logs are rotated: what comes goes into a new one.
        return msgspec.structs.replace(mark, length=0)
    if file.size < mark.length:
        raise Failure(f"{file.path} is shorter than its checkpoint; restore it, or start over with --force", USAGE)
    return mark


def _to_file(export: Export, lines: Lines, file: ResumableFile, mark: Checkpoint, client: Client) -> int:
    pairs, notices, begun = _pairs(export), Notices(), False
    pages = walk(client, pairs, cursor=mark.cursor)
    try:
        with _progress(client, pairs, mark) as progress:
            for page in pages:
                if not begun:
                    # Only now is it certain that the flags are right: a file that is there is still whole.
                    mark = msgspec.structs.replace(mark, total=progress.total or mark.total)
                    file.begin(mark)
                    begun = True
                data = lines.of(page.events)
                if not mark.length:
                    data = lines.header + data
                notices.page(page)
                mark = msgspec.structs.replace(
                    mark,
                    cursor=page.next_cursor,
                    length=mark.length + len(data),
                    events=mark.events + len(page.events),
                )
                if mark.cursor is None:
                    file.finish(data)
                else:
                    file.add(data, mark)
                progress.show(mark.events, page)
    except KeyboardInterrupt:
        if begun:
            print_error(f"stopped after {mark.events:,} events; the same command resumes there")
        raise
    except Problem as problem:
        raise _with_remedy(problem, export, file, mark, begun) from None
    except OSError as error:
        raise Failure(
            f"{file.path} cannot be written ({error.strerror}); the same command resumes once that is fixed"
        ) from None
    code = notices.end()
    if sys.stderr.isatty():
        print_error(f"{mark.events:,} events are in {file.path}")
    return code


def _with_remedy(problem: Problem, export: Export, file: ResumableFile, mark: Checkpoint, begun: bool) -> Exception:
    if problem.code == "invalid_cursor" and not begun:
        return Failure(
            f"the gateway refuses the cursor in {file.mark_path} (its GATEWAY_CURSOR_SECRET may have"
            " changed); start over with --force",
            USAGE,
        )
    if begun and export.partial and problem.sources:
        return without_failed(problem, f"and the same command resumes behind these {mark.events:,} events")
    if begun:
        print_error(f"broken off after {mark.events:,} events; the same command resumes there")
    return problem


def _pairs(export: Export) -> list[tuple[str, str]]:
    pairs = to_send(export.filters, now_micros())
    pairs.append(("order", export.shown_order))
    pairs += [("partial", "true")] if export.partial else []
    pairs += [("follow", "true")] if export.incremental else []
    return pairs + included(export.include)


# ---- progress --------------------------------------------------------------------------------------------------------


class _Silent:
    total = None

    def show(self, events: int, page: Page) -> None:
        pass


@contextmanager
def _progress(client: Client, pairs: Pairs, mark: Checkpoint | None) -> Iterator[Progress]:
    """A bar on standard error where that is a terminal; with the total where the sources know one."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from app.cli.progress import Bar

    with ExitStack() as stack:
        total = mark.total if mark is not None and mark.cursor is not None else _total(client, pairs)
        yield stack.enter_context(Bar(console(stderr=True), total))


def _total(client: Client, pairs: Pairs) -> int | None:
    """How many events there will be; None where the sources do not say."""
    counted = [pair for pair in pairs if pair[0] not in ("order", "partial", "follow", "include")]
    try:
        totals = client.count(counted)
    except Problem:
        return None  # the first page will say what is wrong
    value = totals["value"] if (totals["unit"], totals["relation"]) == ("events", "eq") else None
    return int(value) if value else None
