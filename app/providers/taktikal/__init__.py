"""Taktikal: entries nested in signing processes, by date range, with `Take` and `Skip`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.providers.base import CommonSettings, Provider
from app.providers.taktikal.mapping import MAPPING, MAPPING_VERSION
from app.providers.taktikal.settings import HELP, VARIABLES, TaktikalSettings
from app.providers.taktikal.source import TaktikalSource


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> TaktikalSource | None:
    settings = TaktikalSettings.from_environment(env)
    return None if settings is None else TaktikalSource("taktikal", settings, common)


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> TaktikalSource:
    return TaktikalSource(name, TaktikalSettings.from_table(table), common)


PROVIDER = Provider(
    name="taktikal",
    title="Taktikal",
    mapping_version=MAPPING_VERSION,
    mapping=MAPPING,
    variables=HELP,
    from_environment=_from_environment,
    from_table=_from_table,
    needed=TaktikalSettings.needed(VARIABLES),
)
