"""Taktikal: entries nested in signing processes, by date range, with `Take` and `Skip`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.providers.base import CommonSettings, Provider
from app.providers.taktikal.mapping import MAPPING, MAPPING_VERSION
from app.providers.taktikal.settings import RENAMED, VARIABLES, TaktikalSettings

if TYPE_CHECKING:
    from app.providers.taktikal.source import TaktikalSource


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> TaktikalSource | None:
    settings = TaktikalSettings.from_environment(env)
    return None if settings is None else _source("taktikal", settings, common)


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> TaktikalSource:
    return _source(name, TaktikalSettings.from_table(table), common)


def _source(name: str, settings: TaktikalSettings, common: CommonSettings) -> TaktikalSource:
    # Imported only with an account: gateways without one start without waiting for the adapter.
    from app.providers.taktikal.source import TaktikalSource

    return TaktikalSource(name, settings, common)


PROVIDER = Provider(
    name="taktikal",
    title="Taktikal",
    mapping_version=MAPPING_VERSION,
    mapping=MAPPING,
    variables=TaktikalSettings.described(VARIABLES),
    from_environment=_from_environment,
    from_table=_from_table,
    needed=TaktikalSettings.needed(VARIABLES),
    renamed=RENAMED,
)
