"""Push events to one receiver: `audit-gateway forward`.

`forwarder` moves pages to a `Target`; the cursor in the file of the `Checkpoint` moves only after the receiver has
accepted a page. The command passes in the function that returns pages.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from app.domain.errors import ConfigurationError

#: Query parameters, (name, value), in the API's own form.
Pairs = Sequence[tuple[str, str]]
Json = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """One page from a client's view: `data`, `window`, `sources[]` and `warnings[]`; `unproven` if a source is."""

    events: list[Json]
    has_more: bool
    next_cursor: str | None
    window: Json
    sources: list[Json]
    warnings: Sequence[Json] = ()
    unproven: bool = False


#: The number of left out records in the `reason` of a source.
UNREADABLE_RECORDS = re.compile(r"(\d+) records(?= that cannot be read)")

#: Seconds for a connection, and for each read and write after it.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 30.0


class Item(NamedTuple):
    """One event: the API's object, and its line in the chosen format without the line end."""

    event: Mapping[str, Any]
    line: bytes


class Temporary(Exception):
    """A failure to retry. `retry_after` is in seconds, or None.

    The text goes to the log: it contains no secret, no part of an event and no text of the receiver."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooLarge(Temporary):
    """The receiver refuses the batch because of its size (HTTP 413)."""


class Gone(Exception):
    """The receiver accepts no more batches (HTTP 410; senders must stop by the Standard Webhooks scheme)."""


class Target(Protocol):
    """One receiver."""

    def deliver(self, items: Sequence[Item]) -> None:
        """Send a batch of at least one event; return when the receiver has accepted it. Raises Temporary, Gone."""

    def close(self) -> None: ...


# ---- files with the cursor of a forwarder or an export; a kill or a power cut leaves the old or the new content ----


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
