"""A file that is written in pieces and can be resumed after any interruption, including `kill -9` and a power cut.

FILE.cursor is the *checkpoint*: a cursor, and the length of FILE with everything up to this cursor. Each piece is
flushed to the disk before the checkpoint is replaced atomically. Bytes after the checkpoint's length belong to a piece
without a checkpoint: they are truncated and read again.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import msgspec

from app.cli.failures import USAGE, Failure
from app.forward.checkpoint import Versioned, lock_file, read_checkpoint, replace_file, sync_folder


class Checkpoint(Versioned, frozen=True, kw_only=True):
    """`cursor` None: empty file. `length` in bytes; `asked` is the export's query, as text that must be equal to
    resume."""

    asked: str
    cursor: str | None = None
    length: int = 0
    events: int = 0


class ResumableFile:
    """Open, and locked against a second process, from `__enter__` to `__exit__`. Raises Failure, ConfigurationError,
    OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint_path = path.with_name(f"{path.name}.cursor")
        self._begun = False

    def __enter__(self) -> ResumableFile:
        self._made = not self.path.exists()
        if not (self._made or self.path.is_file()):
            raise Failure(f"{self.path} is not a regular file; give a file's name, or - for standard output", USAGE)
        self._file = open(self.path, "ab", buffering=0)
        try:
            busy = f"{self.path} is being written by another export; wait until it is done."
            lock_file(self._file.fileno(), self.path, busy)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A file that was created here without content is not an export.
        if self._made and not self._begun:
            self.path.unlink(missing_ok=True)
        self._file.close()

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of an unfinished export. Raises ConfigurationError for an invalid one."""
        foreign = f"{self.checkpoint_path} was not written by an export; remove it, or start over with --force."
        return read_checkpoint(self.checkpoint_path, Checkpoint, foreign)

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, then truncate the file to its length."""
        self._begun = True
        self._save(checkpoint)
        os.ftruncate(self._file.fileno(), checkpoint.length)

    def add(self, data: bytes, checkpoint: Checkpoint) -> None:
        """Append `data`, then replace the checkpoint, whose length is the file's with `data`."""
        self._append(data)
        self._save(checkpoint)

    def finish(self, data: bytes) -> None:
        """Append the last piece. Without a checkpoint, the file is complete."""
        self._append(data)
        self.checkpoint_path.unlink(missing_ok=True)
        sync_folder(self.path)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())

    def _save(self, checkpoint: Checkpoint) -> None:
        replace_file(self.checkpoint_path, msgspec.json.format(msgspec.json.encode(checkpoint)).decode() + "\n")
