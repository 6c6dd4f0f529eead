"""Read the settings from the environment, `.env` and an optional TOML file: once, checked whole, and passed down.

An environment variable goes before the same name in `.env`, and both before the TOML file's `[gateway]`
table. Names are in capitals: any other spelling is warned of and ignored. A setting that is wrong is a
`ConfigurationError` naming the variable (or key) and the remedy, never its value: values may be secrets.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values
from pydantic import ValidationError

from app.domain.errors import ConfigurationError
from app.files import read_text, unquoted
from app.providers.base import Provider
from app.providers.registry import find_providers, provider_paths, renamed_keys
from app.providers.settings import outdated_names, remedy, rename
from app.settings import Settings

PREFIX = "GATEWAY_"
#: Names of the last release, and what they are called now; and settings that are gone.
RENAMED = {
    "GATEWAY_DRAIN": "GATEWAY_SHUTDOWN_GRACE",
    "GATEWAY_MASK_IDENTITY": "GATEWAY_PSEUDONYMIZE",
    "GATEWAY_PAGE_CACHE": "GATEWAY_PAGE_CACHE_TTL",
}
REMOVED = ("GATEWAY_HEAD_TIMEOUT",)


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
            raise ConfigurationError(f"{where}: {name} is not a setting{_nearest(name, known)}")


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{near[0]}?" if near else "."
