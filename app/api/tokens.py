"""JWT bearer tokens of one OIDC issuer, in addition to API keys.

Only signatures by asymmetric keys of the issuer's key set are accepted; a token's `alg` and `kid` select among them.
The reason of a refusal quotes nothing of the token.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, JWKRegistry, KeySet, OKPKey, RSAKey

from app.domain.caller import SCOPES, Caller
from app.domain.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from app.domain.files import read_small
from app.privacy.pseudonyms import Pseudonyms
from app.providers.http.network import Network, is_loopback
from app.providers.http.response import read_bounded

#: Neither `none` nor HS, whose key would be the public key.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip

LEEWAY = 30  #: seconds by which clocks may differ
MAX_TOKEN = 16_384  #: characters
MAX_BYTES = 1024 * 1024  #: of a key set
TIMEOUT = 5.0  #: seconds for the whole key set
MAX_AGE = 600.0  #: seconds after which the keys are read again
GAP = 30.0  #: seconds, at least, from the end of one read to the next
GAP_AFTER_FAILURE = 5.0  #: the same, after a read that failed
_MIN_RSA = 2048  #: bits
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")
_SUBJECT = re.compile(r"[A-Za-z0-9._@:|/+=-]{1,128}\Z")

Key = RSAKey | ECKey | OKPKey

_log = structlog.get_logger("gateway.tokens")


class IssuerKeys:
    """The issuer's public keys (JWKS, RFC 7517), from an https URL or a file.

    They are read again after MAX_AGE, and for an unknown key id, but not more often than every GAP seconds, because
    anyone can invent key ids. The old keys stay valid meanwhile: an issuer that is slow or unavailable locks out no
    caller whose key is known."""

    def __init__(
        self,
        location: str,
        *,
        network: Network | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigurationError for an invalid file, and a URL that others on the network could intercept."""
        self._location, self._timer = location, timer
        self._keys: list[Key] = []
        self._reading: asyncio.Task[None] | None = None
        self._stale_at = self._next_read = float("-inf")
        self._client: httpx.AsyncClient | None = None
        if "://" in location:
            parts = urlsplit(location)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
                raise ConfigurationError(
                    "GATEWAY_JWT_JWKS: must be an https URL (http only on this machine) or a file."
                )
            options = (network or Network()).client_options(location)
            self._client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, **options)
            return
        try:
            self._keys = public_keys(read_small(Path(location)))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"GATEWAY_JWT_JWKS: {location} cannot be used ({_reason(error)}).") from None

    async def find(self, kid: str | None, alg: str) -> Key | None:
        """Return the one key for a token; None for no such key, or for several, as a token without a `kid` may have.
        Waits, at most TIMEOUT, only if the key is unknown. Raises IssuerUnavailable without any keys."""
        key = self._match(kid, alg)
        is_unknown, now = not self._keys or (key is None and kid is not None), self._timer()
        is_idle = self._reading is None or self._reading.done()
        if is_idle and now >= self._next_read and (is_unknown or now > self._stale_at):
            self._reading = asyncio.create_task(self._read())
        if is_unknown and self._reading is not None:
            # The task continues for the others if this caller disconnects.
            await asyncio.wait([self._reading])
            key = self._match(kid, alg)
        if not self._keys:
            raise IssuerUnavailable("The issuer's keys are unavailable at present; API keys still work.")
        return key

    def _match(self, kid: str | None, alg: str) -> Key | None:
        types = KeySet.algorithm_keys[alg]
        fitting = [key for key in self._keys if key.key_type in types and key.get("alg") in (None, alg)]
        named = [key for key in fitting if kid in (None, key.get("kid"))]
        return named[0] if len(named) == 1 else None

    async def _read(self) -> None:
        gap = GAP_AFTER_FAILURE
        try:
            async with asyncio.timeout(TIMEOUT):
                self._keys = public_keys(await self._content())
            gap, self._stale_at = GAP, self._timer() + MAX_AGE
        except Exception as error:  # the old keys stay
            _log.error("jwks_unavailable", problem=_reason(error))
        finally:
            self._next_read = self._timer() + gap

    async def _content(self) -> bytes:
        if self._client is None:
            return await asyncio.to_thread(read_small, Path(self._location))
        async with self._client.stream("GET", self._location, headers={"accept-encoding": "identity"}) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            return await read_bounded(response.aiter_raw(), MAX_BYTES)

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._client is not None:
            await self._client.aclose()


