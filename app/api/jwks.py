"""An issuer's public keys (JWKS, RFC 7517), from a URL or a file: bounded, kept, and asked for again when a token names
a key that is not among them, but not as often as somebody may make up names.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from app.api.tokens import Key
from app.domain.errors import ConfigurationError, IssuerUnavailable
from app.domain.hosts import is_loopback
from app.providers.http.network import Network

MAX_BYTES = 1024 * 1024
MAX_KEYS = 100
TIMEOUT = 5.0  #: seconds for the whole answer
MAX_AGE = 600.0  #: seconds after which the keys are asked for again
GAP = 30.0  #: seconds at least from the end of one asking to the next
GAP_AFTER_FAILURE = 5.0  #: the same, where the last one failed

_KINDS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_MIN_RSA = 2048  #: bits

_log = structlog.get_logger("gateway.jwks")


class KeySet:
    """The keys of one JWKS document that may sign tokens."""

    def __init__(self, document: Any) -> None:
        """Raises ValueError, with a sentence that quotes nothing, for what is no JWKS document."""
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("it is no JSON object with a list of keys")
        self._keys = [key for entry in listed[:MAX_KEYS] if (key := _key(entry)) is not None]
        if not self._keys:
            raise ValueError("it holds no public RSA, EC or OKP key for signatures")

    def find(self, kid: str | None, alg: str) -> Key | None:
        """The one key that fits; None where none does, or where a token without a `kid` leaves it open."""
        family = _FAMILIES[alg[:2]]
        fitting = [
            key
            for key in self._keys
            if key.key_type == family and (kid is None or key.get("kid") == kid) and key.get("alg") in (None, alg)
        ]
        return fitting[0] if len(fitting) == 1 else None


def _key(entry: Any) -> Key | None:
    kind = _KINDS.get(str(entry.get("kty"))) if isinstance(entry, dict) else None
    if kind is None or entry.get("use") not in (None, "sig"):
        return None  # secrets (oct) above all: a key that everybody can read must not sign
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weak keys, which are left out below
            found = kind.import_key({name: value for name, value in entry.items() if name in _PUBLIC})
            strong = not isinstance(found, RSAKey) or found.public_key.key_size >= _MIN_RSA
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return found if strong else None


#: Members of a public key; a private one's are left out, should an issuer ever show them.
_PUBLIC = ("kty", "use", "alg", "kid", "n", "e", "crv", "x", "y")


class KeysOfFile:
    """A JWKS file, read again when it changes; while it cannot be read, the keys stay as they were."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigurationError when the file is none."""
        self._file = file
        self._told = ""  # why it cannot be read, once that is in the log
        try:
            self._stamp, self._keys = self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"GATEWAY_JWT_JWKS: {file} cannot be used ({_why(error)}).") from None

    async def find(self, kid: str | None, alg: str) -> Key | None:
        try:
            if _stamp(self._file) != self._stamp:
                self._stamp, self._keys = self._read()
            self._told = ""
        except (OSError, ValueError) as error:
            if (why := _why(error)) != self._told:
                _log.error("jwks_file_unreadable", problem=why)
            self._told = why
        return self._keys.find(kid, alg)

    def _read(self) -> tuple[object, KeySet]:
        stamp = _stamp(self._file)
        with self._file.open("rb") as stream:
            return stamp, KeySet(json.loads(stream.read(MAX_BYTES)))

    async def aclose(self) -> None:
        return None


class KeysOfUrl:
    """The keys behind a URL. `transport` is the seam for tests; `timer` a monotonic clock in seconds."""

    def __init__(
        self,
        url: str,
        *,
        network: Network | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigurationError for a URL that others on the network could answer for."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ConfigurationError("GATEWAY_JWT_JWKS: must be an https URL (http only on this machine) or a file.")
        self._url, self._timer = url, timer
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=TIMEOUT,
            follow_redirects=False,
            **(network or Network()).client_options(url),
        )
        self._keys: KeySet | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._read_at = self._ended_at = float("-inf")
        self._failed = False

    async def find(self, kid: str | None, alg: str) -> Key | None:
        """Waits for the issuer, for `TIMEOUT` at most, only where the keys that are held do not have the one that is
        named. Raises IssuerUnavailable where there are no keys yet and none can be had."""
        if self._keys is None:
            await self._wait_for_fetch()
        elif self._timer() - self._read_at > MAX_AGE:
            self._begin_to_fetch()
        if self._keys is None:
            raise IssuerUnavailable("The issuer's keys cannot be had at present; API keys still work.")
        found = self._keys.find(kid, alg)
        if found is None and kid is not None:
            await self._wait_for_fetch()
            found = self._keys.find(kid, alg)
        return found

    async def _wait_for_fetch(self) -> None:
        self._begin_to_fetch()
        if self._fetching is not None:
            # Not the task itself: who hangs up must not stop it for the others.
            await asyncio.wait([self._fetching])

    def _begin_to_fetch(self) -> None:
        """Unless it is under way, or was so a moment ago."""
        gap = GAP_AFTER_FAILURE if self._failed else GAP
        if (self._fetching is None or self._fetching.done()) and self._timer() - self._ended_at >= gap:
            self._fetching = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                self._keys = KeySet(json.loads(await self._fetch()))
        except Exception as error:
            # The old keys stay good: an issuer that is away for a while must not lock everybody out.
            self._failed = True
            _log.error("jwks_unavailable", problem=_why(error))
        else:
            self._failed, self._read_at = False, self._timer()
        finally:
            self._ended_at = self._timer()

    async def _fetch(self) -> bytes:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != 200:
                raise ValueError(f"it answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError(f"it is larger than {MAX_BYTES} bytes")
            return bytes(body)

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._client.aclose()


def _stamp(file: Path) -> object:
    status = os.stat(file)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _why(error: Exception) -> str:
    """Without a library's own sentence, which may quote what was read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError) and not isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return str(error)
    return type(error).__name__
