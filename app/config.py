"""The gateway's settings: names, defaults and bounds; and their reading from the environment, `.env` and an optional
TOML file, once, checked whole, and passed down.

An environment variable goes before the same name in `.env`, and both before the TOML file's `[gateway]`
table. Names are in capitals: any other spelling is warned of and ignored. A setting that is wrong is a
`ConfigurationError` naming the variable (or key) and the remedy, never its value: values may be secrets.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.domain.caller import RATE
from app.domain.errors import ConfigurationError
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Provider
from app.providers.registry import find_providers, provider_paths, renamed_keys
from app.providers.settings import iso_duration, outdated_names, remedy, rename

PREFIX = "GATEWAY_"
#: Names of the last release, and what they are called now; and settings that are gone.
RENAMED = {
    "GATEWAY_DRAIN": "GATEWAY_SHUTDOWN_GRACE",
    "GATEWAY_MASK_IDENTITY": "GATEWAY_PSEUDONYMIZE",
    "GATEWAY_PAGE_CACHE": "GATEWAY_PAGE_CACHE_TTL",
}
REMOVED = ("GATEWAY_HEAD_TIMEOUT",)

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


#: By the field's name.
_VARIABLES = {field: f"{PREFIX}{field.upper()}" for field in Settings.model_fields}

#: The settings' keys in the TOML file that were renamed or removed.
_RENAMED_KEYS = {old.removeprefix(PREFIX).lower(): new.removeprefix(PREFIX).lower() for old, new in RENAMED.items()}
_REMOVED_KEYS = [name.removeprefix(PREFIX).lower() for name in REMOVED]

#: Variables with the gateway's prefix that are read elsewhere: by `load_configuration`, the registry, the
#: client.
OTHER_VARIABLES = (
    "GATEWAY_CONFIG", "GATEWAY_HOST", "GATEWAY_KEY", "GATEWAY_PORT", "GATEWAY_PROVIDERS_PATH", "GATEWAY_URL",
)  # fmt: skip


class Configuration(msgspec.Struct, frozen=True):
    """Everything that was configured.

    `environment` contains the providers' variables; `tables` are the `[[sources]]` of the TOML file with their secrets.
    `sandbox`: the sources are emulators, and the key `sandbox` grants everything. `warnings`: a sentence for each
    setting without the expected effect.
    """

    settings: Settings
    environment: Mapping[str, str]
    tables: tuple[Mapping[str, Any], ...] = ()
    sandbox: bool = False
    providers: Mapping[str, Provider] = msgspec.field(default_factory=find_providers)
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Configuration(...)"  # it holds secrets


def load_configuration(
    config_file: Path | None = None,
    *,
    env_file: Path | None = Path(".env"),
    sandbox_environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Read and check all settings. Raises ConfigurationError.

    `config_file` overrides GATEWAY_CONFIG. With `sandbox_environment` (the variables of the emulators) there are no
    other sources, because a public key must never open a real account.
    """
    found = read_environment(env_file)
    environment = rename(found, RENAMED)
    if config_file is None and environment.get("GATEWAY_CONFIG"):
        config_file = Path(environment["GATEWAY_CONFIG"])
    gateway, tables = _read_toml(config_file) if config_file else ({}, [])
    outdated = [*outdated_names(found, RENAMED, REMOVED), *outdated_names(gateway, _RENAMED_KEYS, _REMOVED_KEYS)]
    settings = _settings(rename(gateway, _RENAMED_KEYS), environment)
    # Of the sandbox, too, whose environment is of its accounts alone.
    providers = find_providers(provider_paths(environment))
    is_sandbox = sandbox_environment is not None
    warnings = [*outdated, *_warnings(settings, environment, is_sandbox)]
    if sandbox_environment is None:
        tables = [_with_secrets(table, environment) for table in tables]
    else:
        environment, tables = dict(sandbox_environment), []
    warnings += _provider_warnings(providers, environment, tables)
    return Configuration(settings, environment, tuple(tables), is_sandbox, providers, tuple(warnings))


