"""Authentication, authorization and rates of callers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, Request
from limits import parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.api.api_keys import Keyring, read_keys, sandbox_key
from app.api.request_log import request_log
from app.api.tokens import Tokens
from app.config import Settings, read_environment
from app.domain.caller import SCOPES, Caller
from app.domain.errors import ConfigurationError, Forbidden, RateLimited, Unauthenticated
from app.providers.http.network import Network, is_loopback
from app.providers.shared import SharedState

#: IPv4 or IPv6 addresses, in no case host names.
_ADDRESS = re.compile(r"[\d.]+\Z|[\da-f.]*:[\da-f:.]*\Z")

CHALLENGE = 'Bearer realm="audit-gateway"'

_ANONYMOUS = Caller("anonymous", frozenset(SCOPES), kind="none")


class Authenticator:
    """Return the Caller of a request. Without a `keyring`, authentication is off and every caller has all scopes. With
    `tokens`, JWTs are accepted, too.
    """

    def __init__(self, keyring: Keyring | None, rates: Rates | None = None, tokens: Tokens | None = None) -> None:
        self.keyring = keyring
        self.rates = rates or Rates()
        self.tokens = tokens

    async def identify(self, request: Request) -> Caller:
        """Raises Unauthenticated, IssuerUnavailable; with authentication off, Forbidden for a request from
        outside loopback.
        """
        if self.keyring is None:
            # `serve` has checked that it listens on loopback. This also refuses requests if another server runs the
            # application, and web pages that use DNS rebinding: their host names contain a dot, `localhost` does not.
            address = (request.scope.get("server") or ("",))[0] or ""
            if _ADDRESS.match(address) and not is_loopback(address):
                raise Forbidden("GATEWAY_AUTH is off, and this request came in on an address that is not loopback.")
            name = request.url.hostname or ""
            if "." in name and not is_loopback(name) and not name.endswith(".localhost"):
                raise Forbidden("GATEWAY_AUTH is off, and the Host header names another machine; use 127.0.0.1.")
            return _ANONYMOUS
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        presented = token.strip() if scheme.lower() == "bearer" else ""
        presented = presented or request.headers.get("x-api-key", "").strip()
        if not presented:
            raise Unauthenticated("An API key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
        if self.tokens is not None and presented.count(".") == 2:  # a JWT; API keys contain no dot
            return await self.tokens.caller(presented)
        return await self.keyring.caller(presented)

    async def aclose(self) -> None:
        if self.tokens is not None:
            await self.tokens.aclose()


def requires(scope: str | None) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that returns the Caller, or raises Unauthenticated, RateLimited, or Forbidden with the
    missing scope. `scope` None: any caller."""

    async def authorize(request: Request) -> Caller:
        authenticator: Authenticator = request.app.state.authenticator
        caller = await authenticator.identify(request)
        log = request_log(request)
        log.caller = caller.name
        headers, too_many = await authenticator.rates.count(caller)
        log.headers += headers
        if too_many is not None:
            raise too_many
        if scope is not None:
            require_scope(caller, scope)
        return caller

    return authorize


#: The caller of a route that needs the scope `events:read`.
EventReader = Annotated[Caller, Depends(requires("events:read"))]


def require_scope(caller: Caller, scope: str, *remedies: tuple[str, str]) -> None:
    """Raises Forbidden with the scope that the caller's key lacks. `remedies` are (parameter, message) pairs."""
    if scope not in caller.scopes:
        raise Forbidden(f"This call needs the scope {scope}, which {caller.name} does not have.", remedies)


def require_raw(caller: Caller, *, by_cursor: bool = False) -> None:
    """Raises Forbidden without the scope for `include=raw`, in the query or in a cursor, which grants nothing."""
    remedy = ("include", "leave raw out, or use a key with the scope raw:read")
    if by_cursor:
        remedy = ("cursor", "holds include=raw; start over without it, or use a key with the scope raw:read")
    require_scope(caller, "raw:read", remedy)


