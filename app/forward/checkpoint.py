"""The file with a forwarder's cursor. A kill or a power cut leaves the old content or the new one."""

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
    """`asked`: the filters, as text that must be equal to go on. `cursor` None: nothing was accepted yet. `through`: up
    to this time (RFC 3339) every matching event was accepted. `events`: accepted in all."""

    asked: str
    cursor: str | None = None
    through: str
    events: int = 0


class CheckpointFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out. Raises ConfigurationError, OSError."""
        # The file itself is replaced with every page; a lock on it would be lost.
        name = self.path.with_name(f"{self.path.name}.lock")
        with open(name, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
            lock_file(
                lock.fileno(),
                self.path,
                f"--cursor-file: another forwarder uses {self.path}; give each receiver a file of its own.",
            )
            yield

    def load(self, fresh: Checkpoint) -> Checkpoint:
        """The checkpoint in the file; `fresh` without a file. Raises ConfigurationError for one of another query."""
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
        """Replace the file in one step, on the disk when this returns. Raises OSError."""
        text = json.dumps(msgspec.to_builtins(checkpoint), indent=1)
        replace_file(self.path, text, mode=0o600)


def lock_file(file: int, path: Path, busy: str) -> None:
    """Keep a second process out, until the descriptor is closed. Raises ConfigurationError: `busy` if another process
    holds the lock."""
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
    """The checkpoint in a file; None without a file. Raises ConfigurationError: `foreign` for other content."""
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
    """Replace a text file in one step: a kill leaves the old content or the new. It is on the disk at return."""
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Write the folder of `path` to the disk: a new or removed name is on it only then. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
