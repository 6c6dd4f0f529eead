"""API keys: how they are made, kept and looked up.

A key is `agw_` and 43 URL-safe characters: 256 random bits. Such a key cannot be guessed from its hash,
however fast the hash is, so plain SHA-256 is the right one; slow hashes are for passwords that people choose,
and would let a caller burn our CPU with wrong keys.

The file holds one JSON object a line:

    {"name":"reporting","hash":"<64 hex digits>","scopes":["events:read"],"sources":null,"rate":null,
     "expires":null}

GATEWAY_API_KEYS holds the same objects, one a line, or short forms separated by commas or line ends:
`name:hash:scope+scope`, such as `reporting:9f86…:events:read+pii:read`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from app.api.background import BackgroundCall
from app.domain.caller import RATE, SCOPES, Caller
from app.domain.errors import ConfigurationError, Unauthenticated
from app.domain.files import read_small
from app.domain.times import format_seconds, now_micros, parse_rfc3339

PREFIX = "agw_"
SANDBOX_KEY = "sandbox"  #: opens emulated data only; see `app.config.load_configuration`

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_REST = 1_000_000  #: µs that a keys' file must be unchanged before a key that is gone from it is refused
_PATIENCE, _START_PATIENCE = 0.25, 10.0  #: seconds to wait for the keys file: in a call, at start
_FIELDS = ("name", "hash", "scopes", "sources", "rate", "expires")

_log = structlog.get_logger("gateway.keys")


class ApiKey(msgspec.Struct, frozen=True):
    """One key's grants. `expires` in µs since the epoch; `sources` None: all; `rate` as `600/minute`."""

    name: str
    hash: str
    scopes: frozenset[str]
    sources: frozenset[str] | None = None
    rate: str | None = None
    expires: int | None = None

    @property
    def caller(self) -> Caller:
        return Caller(self.name, self.scopes, self.sources, self.rate, expires=self.expires)

    def line(self) -> str:
        """The key as a line of the file, without the line end."""
        fields = {
            "name": self.name,
            "hash": self.hash,
            "scopes": sorted(self.scopes),
            "sources": None if self.sources is None else sorted(self.sources),
            "rate": self.rate,
            "expires": None if self.expires is None else format_seconds(self.expires),
        }
        return json.dumps(fields, separators=(",", ":"))


def new_key() -> str:
    """A fresh key. It is shown once and kept nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def make_api_key(
    name: Any, hash: Any, scopes: Any, sources: Any = None, rate: Any = None, expires: Any = None
) -> ApiKey:
    """An ApiKey of untrusted values. Raises ValueError with a sentence that names the field."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError("name must be 1 to 64 letters, digits, dots, dashes, underscores or @")
    if not isinstance(hash, str) or not _HASH.match(hash):
        raise ValueError("hash must be 64 lower-case hex digits, as `audit-gateway keys new` writes them")
    granted = _names("scopes", scopes)
    if unknown := sorted(granted - set(SCOPES)):
        raise ValueError(f"scopes has {unknown[0]!r}, which is none; there are {', '.join(SCOPES)}")
    if rate is not None and not (isinstance(rate, str) and RATE.match(rate)):
        raise ValueError("rate must be such as 600/minute (second, minute, hour or day)")
    if expires is not None:
        try:
            expires = parse_rfc3339(expires)
        except (TypeError, ValueError):
            raise ValueError("expires must be a date-time with an offset, or a date, such as 2027-01-01") from None
    return ApiKey(name, hash, granted, None if sources is None else _names("sources", sources), rate, expires)


def _names(field: str, value: Any) -> frozenset[str]:
    if not isinstance(value, (list, tuple, frozenset)) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{field} must be a list of at least one name")
    return frozenset(value)


def read_keys(text: str, where: str) -> list[ApiKey]:
    """The keys of a file's or variable's text. Raises ConfigurationError naming `where` and the line."""
    keys: list[ApiKey] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        for entry in [line] if line.startswith("{") else line.split(","):
            try:
                keys.append(_from_json(entry) if entry.startswith("{") else _from_short_form(entry.strip()))
            except ValueError as error:
                raise ConfigurationError(f"{where}, line {number}: {error}.") from None
    return keys


def _from_json(entry: str) -> ApiKey:
    try:
        fields = json.loads(entry)
    except ValueError:
        raise ValueError("is no JSON object; write keys with `audit-gateway keys new`") from None
    if unknown := sorted(set(fields) - set(_FIELDS)):
        # Ignoring a grant's restriction, misspelt, would widen it.
        raise ValueError(f"{unknown[0]!r} is no field of a key; there are {', '.join(_FIELDS)}")
    if missing := [field for field in _FIELDS[:3] if field not in fields]:
        raise ValueError(f"{missing[0]} is missing")
    return make_api_key(**fields)


