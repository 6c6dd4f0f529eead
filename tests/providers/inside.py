"""The vendors' emulators called without sockets, for tests of one adapter's parts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from app.providers.base import CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.httpx_transport import HttpxTransport

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_MICROS = int(NOW.timestamp()) * 1_000_000
DAY = 86_400_000_000


def taktikal(emulator: Any) -> ProviderHttp:
    keys = (emulator.options.company_key, emulator.options.api_key)
    return _http("http://emulator/api", emulator, auth=keys)


def subnoto(emulator: Any) -> ProviderHttp:
    keys = f"{emulator.options.access_key}:{emulator.options.secret_key}"
    return _http("http://emulator", emulator, headers={"authorization": f"Bearer {keys}"})


def _http(base_url: str, emulator: Any, **given: Any) -> ProviderHttp:
    common = CommonSettings()
    transport = HttpxTransport(httpx.ASGITransport(app=emulator.app), common)
    return ProviderHttp(base_url, common, name="s", transport=transport, **given)