def read_environment(env_file: Path | None = Path(".env")) -> dict[str, str]:
    """Return the environment's variables, and those of `env_file` that it lacks. Names are case-sensitive. An empty
    variable, as compose files create, counts as unset. Raises ConfigurationError for an unreadable file."""
    written: Mapping[str, str | None] = {}
    if env_file is not None and env_file.is_file():
        try:
            written = dotenv_values(env_file, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{env_file} cannot be read ({type(error).__name__}).") from None
    both = (*written.items(), *os.environ.items())
    return {name: plain for name, value in both if value and (plain := unquoted(value))}


def unquoted(text: str) -> str:
    """Return `text` without surrounding blanks, line ends and one pair of quotes, as `docker --env-file` keeps them."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _unknown(environment: Mapping[str, str], prefix: str, known: Iterable[str]) -> list[str]:
    """Return a sentence for each variable with `prefix` that is not `known`, with the nearest known one."""
    known = sorted(known)
    found = sorted(name for name in environment if name.upper().startswith(prefix) and name not in known)
    # The prefix is the same in all of them, and would make any two names near.
    stems = [one.removeprefix(prefix) for one in known if one.startswith(prefix)]
    nearest = (_nearest(name.upper().removeprefix(prefix), stems, prefix) for name in found)
    return [f"{name} is not a setting and is ignored{near}" for name, near in zip(found, nearest, strict=True)]


def _settings(gateway: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    given = {field: environment[name] for field, name in _VARIABLES.items() if name in environment}
    try:
        return Settings(**{**gateway, **given})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
    field = str(problem["loc"][0])
    name = _VARIABLES[field] if field in given else f"gateway.{field} (in the TOML file)"
    raise ConfigurationError(f"{name}: {remedy(problem)}.")


def _warnings(settings: Settings, environment: Mapping[str, str], sandbox: bool) -> Iterable[str]:
    yield from _unknown(environment, PREFIX, [*_VARIABLES.values(), *OTHER_VARIABLES, *REMOVED])
    if "cursor_secret" not in settings.model_fields_set and not sandbox:
        made = "GATEWAY_CURSOR_SECRET is not set: one was made for this run."
        yield f"{made} Cursors will not outlive it, nor open on another replica."
        if settings.redis_url is not None:
            why = "its values are encrypted with the secret of this run, and shared with its own workers only"
            yield f"GATEWAY_REDIS_URL is set without GATEWAY_CURSOR_SECRET: {why}."
    if settings.pseudonymize and not settings.model_fields_set & {"identity_secret", "cursor_secret"}:
        why = "pseudonyms of people are valid for this run only, and differ after the next start"
        yield f"GATEWAY_PSEUDONYMIZE is set without GATEWAY_IDENTITY_SECRET: {why}."


def _provider_warnings(
    providers: Mapping[str, Provider], environment: Mapping[str, str], tables: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    for name, provider in providers.items():
        prefix = f"{name.upper()}_"
        yield from outdated_names(environment, provider.renamed)
        yield from _unknown(environment, prefix, [*provider.variables, *provider.renamed])
        # Events of an account that is configured twice are duplicated.
        keys = {variable: variable.removeprefix(prefix).lower() for variable in provider.needed}
        accounts = [(" and ".join(keys), {key: environment.get(variable) for variable, key in keys.items()})]
        for table in (each for each in tables if each.get("provider") == name):
            accounts.append((f"[[sources]] {table.get('name')}", {key: table.get(key) for key in keys.values()}))
            outdated = outdated_names(table, renamed_keys(provider))
            yield from (f"[[sources]] {table.get('name')}: {sentence}" for sentence in outdated)
        for (first, one), (second, other) in combinations(accounts, 2):
            if keys and all(one.values()) and one == other:
                what = f"{first} and {second} configure the same account"
                yield f"{what}: each of its events comes twice; remove one of them"


def _read_toml(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        document = tomllib.loads(read_text(path, "GATEWAY_CONFIG / --config"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML file: {error}.") from None
    _check_names(document, ("gateway", "sources"), f"{path}")
    gateway, tables = document.get("gateway", {}), document.get("sources", [])
    if not isinstance(gateway, dict):
        raise ConfigurationError(f"{path}: gateway must be a table, [gateway].")
    _check_names(gateway, [*Settings.model_fields, *_RENAMED_KEYS, *_REMOVED_KEYS], f"{path}, [gateway]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{path}: sources must be an array of tables, each headed [[sources]].")
    return gateway, tables


def _with_secrets(table: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the table with `KEY` and its value in place of `KEY_env = "VARIABLE"` and `KEY_file = "/path"`."""
    where = f"[[sources]] {table.get('name', '?')}"
    plain: dict[str, Any] = {}
    for key, value in table.items():
        stem, _, kind = key.rpartition("_")
        if not stem or kind not in ("env", "file"):
            stem = key
        elif not isinstance(value, str):
            raise ConfigurationError(f"{where}: {key} must be text, the name of a variable or the path of a file.")
        elif kind == "file":
            file = Path(value)
            if not (value := unquoted(read_text(file, f"{where}: {key}"))):
                raise ConfigurationError(f"{where}: {key} names {file}, which is empty.")
        elif value not in environment:
            raise ConfigurationError(f"{where}: {key} names the variable {value}, which is not set; set it.")
        else:
            value = environment[value]
        if stem in plain:
            raise ConfigurationError(f"{where}: {stem} is given twice; keep one of {stem}, {stem}_env, {stem}_file.")
        plain[stem] = value
    return plain


def _check_names(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = list(known)
    for name in table:
        if name not in known:
            hint = _nearest(name, known)
            hint = f"; there are {', '.join(sorted(known))}." if hint == "." else hint
            raise ConfigurationError(f"{where}: {name} is not a setting{hint}")


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{near[0]}?" if near else "."


# ---- files that settings name ----


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def check_regular(file: Path) -> None:
    """Raises OSError for a device, FIFO or folder, which a reader would read, or wait for, without end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_regular(file: Path) -> bytes:
    """Return the content of a regular file. Raises OSError."""
    check_regular(file)
    return file.read_bytes()


def read_text(file: Path, name: str, remedy: str = ".") -> str:
    """Return the text of a regular file, without a byte order mark. Raises ConfigurationError with `name`, the setting
    that names the file, and the remedy."""
    try:
        return read_regular(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{name}: {file} cannot be read ({reason}){remedy}") from None
