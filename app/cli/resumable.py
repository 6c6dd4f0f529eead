"""A file that grows piece by piece and can be resumed after any end, including a `kill -9` and a power cut.

Beside FILE lies FILE.cursor, the *checkpoint*: how long FILE was when everything up to the checkpoint's cursor was on
the disk. A piece is flushed to the disk first; then the checkpoint is replaced, in one step. Bytes beyond the
checkpoint's length are a piece without a checkpoint: they are cut off, and read again.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from types import TracebackType

import msgspec

from app.cli.failures import USAGE, Failure
from app.forward.checkpoint import replace_file, sync_folder

VERSION = 1  #: of the checkpoint file


class Checkpoint(msgspec.Struct, frozen=True):
    """`cursor` None: nothing was written yet. `length` in bytes; `asked` is the export's query, as text that must be
    equal for it to be resumed."""

    asked: str
    cursor: str | None = None
    length: int = 0
    events: int = 0
    version: int = 0


class ResumableFile:
    """Open, and locked against a second process, from `__enter__` to `__exit__`. Raises Failure, OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint_path = path.with_name(f"{path.name}.cursor")
        self._file = -1
        self._made = self._begun = False

    def __enter__(self) -> ResumableFile:
        if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
            raise Failure(f"{self.path} is not a regular file; give a file's name, or - for standard output", USAGE)
        self._made = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Failure(f"{self.path} is being written by another export; wait until it is done") from None
        except OSError as error:
            os.close(self._file)
            raise Failure(
                f"{self.path}: the file system refuses a lock ({error.strerror}), as NFS without a lock service does;"
                " write to a local disk"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A file that was created here and never begun is no export.
        if self._made and not self._begun:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of an export that is not finished. Raises Failure for one that cannot be read."""
        try:
            found = msgspec.json.decode(self.checkpoint_path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if found is None or found.version != VERSION:
            raise Failure(
                f"{self.checkpoint_path} was not written by an export; remove it, or start over with --force"
            ) from None
        return found

    def begin(self, checkpoint: Checkpoint) -> None:
        """Empty the file, or cut it to the checkpoint's length. The checkpoint goes first: the rest then counts as
        unwritten."""
        self._begun = True
        self._save(checkpoint)
        os.ftruncate(self._file, checkpoint.length)
        os.lseek(self._file, checkpoint.length, os.SEEK_SET)

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
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def _save(self, checkpoint: Checkpoint) -> None:
        members = msgspec.structs.asdict(checkpoint) | {"version": VERSION}
        replace_file(self.checkpoint_path, json.dumps(members, indent=1) + "\n")
