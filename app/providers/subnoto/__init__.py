"""Subnoto: audit logs by category, 50 records at a time, without dates."""

from __future__ import annotations

from app.providers.base import CommonSettings, Source
from app.providers.settings import configured_provider
from app.providers.subnoto.mapping import MAPPING, MAPPING_VERSION
from app.providers.subnoto.settings import RENAMED, SubnotoSettings


def _open_source(name: str, settings: SubnotoSettings, common: CommonSettings) -> Source:
    # Imported only with an account, so that other gateways start faster.
    from app.providers.subnoto.source import SubnotoSource

    return SubnotoSource(name, settings, common)


PROVIDER = configured_provider(
    "subnoto",
    SubnotoSettings,
    _open_source,
    title="Subnoto",
    mapping=MAPPING,
    mapping_version=MAPPING_VERSION,
    renamed=RENAMED,
)
