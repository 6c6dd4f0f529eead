"""Files with the cursor of a forwarder or an export. A kill or a power cut leaves the old or the new content."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.domain.errors import ConfigurationError


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`asked`: the query, as text that must be equal to continue. `cursor` None: no page was accepted yet. `events`:
    number accepted. A forwarder's `through`: time (RFC 3339) up to which every matching event was accepted. An export's
    `length`: bytes of its file up to the cursor; `unreadable`: records left out of it, by source; `unproven`: whether
    other events may be missing."""

    version: int = 1
    asked: str
    cursor: str | None = None
    events: int = 0
    through: str = ""
    length: int = 0
    unreadable: dict[str, int] = {}
    unproven: bool = False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclude other forwarders from a file. Raises ConfigurationError, OSError."""
    # A lock on the file itself would be lost when a page replaces it.
    name = path.with_name(f"{path.name}.lock")
    with open(name, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
        busy = f"--cursor-file: another forwarder uses {path}; give each receiver a file of its own."
        lock_file(lock.fileno(), path, ConfigurationError(busy))
        yield


def load_checkpoint(path: Path, fresh: Checkpoint) -> Checkpoint:
    """Return a forwarder's checkpoint, or `fresh` without a file. Raises ConfigurationError for another query."""
    found = read_checkpoint(path, f"--cursor-file: {path} was not written by this command; give another name.") or fresh
    if found.asked != fresh.asked:
        remedy = f"is of other filters ({found.asked or 'none'}); give those, or another file."
        raise ConfigurationError(f"--cursor-file: {path} {remedy}")
    return found


def lock_file(file: int, path: Path, busy: Exception) -> None:
    """Exclude other processes until the descriptor is closed. Raises `busy` if another process holds the lock, and
    ConfigurationError if the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError as error:
        why = f"refuses a lock ({error.strerror}), as NFS without a lock service does; name a file on a local disk."
        raise ConfigurationError(f"the file system of {path} {why}") from None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file atomically, and flush it to the disk. Raises OSError."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(checkpoint)).decode() + "\n", mode=0o600)


def read_checkpoint(path: Path, foreign: str) -> Checkpoint | None:
    """Return a file's checkpoint, or None without a file. Raises ConfigurationError (`foreign`) for other content."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if found is None or found.version != 1:
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
