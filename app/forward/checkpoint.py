"""The file with a forwarder's cursor. A kill or a power cut leaves the old or the new content."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from app.domain.errors import ConfigurationError


class Versioned(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a checkpoint file."""

    version: int = 1


Found = TypeVar("Found", bound=Versioned)


class Checkpoint(Versioned, frozen=True, kw_only=True):
    """`asked`: the filters, as text that must be equal to continue. `cursor` None: no page was accepted yet. `through`:
    time (RFC 3339) up to which every matching event was accepted. `events`: number accepted."""

    asked: str
    cursor: str | None = None
    through: str
    events: int = 0


class CheckpointFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other processes. Raises ConfigurationError, OSError."""
        # A lock on the file itself would be lost when a page replaces it.
        name = self.path.with_name(f"{self.path.name}.lock")
        with open(name, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
            lock_file(
                lock.fileno(),
                self.path,
                f"--cursor-file: another forwarder uses {self.path}; give each receiver a file of its own.",
            )
            yield

    def load(self, fresh: Checkpoint) -> Checkpoint:
        """Return the file's checkpoint, or `fresh` without a file. Raises ConfigurationError for another query."""
        found = read_checkpoint(
            self.path, Checkpoint, f"--cursor-file: {self.path} was not written by this command; give another name."
        )
        if found is None:
            return fresh
        if found.asked != fresh.asked:
            asked = found.asked or "none"
            raise ConfigurationError(
                f"--cursor-file: {self.path} is of other filters ({asked}); give those, or another file."
            )
        return found

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file atomically, and flush it to the disk. Raises OSError."""
        text = json.dumps(msgspec.to_builtins(checkpoint), indent=1)
        replace_file(self.path, text, mode=0o600)


def lock_file(file: int, path: Path, busy: str) -> None:
    """Exclude other processes until the descriptor is closed. Raises ConfigurationError, with the text `busy` if
    another process holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(busy) from None
    except OSError as error:
        raise ConfigurationError(
            f"the file system of {path} refuses a lock ({error.strerror}), as NFS without a lock service does; name a"
            " file on a local disk."
        ) from None


def read_checkpoint(path: Path, kind: type[Found], foreign: str) -> Found | None:
    """Return a file's checkpoint, or None without a file. Raises ConfigurationError (`foreign`) for other content."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigurationError(foreign) from None
    if found.version != 1:
        raise ConfigurationError(foreign)
    return found


def replace_file(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace a text file atomically, and flush it to the disk."""
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Flush the folder of `path` to the disk, which makes new and removed names durable. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
