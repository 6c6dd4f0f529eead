"""The public keys of a token issuer (JWKS, RFC 7517), from a file or a URL.

joserfc parses keys but does not fetch them. This module prevents that invented key ids cause calls to the issuer, and
that a slow, broken or unavailable issuer locks out callers with known keys (`tests/api/test_jwks.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jwk import KeySet as Jwks

from app.domain.errors import ConfigurationError, IssuerUnavailable
from app.domain.files import read_small
from app.domain.hosts import is_loopback
from app.providers.http.network import Network
from app.providers.http.response import read_bounded

MAX_BYTES = 1024 * 1024
MAX_KEYS = 100
TIMEOUT = 5.0  #: seconds for the whole response
MAX_AGE = 600.0  #: seconds after which the keys are fetched again
GAP = 30.0  #: seconds, at least, from the end of one fetch to the next
GAP_AFTER_FAILURE = 5.0  #: the same, after a fetch that failed
_MIN_RSA = 2048  #: bits
#: Members of a public key; members of a private key are dropped.
_PUBLIC = ("kty", "use", "alg", "kid", "n", "e", "crv", "x", "y")

Key = RSAKey | ECKey | OKPKey

_log = structlog.get_logger("gateway.jwks")


class KeySet:
    """The keys of one JWKS document that may sign tokens."""

    def __init__(self, document: Any) -> None:
        """Raises ValueError, without quotes, for any other document."""
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("it is no JSON object with a list of keys")
        self._keys = [key for entry in listed[:MAX_KEYS] if (key := _key(entry)) is not None]
        if not self._keys:
            raise ValueError("it holds no public RSA, EC or OKP key for signatures")

    def find(self, kid: str | None, alg: str) -> Key | None:
        """Return the one matching key; None for no match, or for several, as a token without a `kid` may have."""
        types = Jwks.algorithm_keys[alg]
        named = [key for key in self._keys if key.key_type in types and kid in (None, key.get("kid"))]
        matches = [key for key in named if key.get("alg") in (None, alg)]
        return matches[0] if len(matches) == 1 else None


def _key(entry: Any) -> Key | None:
    """Return None for a key that must not verify tokens, such as a secret (oct), with which every reader could sign."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weak keys, which are dropped below
            key = JWKRegistry.import_key({name: entry[name] for name in _PUBLIC if name in entry})
        if isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA:
            return None
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return key if isinstance(key, Key) and key.get("use") in (None, "sig") else None


class KeysOfFile:
    """A JWKS file, read again when it changes. An unreadable file leaves the keys unchanged."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigurationError for an invalid file."""
        self._file, self._stamp, self._problem = file, (0, 0, 0), ""
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"GATEWAY_JWT_JWKS: {file} cannot be used ({_reason(error)}).") from None

    async def find(self, kid: str | None, alg: str) -> Key | None:
        problem = ""
        try:
            self._read()
        except (OSError, ValueError) as error:
            problem = _reason(error)
            if problem != self._problem:  # once, not for each token
                _log.error("jwks_file_unreadable", problem=problem)
        self._problem = problem
        return self._keys.find(kid, alg)

    def _read(self) -> None:
        status = self._file.stat()
        if (stamp := (status.st_mtime_ns, status.st_size, status.st_ino)) != self._stamp:
            self._keys, self._stamp = KeySet(json.loads(read_small(self._file))), stamp

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
        """Raises ConfigurationError for a URL that others on the network could intercept."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ConfigurationError("GATEWAY_JWT_JWKS: must be an https URL (http only on this machine) or a file.")
        options = (network or Network()).client_options(url)
        self._client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, follow_redirects=False, **options)
        self._url, self._timer = url, timer
        self._keys: KeySet | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._stale_at = self._next_fetch = float("-inf")

    async def find(self, kid: str | None, alg: str) -> Key | None:
        """Return the key. Waits for the issuer, at most `TIMEOUT`, only for a key that is not known. Raises
        IssuerUnavailable without any keys."""
        found = None if self._keys is None else self._keys.find(kid, alg)
        if self._keys is None or (found is None and kid is not None):
            self._fetch_if_due()
            if self._fetching is not None:
                # Shielded: a disconnecting caller must not cancel the task for the others.
                await asyncio.wait([self._fetching])
            if self._keys is None:
                raise IssuerUnavailable("The issuer's keys cannot be had at present; API keys still work.")
            return self._keys.find(kid, alg)
        if self._timer() > self._stale_at:
            self._fetch_if_due()
        return found

    def _fetch_if_due(self) -> None:
        if (self._fetching is None or self._fetching.done()) and self._timer() >= self._next_fetch:
            self._fetching = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        gap = GAP_AFTER_FAILURE
        try:
            async with asyncio.timeout(TIMEOUT):
                self._keys = KeySet(json.loads(await self._fetch()))
            gap, self._stale_at = GAP, self._timer() + MAX_AGE
        except Exception as error:  # the old keys stay
            _log.error("jwks_unavailable", problem=_reason(error))
        finally:
            self._next_fetch = self._timer() + gap

    async def _fetch(self) -> bytes:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != 200:
                raise ValueError(f"it answered {response.status_code}")
            return await read_bounded(response.aiter_raw(), MAX_BYTES)

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._client.aclose()


def _reason(error: Exception) -> str:
    """Return the reason without a library's text, which may quote the document."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return str(error)
    return type(error).__name__
