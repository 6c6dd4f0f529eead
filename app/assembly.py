"""Assemble a gateway from a configuration: providers, sources, shared state and the application."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TextIO, cast

from fastapi import FastAPI
from pydantic import SecretStr

from app.api.metrics import Metrics
from app.config import Configuration, load_configuration, unknown_variables
from app.domain.errors import ConfigurationError
from app.logs import QueuedStream, configure_logging
from app.main import create_app
from app.providers.base import CommonSettings, Provider, Source
from app.providers.http.network import Network
from app.providers.observer import Observer
from app.providers.registry import find_providers, make_sources, renamed_keys
from app.providers.settings import outdated_names
from app.providers.shared import SharedState
from app.tracing import tracing_warnings

#: Set by `serve --sandbox` for its workers: a JSON object of the variables that point at the emulators.
SANDBOX_VARIABLE = "_AUDIT_GATEWAY_SANDBOX"

# Cursors of a process lie in files beside exports, and the next process opens them. No server opens them, and a person
# who could forge one can read the accounts, so a public secret suffices.
_LOCAL_SECRET = "cursors of the engine in the terminal's own process"

_ALLOCATIONS = 10_000  #: net allocations of containers that start a collection of the youngest generation


class NoSource(ConfigurationError):
    """No source is configured."""


def assemble(configuration: Configuration, providers: Mapping[str, Provider]) -> FastAPI:
    """Return the application of a configuration. Raises ConfigurationError."""
    metrics = Metrics()
    shared = make_shared(configuration, providers, metrics)
    sources = build_sources(configuration, providers, metrics, shared)
    sandbox, settings = configuration.sandbox, configuration.settings
    return create_app(settings, sources, providers=providers, sandbox=sandbox, metrics=metrics, shared=shared)


def create_app_from_environment() -> FastAPI:
    """Return the application for the environment, in a worker process. Raises ConfigurationError."""
    configure_logging(cast(TextIO, QueuedStream(sys.stderr)))
    sandbox = os.environ.get(SANDBOX_VARIABLE)
    configuration = load_configuration(sandbox_environment=json.loads(sandbox) if sandbox else None)
    app = assemble(configuration, find_providers(configuration.provider_paths))
    tune_gc()
    return app


def tune_gc() -> None:
    """Freeze the modules loaded so far and collect less often.

    Full collections went through all modules: 130 ms each, 10 % of the processor time of an export, and a stall of
    the event loop for every other request.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


def local_app(config_file: Path | None, *, signs: bool = False) -> FastAPI:
    """Return an application for this process alone: without an API key, with every scope; `signs`: with the signing
    key. Raises ConfigurationError, NoSource."""
    configuration = load_configuration(config_file)
    settings = configuration.settings
    changes: dict[str, object] = dict.fromkeys(("rate", "redis_url", "jwt_issuer", "jwt_audience", "jwt_jwks"))
    if not signs:
        changes["signing_key_file"] = None
    if "cursor_secret" not in settings.model_fields_set:
        changes["cursor_secret"] = SecretStr(_LOCAL_SECRET)
    providers = find_providers(configuration.provider_paths)
    settings = settings.model_copy(update={**changes, "auth": "off"})
    return create_app(settings, build_sources(configuration, providers), providers=providers, local=True)


def build_sources(
    configuration: Configuration,
    providers: Mapping[str, Provider],
    observer: Observer | None = None,
    shared: SharedState | None = None,
) -> list[Source]:
    """Return the configured sources; `shared` is their state in common with other replicas. Raises ConfigurationError,
    NoSource."""
    settings = configuration.settings
    common = CommonSettings(
        settle=settings.settle,
        max_concurrency=settings.source_concurrency,
        max_rate=settings.source_rate,
        observer=observer or Observer(),
        network=Network(configuration.environment),
        shared=shared,
    )
    found = make_sources(providers, configuration.environment, configuration.tables, common)
    if not found:
        ways = "; ".join(f"{one.title}: {' and '.join(one.needed or one.variables)}" for one in providers.values())
        raise NoSource(
            f"No source is configured. Set a provider's variables ({ways}),"
            " or try it without any account: audit-gateway serve --sandbox"
        )
    return found


def make_shared(
    configuration: Configuration, providers: Mapping[str, Provider], metrics: Metrics
) -> SharedState | None:
    """Return the state shared with the other replicas; None without GATEWAY_REDIS_URL. Raises ConfigurationError."""
    settings, environment = configuration.settings, configuration.environment
    if settings.redis_url is None:
        return None
    variables = {name: environment.get(name) for provider in providers.values() for name in provider.variables}
    accounts = json.dumps([variables, configuration.tables], sort_keys=True, default=str)
    return SharedState(settings.redis_url.get_secret_value(), settings.cursor_secrets[0], metrics, accounts)


def _accounts_twice(name: str, provider: Provider, configuration: Configuration) -> list[str]:
    """Return a warning for each pair of sources with equal credentials, whose events are duplicated."""
    keys = {variable: variable.removeprefix(f"{name.upper()}_").lower() for variable in provider.needed}
    environment = {key: configuration.environment.get(variable) for variable, key in keys.items()}
    tables = [table for table in configuration.tables if table.get("provider") == name]
    accounts = [(" and ".join(keys), environment), *((f"[[sources]] {one.get('name')}", one) for one in tables)]
    return [
        f"{first} and {second} configure the same account: each of its events comes twice; remove one of them"
        for (first, one), (second, other) in combinations(accounts, 2)
        if keys and all(one.get(key) and one.get(key) == other.get(key) for key in keys.values())
    ]


def all_warnings(configuration: Configuration, providers: Mapping[str, Provider]) -> list[str]:
    """Return a sentence for each setting without the expected effect."""
    warnings = list(configuration.warnings)
    for name, provider in providers.items():
        known = [*provider.variables, *provider.renamed]
        warnings += outdated_names(configuration.environment, provider.renamed)
        warnings += unknown_variables(configuration.environment, f"{name.upper()}_", known)
        warnings += _accounts_twice(name, provider, configuration)
    for table in configuration.tables:
        if (of := providers.get(str(table.get("provider")))) is not None:
            warnings += [f"[[sources]] {table.get('name')}: {each}" for each in outdated_names(table, renamed_keys(of))]
    return warnings + tracing_warnings(os.environ)
