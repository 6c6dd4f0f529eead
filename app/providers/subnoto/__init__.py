"""Subnoto: audit logs by category, 50 records at a time, without dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.providers.base import CommonSettings, Provider
from app.providers.subnoto.mapping import MAPPING, MAPPING_VERSION
from app.providers.subnoto.settings import RENAMED, VARIABLES, SubnotoSettings

if TYPE_CHECKING:
    from app.providers.subnoto.source import SubnotoSource


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> SubnotoSource | None:
    settings = SubnotoSettings.from_environment(env)
    return None if settings is None else _source("subnoto", settings, common)


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> SubnotoSource:
    return _source(name, SubnotoSettings.from_table(table), common)


def _source(name: str, settings: SubnotoSettings, common: CommonSettings) -> SubnotoSource:
    # Imported only with an account: gateways without one start without waiting for the adapter.
    from app.providers.subnoto.source import SubnotoSource

    return SubnotoSource(name, settings, common)


PROVIDER = Provider(
    name="subnoto",
    title="Subnoto",
    mapping_version=MAPPING_VERSION,
    mapping=MAPPING,
    variables=SubnotoSettings.described(VARIABLES),
    from_environment=_from_environment,
    from_table=_from_table,
    needed=SubnotoSettings.needed(VARIABLES),
    renamed=RENAMED,
)