def _from_short_form(entry: str) -> ApiKey:
    name, _, rest = entry.partition(":")
    digest, _, scopes = rest.partition(":")
    if not scopes:
        raise ValueError("must be a JSON object or name:hash:scope+scope")
    return make_api_key(name, digest, scopes.split("+"))


class Keyring:
    """All keys there are. The file is read again when it changes: keys come and go without a restart."""

    def __init__(
        self,
        keys: Iterable[ApiKey] = (),
        file: Path | None = None,
        clock: Callable[[], int] = now_micros,
    ) -> None:
        """Raises ConfigurationError when the file cannot be read or holds a line that is wrong."""
        self._fixed = tuple(keys)
        self._file = file
        self._clock = clock
        self._seen: object = None  # the file's stamp as it was read last
        self._complained: object = None  # and that of one that could not be read, once that is told
        self._from_file: tuple[ApiKey, ...] = ()
        self._reading = BackgroundCall(self._check)
        self._hangs = False
        if file is not None and not BackgroundCall(lambda: self._load(file)).run(_START_PATIENCE):
            raise ConfigurationError(f"GATEWAY_API_KEYS_FILE: {file} does not answer: its file system hangs.")

    @property
    def keys(self) -> Sequence[ApiKey]:
        return (*self._fixed, *self._from_file)

    def caller(self, key: str) -> Caller:
        """Who holds `key`. Raises Unauthenticated for a key that is unknown or has expired."""
        self._refresh()
        digest = hash_of(key)
        found: ApiKey | None = None
        for candidate in self.keys:
            # Every key is compared, in constant time each: how long it takes says nothing about which one
            # matched.
            if hmac.compare_digest(candidate.hash, digest):
                found = candidate
        if found is None:
            raise Unauthenticated("This API key is not known here; ask the gateway's operator for one.")
        if found.expires is not None and found.expires <= self._clock():
            raise Unauthenticated("This API key has expired; ask the gateway's operator for a new one.")
        return found.caller

    def _load(self, file: Path) -> None:
        self._seen, self._from_file = self._stamp(file), _read_file(file)

    def _refresh(self) -> None:
        """Look at the file on another thread: a file system that hangs delays one call, and the keys stay good."""
        if self._file is None:
            return
        answered = self._reading.run(_PATIENCE)
        if not answered and not self._hangs:
            _log.error("keys_file_hangs", problem=f"{self._file} does not answer; the keys read before stay valid")
        self._hangs = not answered

    def _check(self) -> None:
        assert self._file is not None
        stamp = self._stamp(self._file)
        if stamp == self._seen:
            return
        try:
            found = _read_file(self._file)
        except ConfigurationError as error:
            # An editor's half-written file must not lock everybody out; the keys stay as they were until it
            # is right. Its stamp need not change for that: a mode is mended, a disk comes back.
            if stamp != self._complained:
                _log.error("keys_file_unreadable", problem=error.detail)
            self._seen, self._complained = None, stamp
            return
        self._seen, self._complained = stamp, None
        if self._is_fresh(self._file):
            # It may be half of what is being written, cut off behind a line: new keys are good at once, but none is
            # taken away until the file has rested, so that it is read once more then.
            kept = {key.hash for key in found}
            found = (*found, *(key for key in self._from_file if key.hash not in kept))
            self._seen = None
        if found != self._from_file:
            _log.info("keys_file_read", keys=len(found))
        self._from_file = found

    def _is_fresh(self, file: Path) -> bool:
        try:
            age = self._clock() - os.stat(file).st_mtime_ns // 1000
        except OSError:
            return True
        return 0 <= age < _REST

    @staticmethod
    def _stamp(file: Path) -> object:
        try:
            status = os.stat(file)
        except OSError as error:
            return error.errno
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read_file(file: Path) -> tuple[ApiKey, ...]:
    try:
        text = read_small(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(
            f"GATEWAY_API_KEYS_FILE: {file} cannot be read ({reason});"
            f" make it with: audit-gateway keys new --name NAME --scopes events:read --file {file}"
        ) from None
    return tuple(read_keys(text, str(file)))


def sandbox_key() -> ApiKey:
    return ApiKey(SANDBOX_KEY, hash_of(SANDBOX_KEY), frozenset(SCOPES))


def append_key(file: Path, key: ApiKey) -> None:
    """Add `key` to the file; where there is none it is made, for its owner only. Raises OSError."""
    # One write of one line in append mode: two operators at a time cannot mix theirs, nor can a reader see
    # half of it.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        unfinished = False
        if size:
            stream.seek(-1, os.SEEK_END)
            unfinished = stream.read(1) != b"\n"
        stream.write((("\n" if unfinished else "") + key.line() + "\n").encode())
