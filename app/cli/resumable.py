"""A file that grows piece by piece and can be gone on with after any end, a `kill -9` or a power cut included.

Beside FILE lies FILE.cursor, the *mark*: how long FILE was when everything up to the mark's cursor was on the disk. A
piece is written and flushed to the disk first, the mark is replaced after it, in one step. What lies behind the mark's
length is a piece whose mark did not come to be: it is cut off, and asked for again.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from app.cli.failures import USAGE, Failure


class Checkpoint(msgspec.Struct, frozen=True):
    """`cursor` None: nothing was written yet. `length` in bytes; `asked` is what the export is of, as text that must be
    equal for it to be gone on with."""

    asked: str
    cursor: str | None = None
    length: int = 0
    events: int = 0
    total: int | None = None


class ResumableFile:
    """Open, and locked against a second process, from `__enter__` to `__exit__`. Raises Failure, OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark_path = path.with_name(f"{path.name}.cursor")
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
        # One that was made here and never begun is no export: it would only be in the way.
        if self._made and not self._begun:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    def mark(self) -> Checkpoint | None:
        """The mark of an export that is not finished. Raises Failure for one that cannot be read."""
        try:
            text = self.mark_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return _mark(json.loads(text))
        except (ValueError, TypeError):
            raise Failure(
                f"{self.mark_path} was not written by an export; remove it, or start over with --force"
            ) from None

    def begin(self, mark: Checkpoint) -> None:
        """Empties the file, or cuts it to the mark's length. The mark goes first: behind it, the rest is nobody's."""
        self._begun = True
        self._write_mark(mark)
        os.ftruncate(self._file, mark.length)
        os.lseek(self._file, mark.length, os.SEEK_SET)

    def add(self, data: bytes, mark: Checkpoint) -> None:
        """Appends `data`, then puts `mark` (whose length is the file's with `data`) in place."""
        self._append(data)
        self._write_mark(mark)

    def finish(self, data: bytes) -> None:
        """Appends the last piece. Without its mark, the file is finished."""
        self._append(data)
        self.mark_path.unlink(missing_ok=True)
        self._sync_folder()

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def _write_mark(self, mark: Checkpoint) -> None:
        temporary = self.mark_path.with_name(f"{self.mark_path.name}.new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"version": 1, **msgspec.structs.asdict(mark)}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.mark_path)
        self._sync_folder()

    def _sync_folder(self) -> None:
        # A new name is on the disk only when its folder is.
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mark(found: Any) -> Checkpoint:
    """Raises ValueError, TypeError."""
    if not isinstance(found, dict) or found.pop("version", None) != 1:
        raise ValueError("a version that is not known")
    mark = Checkpoint(**found)
    if not isinstance(mark.length, int) or not isinstance(mark.events, int) or not isinstance(mark.asked, str):
        raise TypeError("not a mark")
    return mark
