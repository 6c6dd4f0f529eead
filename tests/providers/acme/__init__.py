"""Acme Sign: a provider of sources in memory. `test_registry.py` copies this folder elsewhere and serves it."""

from collections.abc import Mapping
from typing import Any

from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings, Provider, TypeMapping
from tests.api.memory import MemorySource, history


def _source(name: str, common: CommonSettings) -> MemorySource:
    source = MemorySource(name, history(name, 60))
    source.settle = common.settle
    return source


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> MemorySource | None:
    return _source("acme", common) if "ACME_TOKEN" in env else None


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> MemorySource:
    if not isinstance(table.get("token"), str):
        raise ConfigurationError("token is missing; set it, or token_env, or token_file")
    return _source(name, common)


PROVIDER = Provider(
    name="acme",
    title="Acme Sign",
    mapping_version="1",
    mapping=(
        TypeMapping("OPENED", "envelope.viewed", "envelope"),
        TypeMapping("SEALED", "envelope.completed", "envelope"),
    ),
    variables={"ACME_TOKEN": "the account's token; makes a source named acme"},
    from_environment=_from_environment,
    from_table=_from_table,
)
