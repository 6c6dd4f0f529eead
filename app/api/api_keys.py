"""API keys: creation, storage and lookup.

A key is `agw_` and 43 URL-safe characters: 256 random bits. Such a key cannot be guessed from its hash,
however fast the hash is, so SHA-256 suffices. Slow hashes are for passwords, and would allow callers to exhaust the
processor with wrong keys.

The file holds one JSON object a line:

    {"name":"reporting","hash":"<64 hex digits>","scopes":["events:read"],"sources":null,"rate":null,
     "expires":null}

GATEWAY_API_KEYS contains the same lines.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from app.config import read_text
from app.domain.caller import RATE, SCOPES, Caller
from app.domain.errors import ConfigurationError, Unauthenticated
from app.domain.times import format_seconds, now_micros, parse_rfc3339

PREFIX = "agw_"
SANDBOX_KEY = "sandbox"  #: opens emulated data only; see `app.config.load_configuration`

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_PATIENCE = 0.25  #: seconds for which a call waits for the keys file

_log = structlog.get_logger("gateway.keys")


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key's grants. `expires` in µs since the epoch; `sources` None: all; `rate` as `600/minute`."""

    name: str
    hash: str
    scopes: frozenset[str]
    sources: frozenset[str] | None = None
    rate: str | None = None
    expires: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence that names the field."""
        if not _NAME.match(self.name):
            raise ValueError("name must be 1 to 64 letters, digits, dots, dashes, underscores or @")
        if not _HASH.match(self.hash):
            raise ValueError("hash must be 64 lower-case hex digits, as `audit-gateway keys new` writes them")
        for field, names in (("scopes", self.scopes), ("sources", self.sources)):
            if names is not None and not names:
                raise ValueError(f"{field} must be a list of at least one name")
        if unknown := sorted(self.scopes - set(SCOPES)):
            raise ValueError(f"scopes has {unknown[0]!r}, which is none; there are {', '.join(SCOPES)}")
        if self.rate is not None and not RATE.match(self.rate):
            raise ValueError("rate must be such as 600/minute (second, minute, hour or day)")

    def line(self) -> str:
        """Return the key as a line of the file, without the line end."""
        expires = None if self.expires is None else format_seconds(self.expires)
        fields = msgspec.structs.asdict(self) | {"expires": expires}
        return json.dumps(fields, separators=(",", ":"), default=sorted)  # the sets


def new_key() -> str:
    """Return a new key, which is shown once and not stored."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def make_api_key(**fields: Any) -> ApiKey:
    """Return an ApiKey of unchecked values; `expires` is text. Raises ValueError with a sentence that names the
    field."""
    if fields.get("expires") is not None:
        try:
            fields["expires"] = parse_rfc3339(fields["expires"])
        except (TypeError, ValueError):
            raise ValueError("expires must be a date-time with an offset, or a date, such as 2027-01-01") from None
    return msgspec.convert(fields, ApiKey)


def read_keys(text: str, where: str) -> list[ApiKey]:
    """Parse the keys in a file's or variable's text. Raises ConfigurationError with `where` and the line."""
    keys: list[ApiKey] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            what = "is no JSON object; write keys with `audit-gateway keys new`"
            raise ConfigurationError(f"{where}, line {number}: {what}.") from None
        try:
            keys.append(make_api_key(**fields))
        except ValueError as error:
            raise ConfigurationError(f"{where}, line {number}: {error}.") from None
    return keys


class Keyring:
    """All keys. The file is read again when it changes, so that keys change without a restart.

    `pause`: seconds between two checks of the file, unless a key is unknown."""

    def __init__(
        self,
        keys: Iterable[ApiKey] = (),
        file: Path | None = None,
        clock: Callable[[], int] = now_micros,
        pause: float = 0.5,
    ) -> None:
        """Raises ConfigurationError if the file cannot be read or contains an invalid line."""
        self._fixed, self._file, self._clock, self._pause = tuple(keys), file, clock, pause
        self._from_file = () if file is None else _read_file(file)
        self._seen: object = None  # the file's stamp at the last read
        self._problem = ""  # logged last
        self._look: threading.Thread | None = None  # reads the file
        self._next_look = float("-inf")
        self._hangs = False

    async def caller(self, key: str) -> Caller:
        """Return the caller of `key`. Raises Unauthenticated for an unknown or expired key."""
        found = self._find(key)
        if self._file is not None and (found is None or time.monotonic() >= self._next_look):
            await self._refresh()
            found = self._find(key)
        if found is None:
            raise Unauthenticated("This API key is not known here; ask the gateway's operator for one.")
        if found.expires is not None and found.expires <= self._clock():
            raise Unauthenticated("This API key has expired; ask the gateway's operator for a new one.")
        return Caller(found.name, found.scopes, found.sources, found.rate, expires=found.expires)

    def _find(self, key: str) -> ApiKey | None:
        digest, found = hash_of(key), None
        for candidate in (*self._fixed, *self._from_file):
            # Compare with every key in constant time, so that the duration does not depend on the matching key.
            if hmac.compare_digest(candidate.hash, digest):
                found = candidate
        return found

    async def _refresh(self) -> None:
        """Check the file on another thread: a hung file system delays one call, and the keys stay valid."""
        self._next_look = time.monotonic() + self._pause
        if self._look is None or not self._look.is_alive():
            # A daemon, because one that hangs must not hold up a graceful shutdown.
            self._look = threading.Thread(target=self._read_again, name="keys-file", daemon=True)
            self._look.start()
        elif self._hangs:
            return
        await asyncio.to_thread(self._look.join, _PATIENCE)
        hung, self._hangs = self._hangs, self._look.is_alive()
        if self._hangs and not hung:
            _log.error("keys_file_hangs", problem=f"{self._file} does not answer; the keys read before stay valid")

    def _read_again(self) -> None:
        assert self._file is not None
        try:
            if (stamp := _stamp(self._file)) == self._seen:
                return
            found = _read_file(self._file)
        except (ConfigurationError, OSError) as error:
            # A partly written file must not lock all callers out: keep the old keys until it is valid.
            problem = error.detail if isinstance(error, ConfigurationError) else f"{self._file}: {error.strerror}"
            if problem != self._problem:
                _log.error("keys_file_unreadable", problem=problem)
            self._problem = problem
            return
        self._seen, self._problem = stamp, ""
        if found != self._from_file:
            _log.info("keys_file_read", keys=len(found))
        self._from_file = found


def _stamp(file: Path) -> tuple[int, int, int]:
    """Return a value that changes with the file. Raises OSError."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_file(file: Path) -> tuple[ApiKey, ...]:
    remedy = f"; make it with: audit-gateway keys new --name NAME --scopes events:read --file {file}"
    return tuple(read_keys(read_text(file, "GATEWAY_API_KEYS_FILE", remedy), str(file)))


def sandbox_key() -> ApiKey:
    return ApiKey(SANDBOX_KEY, hash_of(SANDBOX_KEY), frozenset(SCOPES))


def append_key(file: Path, key: ApiKey) -> None:
    """Append `key` to the file, which is created for its owner only. Raises OSError."""
    # One write of one line in append mode: concurrent writers do not mix lines, and readers see whole lines.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        size = os.fstat(descriptor).st_size
        is_whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
        stream.write((("" if is_whole else "\n") + key.line() + "\n").encode())
