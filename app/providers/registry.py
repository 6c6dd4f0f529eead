"""Find the providers: every module or folder under `app/providers/` and GATEWAY_PROVIDERS_PATH that exports PROVIDER.

A module that cannot be imported stops the start, because a missing provider would make responses silently incomplete.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import app.providers
from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings, Provider, Source
from app.providers.settings import rename

#: Modules of `app.providers` that are not providers.
_INFRASTRUCTURE = frozenset({"base", "http", "kit", "observer", "registry", "settings", "shared"})

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def find_providers(extra_paths: Sequence[Path | str] = ()) -> dict[str, Provider]:
    """Return all providers by name, sorted. `extra_paths` are directories with more providers.

    Raises ConfigurationError with the provider's path and the error.
    """
    for extra in map(str, extra_paths):
        if not Path(extra).is_dir():
            raise ConfigurationError(f"GATEWAY_PROVIDERS_PATH: {extra} is no directory.")
        if extra not in app.providers.__path__:
            app.providers.__path__.append(extra)
    importlib.invalidate_caches()
    found: dict[str, Provider] = {}
    places: dict[str, str] = {}
    # Path by path, because for several paths pkgutil hides the second of two providers of one name.
    for path in app.providers.__path__:
        for module in pkgutil.iter_modules([path]):
            if path == app.providers.__path__[0] and module.name in _INFRASTRUCTURE:
                continue
            place = f"{path}/{module.name}"
            if other := places.get(module.name):
                raise ConfigurationError(f"Two providers have one name: {other} and {place}.")
            places[module.name] = place
            found[module.name] = _load(module.name, place)
    return dict(sorted(found.items()))


def _load(name: str, place: str) -> Provider:
    try:
        provider = getattr(importlib.import_module(f"{app.providers.__name__}.{name}"), "PROVIDER", None)
    except Exception as error:
        problem = f" cannot be imported: {type(error).__name__}: {error}"
        raise ConfigurationError(f"Provider {place}{problem}") from error
    if isinstance(provider, Provider) and provider.name == name and _NAME.match(name):
        return provider
    if provider is None:
        problem = " exports no PROVIDER; see docs/guides/adding-a-provider.md."
    elif not isinstance(provider, Provider):
        problem = f": PROVIDER must be a Provider, not {type(provider).__name__}."
    else:
        problem = ": PROVIDER.name must be the module's name (lower-case letters, digits)."
    raise ConfigurationError(f"Provider {place}{problem}")


def make_sources(
    providers: Mapping[str, Provider],
    environment: Mapping[str, str],
    tables: Sequence[Mapping[str, Any]],
    common: CommonSettings,
) -> list[Source]:
    """Return the configured sources, sorted by name: those of the environment and one for each `[[sources]]` table.

    Raises ConfigurationError for an invalid table and for two sources of one name.
    """
    found = [one.from_environment(rename(environment, one.renamed), common) for one in providers.values()]
    sources = [source for source in found if source is not None]
    sources += [_from_table(providers, number, dict(table), common) for number, table in enumerate(tables, start=1)]
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        what = f"Two sources have the name {twice[0]}; a name is part of every event's id: give each its own."
        hint = "(Variables such as those of a provider's keys make a source named after the provider.)"
        raise ConfigurationError(f"{what} {hint}")
    return sorted(sources, key=lambda source: source.name)


def _from_table(
    providers: Mapping[str, Provider], number: int, table: dict[str, Any], common: CommonSettings
) -> Source:
    name, provider = table.pop("name", None), table.pop("provider", None)
    where = f"[[sources]] number {number}"
    if not isinstance(name, str) or not _SOURCE_NAME.match(name):
        raise ConfigurationError(f"{where}: name must be 1 to 64 letters, digits, dots, dashes or underscores.")
    if not isinstance(provider, str) or provider not in providers:
        raise ConfigurationError(f"{where} ({name}): provider must be one of {', '.join(providers)}.")
    try:
        return providers[provider].from_table(name, rename(table, renamed_keys(providers[provider])), common)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} ({name}): {error.detail}") from None


def renamed_keys(provider: Provider) -> dict[str, str]:
    """Return the renamed keys of a `[[sources]]` table: the variables' names without the provider's."""
    prefix = f"{provider.name.upper()}_"
    return {old.removeprefix(prefix).lower(): new.removeprefix(prefix).lower() for old, new in provider.renamed.items()}


def provider_paths(environment: Mapping[str, str]) -> list[Path]:
    """Return the directories with more providers, from GATEWAY_PROVIDERS_PATH."""
    return [Path(part) for part in environment.get("GATEWAY_PROVIDERS_PATH", "").split(os.pathsep) if part]
