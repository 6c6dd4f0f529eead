"""JWT bearer tokens of one OIDC issuer: the second way in, beside API keys.

Only signatures of asymmetric keys count, and only of keys that the issuer's key set holds: what a token says of
itself (`alg`, `kid`) chooses among those and never adds to them. Why a token is refused is told in words of ours;
nothing of the token is repeated.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from joserfc import jwt
from joserfc.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import ECKey, OKPKey, RSAKey

from app.domain.caller import SCOPES, Caller
from app.domain.errors import Unauthenticated
from app.privacy.pseudonyms import Pseudonyms

#: Never `none`, and never an HS: whoever knows a public key could sign with it.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip

LEEWAY = 30  #: seconds by which clocks may differ
MAX_TOKEN = 16_384  #: characters

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")
_SUBJECT = re.compile(r"[A-Za-z0-9._@:|/+=-]{1,128}\Z")

Key = RSAKey | ECKey | OKPKey


class Keys(Protocol):
    """Where the issuer's keys come from; see `app.api.jwks`."""

    async def find(self, kid: str | None, alg: str) -> Key | None:
        """The key for a token's header; None where there is none, or more than one. Raises IssuerUnavailable."""

    async def aclose(self) -> None: ...


class TokenRules(msgspec.Struct, frozen=True):
    """What a token must say. `sources_claim` None: tokens grant all sources."""

    issuer: str
    audience: str
    scopes_claim: str = "scope"
    sources_claim: str | None = None


class Tokens:
    """Turns tokens into callers. `clock` gives seconds since the epoch."""

    def __init__(
        self, rules: TokenRules, keys: Keys, pseudonyms: Pseudonyms, clock: Callable[[], float] = time.time
    ) -> None:
        self._rules, self._keys, self._pseudonyms, self._clock = rules, keys, pseudonyms, clock

    def takes(self, presented: str) -> bool:
        """Whether this is a JWT by its looks; no API key has a dot in it."""
        return _FORM.match(presented) is not None

    async def caller(self, token: str) -> Caller:
        """Whom the token is of. Raises Unauthenticated, IssuerUnavailable."""
        header = _header(token)
        alg, kid = header.get("alg"), header.get("kid")
        if alg not in ALGORITHMS:
            raise _refused("is not signed by an algorithm that is accepted here")
        if kid is not None and not isinstance(kid, str):
            raise _refused("names its key in no way that is known here")
        key = await self._keys.find(kid, alg)
        if key is None:
            raise _refused("is signed with a key that the issuer does not list")
        try:
            claims = jwt.decode(token, key, algorithms=[alg]).claims
            registry = jwt.JWTClaimsRegistry(
                now=int(self._clock()),
                leeway=LEEWAY,
                iss={"essential": True, "value": self._rules.issuer},
                aud={"essential": True, "value": self._rules.audience},
                exp={"essential": True},
                sub={"essential": True},
            )
            registry.validate(claims)
        except ExpiredTokenError:
            raise _refused("has expired") from None
        except (MissingClaimError, InvalidClaimError) as error:
            claim = _claim(error)
            raise _refused("is not valid yet" if claim == "nbf" else f"has the wrong {claim}, or none") from None
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("does not bear the issuer's signature") from None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        rules, subject = self._rules, claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise _refused("has the wrong sub, or none")
        name = subject if _SUBJECT.match(subject) else self._pseudonyms.of(subject)
        scopes = _words(claims.get(rules.scopes_claim)) & set(SCOPES)
        sources = None if rules.sources_claim is None else _words(claims.get(rules.sources_claim))
        # No API key's name has a colon: a token's subject is never taken for one, and has a rate of its own.
        expires = int(claims["exp"]) * 1_000_000
        return Caller(f"jwt:{name}", frozenset(scopes), sources, kind="token", expires=expires)

    async def aclose(self) -> None:
        await self._keys.aclose()


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise _refused("is too long")
    encoded = token.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused("has no header")
    return found


def _words(value: Any) -> frozenset[str]:
    """A claim's words: a text with spaces between (RFC 8693, section 4.2) or a list. Nothing else grants anything."""
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(item for item in value if isinstance(item, str))
    return frozenset()


def _claim(error: JoseError) -> str:
    claim = getattr(error, "claim", None)
    return claim if claim in ("iss", "aud", "exp", "nbf", "iat", "sub") else "claim"


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"This token {why}.")
