"""Taktikal: entries nested in signing processes, by date range, with `Take` and `Skip`."""

from __future__ import annotations

from app.providers.base import CommonSettings, Source
from app.providers.settings import configured_provider
from app.providers.taktikal.mapping import MAPPING, MAPPING_VERSION
from app.providers.taktikal.settings import RENAMED, TaktikalSettings


def _open_source(name: str, settings: TaktikalSettings, common: CommonSettings) -> Source:
    # Imported only with an account: gateways without one start without waiting for the adapter.
    from app.providers.taktikal.source import TaktikalSource

    return TaktikalSource(name, settings, common)


PROVIDER = configured_provider(
    "taktikal",
    TaktikalSettings,
    _open_source,
    title="Taktikal",
    mapping=MAPPING,
    mapping_version=MAPPING_VERSION,
    renamed=RENAMED,
)