def public_keys(content: bytes) -> list[Key]:
    """Return the keys of a JWKS that may verify tokens, at least one. Raises ValueError, without quotes."""
    document = json.loads(content)
    if not isinstance(document, dict) or not isinstance(listed := document.get("keys"), list):
        raise ValueError("it is no JSON object with a list of keys")
    keys = [key for entry in listed if (key := _public_key(entry)) is not None]
    if not keys:
        raise ValueError("it holds no public RSA, EC or OKP key for signatures")
    return keys


def _public_key(entry: Any) -> Key | None:
    """Return None for a key that must not verify tokens, such as a secret (oct), with which every reader could sign."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weak keys, which are dropped below
            key = JWKRegistry.import_key(entry)
        is_weak = isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return key if isinstance(key, Key) and not is_weak and key.get("use") in (None, "sig") else None


def _reason(error: Exception) -> str:
    """Return the reason without a library's text, which may quote the document."""
    return str(error) if type(error) is ValueError else type(error).__name__


class Tokens:
    """Verify tokens for an `audience` and return their callers. `sources_claim` None: tokens grant all sources."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: IssuerKeys,
        pseudonyms: Pseudonyms,
        *,
        scopes_claim: str = "scope",
        sources_claim: str | None = None,
    ) -> None:
        self._keys, self._pseudonyms = keys, pseudonyms
        self._scopes_claim, self._sources_claim = scopes_claim, sources_claim
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self.aclose = keys.aclose

    def takes(self, presented: str) -> bool:
        """Whether this has the form of a JWT; API keys contain no dot."""
        return _FORM.match(presented) is not None

    async def caller(self, token: str) -> Caller:
        """Return the token's caller. Raises Unauthenticated, IssuerUnavailable."""
        alg, kid = _algorithm_and_key(token)
        if (key := await self._keys.find(kid, alg)) is None:
            raise _refused("is signed with a key that the issuer does not list")
        try:
            claims = jwt.decode(token, key, algorithms=[alg]).claims
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise _refused("has expired") from None
        except ClaimError as error:
            wrong = f"has the wrong {error.claim}, or none"
            raise _refused("is not valid yet" if error.claim == "nbf" else wrong) from None
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("does not bear the issuer's signature") from None
        subject = claims["sub"]  # a text, by the registry
        name = subject if _SUBJECT.match(subject) else self._pseudonyms.of(subject)
        scopes = _words(claims.get(self._scopes_claim)) & set(SCOPES)
        sources = None if self._sources_claim is None else _words(claims.get(self._sources_claim))
        # Names of API keys contain no colon, so that a subject cannot use up a key's rate.
        return Caller(f"jwt:{name}", scopes, sources, kind="token", expires=int(claims["exp"]) * 1_000_000)


def _algorithm_and_key(token: str) -> tuple[str, str | None]:
    """Return `alg` and `kid` of a token's header. Raises Unauthenticated."""
    if len(token) > MAX_TOKEN:
        raise _refused("is too long")
    try:
        header: Any = jws.extract_compact(token.encode()).headers()
        alg, kid = header.get("alg"), header.get("kid")
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise _refused("has no header") from None
    if alg not in ALGORITHMS:
        raise _refused("is not signed by an algorithm that is accepted here")
    if kid is not None and not isinstance(kid, str):
        raise _refused("has an invalid key id")
    return alg, kid


def _words(value: Any) -> frozenset[str]:
    """Return the words of a claim, separated by spaces (RFC 8693, section 4.2) or a list; empty for other values."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return frozenset(word for word in words if isinstance(word, str))


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"This token {why}.")
