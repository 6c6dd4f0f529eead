"""A file that grows piece by piece and can be resumed after any end, including a `kill -9` and a power cut.

Beside FILE lies FILE.cursor, the *checkpoint*: how long FILE was when everything up to the checkpoint's cursor was on
the disk. A piece is flushed to the disk first; then the checkpoint is replaced, in one step. Bytes beyond the
checkpoint's length are a piece without a checkpoint: they are cut off, and read again.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import msgspec

from app.cli.failures import USAGE, Failure
from app.forward.checkpoint import Versioned, lock_file, read_checkpoint, replace_file, sync_folder


class Checkpoint(Versioned, frozen=True, kw_only=True):
    """`cursor` None: nothing was written yet. `length` in bytes; `asked` is the export's query, as text that must be
    equal for it to be resumed."""

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
        # A file that was created here and never begun is no export.
        if self._made and not self._begun:
            self.path.unlink(missing_ok=True)
        self._file.close()

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of an export that is not finished. Raises ConfigurationError for one that cannot be read."""
        foreign = f"{self.checkpoint_path} was not written by an export; remove it, or start over with --force."
        return read_checkpoint(self.checkpoint_path, Checkpoint, foreign)

    def begin(self, checkpoint: Checkpoint) -> None:
        """Empty the file, or cut it to the checkpoint's length. The checkpoint goes first: the rest then counts as
        unwritten."""
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
