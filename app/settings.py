"""The gateway's settings: names, defaults and bounds."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.domain.caller import RATE
from app.files import split
from app.privacy.pseudonyms import Pseudonyms
from app.providers.settings import iso_duration

MIN_SECRET = 32  #: characters
_ORIGIN = re.compile(r"https?://[^\s/?#@,]+\Z")


def _setting(default: Any, description: str, **bounds: Any) -> Any:
    return Field(default=default, description=description, **bounds)


class Settings(BaseModel):
    """The gateway's own settings (contract, section 1).

    The field `name` is the variable `GATEWAY_NAME`, and the key `name` in the TOML file's `[gateway]` table.
    `docs/reference/configuration.md` lists the descriptions.
    """

    # Names are checked by `load_configuration`, which suggests the nearest one.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    auth: Literal["on", "off"] = _setting("on", "`off` serves without authentication, on loopback only")
    api_keys: SecretStr | None = _setting(None, "hashed API keys as JSON, in place of a file")
    api_keys_file: Path | None = _setting(
        None, "the file of `audit-gateway keys new`; it is read again when it changes"
    )
    cursor_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(32)),
        description="encrypts cursors: 32 characters or more, equal on all replicas; of several, comma-separated, the"
        " first encrypts",
    )
    settle: float = _setting(30.0, "seconds that `follow` holds events back", ge=0, le=86_400)
    deadline: float = _setting(30.0, "seconds for one request", gt=0, le=3_600)
    scan: int = _setting(40, "calls per source and page (or count) for filters of the gateway alone", ge=1, le=100_000)
    source_concurrency: int = _setting(32, "concurrent calls to one source, per process", ge=1, le=1000)
    source_rate: float | None = _setting(
        None, "calls per second to one source, of all replicas with `GATEWAY_REDIS_URL`", ge=0.01, le=100_000
    )
    cors_origins: tuple[str, ...] = _setting((), "browser origins to allow, comma-separated")
    page_cache_ttl: float = _setting(0.0, "seconds for which a query's first page is cached, at most 60", ge=0, le=60)
    totals_ttl: float = _setting(30.0, "seconds for which a count is cached", ge=0, le=86_400)
    default_window: timedelta = _setting(timedelta(days=30), "the window of a query without `since`")
    redis_url: SecretStr | None = _setting(
        None, "Redis 6.2 or later, or Valkey, shared by replicas: totals, rates, pauses"
    )
    signing_key_file: Path | None = _setting(None, "the key that signs exports, made with `audit-gateway keys signing`")
    rate: str | None = _setting(None, "rate limit of keys without one of their own, such as `600/minute`")
    max_in_flight: int = _setting(256, "concurrent pages per process, and as many exports; else 503", ge=1, le=100_000)
    shutdown_grace: float = _setting(1.0, "seconds between failing readiness and stopping, on SIGTERM", ge=0, le=600)
    export_deadline: float = _setting(3_600.0, "seconds for one export, which then ends with a cursor", gt=0, le=86_400)
    stream_poll: float = _setting(5.0, "seconds between two looks of equal streams for new events", gt=0, le=3_600)
    stream_heartbeat: float = _setting(15.0, "seconds of silence before a stream sends a comment", gt=0, le=3_600)
    stream_listeners: int = _setting(100, "concurrent streams per process", ge=1, le=100_000)
    key_streams: int = _setting(10, "concurrent streams of one key per process; else 429", ge=1, le=100_000)
    key_exports: int = _setting(10, "concurrent exports of one key per process; else 429", ge=1, le=100_000)
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "`debug`, `info`, `warning` or `error`")
    log_format: Literal["auto", "json", "console"] = _setting("auto", "`json`, `console`, or by standard error: `auto`")
    pseudonymize: bool = _setting(False, "`true`: names and e-mail addresses are keyed hashes without `pii:read`")
    identity_secret: SecretStr | None = _setting(None, "keys the pseudonyms; default: the first cursor secret")
    jwt_issuer: str | None = _setting(None, "accept JWTs of this OpenID Connect issuer")
    jwt_audience: str | None = _setting(None, "the audience that a JWT must name")
    jwt_jwks: str | None = _setting(None, "the issuer's keys: a file or an https URL")
    jwt_scopes_claim: str = _setting("scope", "the claim that contains a token's scopes")
    jwt_sources_claim: str | None = _setting(None, "the claim that contains a token's sources. Default: all sources")

    @property
    def cursor_secrets(self) -> tuple[str, ...]:
        """The secrets that cursors are sealed with: the first seals, all open."""
        return split(self.cursor_secret.get_secret_value())

    @property
    def pseudonyms(self) -> Pseudonyms:
        """Keyed with `identity_secret`, or with the first cursor secret if that is unset."""
        secret = self.identity_secret
        return Pseudonyms(secret.get_secret_value() if secret is not None else self.cursor_secrets[0])

    @field_validator("rate")
    @classmethod
    def _is_rate(cls, value: str | None) -> str | None:
        if value is not None and not RATE.match(value):
            raise ValueError("must be such as 600/minute (second, minute, hour or day)")
        return value

    @field_validator("cursor_secret", "identity_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        parts = split(value.get_secret_value())
        if not parts or any(len(part) < MIN_SECRET for part in parts):
            what = f"each of the comma-separated secrets must have {MIN_SECRET} characters or more"
            raise ValueError(f"{what}; make one with: openssl rand -hex 32")
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        origins = split(value) if isinstance(value, str) else value
        for origin in origins if isinstance(origins, (list, tuple)) else ():
            if origin != "*" and not _ORIGIN.match(str(origin)):
                raise ValueError("must be origins such as https://app.example.com, comma-separated, without a path")
        return origins

    @field_validator("default_window", mode="wrap")
    @classmethod
    def _is_a_duration(cls, value: Any, parse: Callable[[Any], timedelta]) -> timedelta:
        window = iso_duration(value, parse, "P30D or PT12H")
        if not timedelta(seconds=1) <= window <= timedelta(days=36_525):
            raise ValueError("must be from PT1S to P36525D")
        return window

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            schemes = ("redis", "rediss", "valkey", "valkeys", "unix")
            try:
                parts = urlsplit(value.get_secret_value())
                is_url = parts.scheme in schemes and (parts.netloc or parts.path)
            except ValueError:  # its text quotes the part with the password
                is_url = False
            if not is_url:
                raise ValueError("must be a URL such as redis://localhost:6379/0")
        return value
