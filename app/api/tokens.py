"""JWT bearer tokens of one OIDC issuer, in addition to API keys.

Only signatures by asymmetric keys of the issuer's key set are accepted; a token's `alg` and `kid` select among them.
The reason of a refusal quotes nothing of the token.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from app.api.jwks import KeysOfFile, KeysOfUrl
from app.domain.caller import SCOPES, Caller
from app.domain.errors import Unauthenticated
from app.privacy.pseudonyms import Pseudonyms

#: Neither `none` nor HS, whose key would be the public key.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip

LEEWAY = 30  #: seconds by which clocks may differ
MAX_TOKEN = 16_384  #: characters

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")
_SUBJECT = re.compile(r"[A-Za-z0-9._@:|/+=-]{1,128}\Z")


class TokenRules(msgspec.Struct, frozen=True):
    """The claims of an accepted token. `sources_claim` None: tokens grant all sources."""

    issuer: str
    audience: str
    scopes_claim: str = "scope"
    sources_claim: str | None = None


class Tokens:
    """Verify tokens and return their callers. `clock` returns seconds since the epoch."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeysOfFile | KeysOfUrl,
        pseudonyms: Pseudonyms,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules, self._keys, self._pseudonyms, self._clock = rules, keys, pseudonyms, clock

    def takes(self, presented: str) -> bool:
        """Whether this has the form of a JWT; API keys contain no dot."""
        return _FORM.match(presented) is not None

    async def caller(self, token: str) -> Caller:
        """Return the token's caller. Raises Unauthenticated, IssuerUnavailable."""
        rules, header = self._rules, _header(token)
        alg, kid = header.get("alg"), header.get("kid")
        if alg not in ALGORITHMS:
            raise _refused("is not signed by an algorithm that is accepted here")
        if kid is not None and not isinstance(kid, str):
            raise _refused("names its key in no way that is known here")
        key = await self._keys.find(kid, alg)
        if key is None:
            raise _refused("is signed with a key that the issuer does not list")
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": rules.issuer},
            aud={"essential": True, "value": rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            claims = jwt.decode(token, key, algorithms=[alg]).claims
            registry.validate(claims)
        except ExpiredTokenError:
            raise _refused("has expired") from None
        except ClaimError as error:
            wrong = f"has the wrong {error.claim}, or none"
            raise _refused("is not valid yet" if error.claim == "nbf" else wrong) from None
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("does not bear the issuer's signature") from None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        rules, subject = self._rules, claims["sub"]  # a text, by the registry
        name = subject if _SUBJECT.match(subject) else self._pseudonyms.of(subject)
        scopes = _words(claims.get(rules.scopes_claim)) & set(SCOPES)
        sources = None if rules.sources_claim is None else _words(claims.get(rules.sources_claim))
        # Names of API keys contain no colon, so that a subject cannot use up a key's rate.
        expires = int(claims["exp"]) * 1_000_000
        return Caller(f"jwt:{name}", frozenset(scopes), sources, kind="token", expires=expires)

    async def aclose(self) -> None:
        await self._keys.aclose()


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise _refused("is too long")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise _refused("has no header")
    return header


def _words(value: Any) -> frozenset[str]:
    """Return the words of a claim, separated by spaces (RFC 8693, section 4.2) or a list; empty for other values."""
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(item for item in value if isinstance(item, str))
    return frozenset()


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"This token {why}.")
