"""JWT bearer tokens of one OIDC issuer, in addition to API keys. Refusals quote nothing of the token."""

from __future__ import annotations

import asyncio
import json
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import structlog
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet, RSAKey

from app.config import read_regular
from app.domain.caller import SCOPES, Caller
from app.domain.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from app.privacy.pseudonyms import Pseudonyms
from app.providers.http.network import Network, is_loopback

#: Neither `none` nor HS, whose key would be the public key.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip

LEEWAY = 30  #: seconds by which clocks may differ
MAX_TOKEN = 16_384  #: characters
TIMEOUT = 5.0  #: seconds for the whole key set
MAX_AGE = 600.0  #: seconds after which the keys are read again
GAP = 30.0  #: seconds, at least, from the end of one read to the next; 5 after a failure
_SUBJECT = re.compile(r"[A-Za-z0-9._@:|/+=-]{1,128}\Z")

_log = structlog.get_logger("gateway.tokens")


class Tokens:
    """Verify tokens of `issuer` for an `audience` and return their callers. `sources_claim` None: tokens grant all
    sources. `jwks` is an https URL or a file (RFC 7517).

    The keys are read again after MAX_AGE, and for an unknown key id, but not more often than every GAP seconds, because
    anyone can invent key ids. The old keys stay valid meanwhile: an issuer that is slow or unavailable locks out no
    caller whose key is known."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks: str,
        pseudonyms: Pseudonyms,
        *,
        scopes_claim: str = "scope",
        sources_claim: str | None = None,
        network: Network | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigurationError for an invalid file, and a URL that others on the network could intercept."""
        self._location, self._pseudonyms, self._timer = jwks, pseudonyms, timer
        self._scopes_claim, self._sources_claim = scopes_claim, sources_claim
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys = KeySet([])
        self._reading: asyncio.Task[None] | None = None
        self._stale_at = self._next_read = float("-inf")
        self._options: dict[str, Any] = {}
        if "://" not in jwks:
            try:
                self._keys = public_keys(json.loads(read_regular(Path(jwks))))
            except (OSError, ValueError) as error:
                what = f"GATEWAY_JWT_JWKS: {jwks} cannot be used ({type(error).__name__})."
                raise ConfigurationError(what) from None
            return
        url = httpx.URL(jwks)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise ConfigurationError("GATEWAY_JWT_JWKS: must be an https URL (http only on this machine) or a file.")
        self._options = {"transport": transport, **(network or Network()).client_options(jwks)}

    async def caller(self, token: str) -> Caller:
        """Return the token's caller. Raises Unauthenticated, IssuerUnavailable."""
        try:
            if len(token) > MAX_TOKEN:
                raise ValueError("too long")
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            keys = await self._current_keys(kid if isinstance(kid, str) else None)
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise Unauthenticated("This token has expired.") from None
        except ClaimError as error:
            what = "is not valid yet" if error.claim == "nbf" else f"has the wrong {error.claim}, or none"
            raise Unauthenticated(f"This token {what}.") from None
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthenticated("This token is not signed by a key of the issuer.") from None
        subject = claims["sub"]  # a text, by the registry
        name = subject if _SUBJECT.match(subject) else self._pseudonyms.of(subject)
        scopes = _words(claims.get(self._scopes_claim)) & set(SCOPES)
        sources = None if self._sources_claim is None else _words(claims.get(self._sources_claim))
        # Names of API keys contain no colon, so that a subject cannot use up a key's rate.
        return Caller(f"jwt:{name}", scopes, sources, kind="token", expires=int(claims["exp"]) * 1_000_000)

    async def _current_keys(self, kid: str | None) -> KeySet:
        """Return the keys, after at most TIMEOUT if there is none of this id. Raises IssuerUnavailable without any."""
        is_unknown = not self._keys or (kid is not None and all(key.kid != kid for key in self._keys))
        now = self._timer()
        is_idle = self._reading is None or self._reading.done()
        if is_idle and now >= self._next_read and (is_unknown or now > self._stale_at):
            self._reading = asyncio.create_task(self._read())
        if is_unknown and self._reading is not None:
            # The task continues for the others if this caller disconnects.
            await asyncio.wait([self._reading])
        if not self._keys:
            raise IssuerUnavailable("The issuer's keys are unavailable at present; API keys still work.")
        return self._keys

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                if self._options:
                    async with httpx.AsyncClient(**self._options) as client:
                        document = (await client.get(self._location)).raise_for_status().json()
                else:
                    document = json.loads(await asyncio.to_thread(read_regular, Path(self._location)))
            self._keys = public_keys(document)
            self._next_read, self._stale_at = self._timer() + GAP, self._timer() + MAX_AGE
        except Exception as error:  # the old keys stay; the error's text may quote the document
            self._next_read = self._timer() + GAP / 6
            _log.error("jwks_unavailable", problem=type(error).__name__)

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])


def public_keys(document: Any) -> KeySet:
    """Return the keys of a JWKS that may verify tokens. Raises ValueError without any."""
    keys: list[Key] = []
    for entry in document["keys"] if isinstance(document, dict) and isinstance(document.get("keys"), list) else ():
        ignored = JoseError, ValueError, TypeError, KeyError, OverflowError
        with suppress(*ignored), warnings.catch_warnings(action="ignore"):  # of weak keys
            key = JWKRegistry.import_key(entry)
            # With a secret (oct), every reader of the set could sign.
            if key.key_type != "oct" and not (isinstance(key, RSAKey) and key.public_key.key_size < 2048):
                keys.append(key)
    if not keys:
        raise ValueError("no public RSA, EC or OKP key")
    return KeySet(keys)


def _words(value: Any) -> frozenset[str]:
    """Return the words of a claim, separated by spaces (RFC 8693, section 4.2) or a list; empty for other values."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return frozenset(word for word in words if isinstance(word, str))