async def check_again(request: Request, scopes: Iterable[str], sources: Iterable[str]) -> None:
    """Check again during a long response. Raises CallerError if the key is no longer valid or lacks one of these scopes
    or sources, IssuerUnavailable if a token cannot be verified."""
    authenticator: Authenticator = request.app.state.authenticator
    caller = await authenticator.identify(request)
    for scope in scopes:
        require_scope(caller, scope)
    if not all(map(caller.may_read, sources)):
        raise Forbidden("The key does not grant all of these sources any more.")


def require_loopback(host: str) -> None:
    """Raises ConfigurationError unless the listening address `host` is loopback."""
    if not is_loopback(host):
        raise ConfigurationError(
            f"GATEWAY_AUTH=off is refused on {host}: without authentication only loopback is allowed."
            " Use --host 127.0.0.1, or set GATEWAY_AUTH=on and GATEWAY_API_KEYS_FILE."
        )


class Rates:
    """Count calls in `shared`, else in `storage`, by default this process's memory. `default`, such as `600/minute`, is
    the rate of callers without their own."""

    def __init__(
        self, storage: Storage | None = None, default: str | None = None, shared: SharedState | None = None
    ) -> None:
        self.default = default
        self._shared, self._limiter = shared, SlidingWindowCounterRateLimiter(storage or MemoryStorage())

    async def count(self, caller: Caller) -> tuple[list[tuple[bytes, bytes]], RateLimited | None]:
        """Count one call. Returns the headers `RateLimit-Policy` and `RateLimit`, for a caller with a rate
        (draft-ietf-httpapi-ratelimit-headers-10), and the error to raise for a call above it."""
        rate = caller.rate or self.default
        if rate is None:
            return [], None
        item = _parsed(rate)
        counted = None if self._shared is None else await self._shared.count(item, caller.name)
        if counted is None:
            is_allowed = await self._limiter.hit(item, caller.name)
            counted = is_allowed, await self._limiter.get_window_stats(item, caller.name)
        allowed, state = counted
        # Rounded up past the time itself, at which the window still contains the old calls.
        reset = max(0, math.floor(state.reset_time - time.time())) + 1
        remaining = max(0, state.remaining) if allowed else 0
        headers = [
            (b"ratelimit-policy", f'"key";q={item.amount};w={item.get_expiry()}'.encode()),
            (b"ratelimit", f'"key";r={remaining};t={reset}'.encode()),
        ]
        detail = f"{caller.name} has a rate of {rate}; try again in {reset} s."
        return headers, None if allowed else RateLimited(detail, retry_after=reset)


_parsed = lru_cache(maxsize=64)(parse)  # few rates, validated when the settings were read


def make_authenticator(settings: Settings, sandbox: bool, shared: SharedState | None = None) -> Authenticator:
    """Return the authenticator of the settings; `sandbox`: with the sandbox's key. Raises ConfigurationError."""
    rates = Rates(default=settings.rate, shared=shared)
    issuer, audience, jwks = given = settings.jwt_issuer, settings.jwt_audience, settings.jwt_jwks
    tokens = None
    if issuer is not None and audience is not None and jwks is not None:
        tokens = Tokens(
            issuer, audience, jwks, settings.pseudonyms, scopes_claim=settings.jwt_scopes_claim,
            sources_claim=settings.jwt_sources_claim, network=Network(read_environment()),
        )  # fmt: skip
    elif any(given):
        raise ConfigurationError(
            "GATEWAY_JWT_ISSUER, GATEWAY_JWT_AUDIENCE and GATEWAY_JWT_JWKS go together: set all three, or none."
        )
    if settings.auth == "off":
        return Authenticator(None, rates, tokens)
    keys = [] if settings.api_keys is None else read_keys(settings.api_keys.get_secret_value(), "GATEWAY_API_KEYS")
    if sandbox:
        keys.append(sandbox_key())
    if not keys and settings.api_keys_file is None and settings.jwt_issuer is None:
        raise ConfigurationError(
            "No API keys. Make one with audit-gateway keys new --name me --scopes events:read --file keys.jsonl"
            " and set GATEWAY_API_KEYS_FILE=keys.jsonl (or GATEWAY_AUTH=off, for this machine alone)."
        )
    return Authenticator(Keyring(keys, settings.api_keys_file), rates, tokens)
