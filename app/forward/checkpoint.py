"""The file that keeps a forwarder's place. It is replaced in one step and flushed to the disk, so that a kill or a power
cut leaves the old place or the new one."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType

import msgspec

from app.domain.errors import ConfigurationError


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`asked`: the filters, as text that must be equal to go on. `cursor` None: nothing was accepted yet. `through`: up
    to this time (RFC 3339) every matching event was accepted. `events`: accepted in all."""

    version: int = 1
    asked: str
    cursor: str | None = None
    through: str
    events: int = 0


class CheckpointFile:
    """Locked against a second process from `__enter__` to `__exit__`. Raises ConfigurationError, OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> CheckpointFile:
        # The file itself is replaced with every page; a lock on it would be lost.
        self._lock = os.open(self._beside("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigurationError(
                f"--cursor-file: {self.path} is in use by another forwarder; each target needs a file of its own."
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def load(self, fresh: Checkpoint) -> Checkpoint:
        """The checkpoint in the file; `fresh` where there is none. Raises ConfigurationError for another query's."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return fresh
        except msgspec.DecodeError:
            found = None
        if found is None or found.version != fresh.version:
            raise ConfigurationError(f"--cursor-file: {self.path} was not written by this command; give another name.")
        if found.asked != fresh.asked:
            raise ConfigurationError(
                f"--cursor-file: {self.path} belongs to other filters ({found.asked or 'none'}); give the same filters to go"
                " on, or another file."
            )
        return found

    def save(self, checkpoint: Checkpoint) -> None:
        temporary = self._beside("new")
        with open(temporary, "w", encoding="utf-8", opener=_private) as file:
            json.dump(msgspec.to_builtins(checkpoint), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)  # a new name is on the disk only when its folder is
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
