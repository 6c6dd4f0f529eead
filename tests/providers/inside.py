"""The vendors' emulators without sockets, for tests of an adapter's parts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from app.domain.times import to_micros
from app.providers.base import CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.response import Response
from sandbox.taktikal.application import Emulator as TaktikalEmulator
from sandbox.taktikal.query import VendorError, parse_query
from tests.providers.http.httpx_transport import HttpxTransport

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_MICROS = int(NOW.timestamp()) * 1_000_000


def taktikal(emulator: Any, **common: Any) -> ProviderHttp:
    keys = (emulator.options.company_key, emulator.options.api_key)
    return _http("http://emulator/api", emulator, CommonSettings(**common), auth=keys)


def subnoto(emulator: Any) -> ProviderHttp:
    keys = f"{emulator.options.access_key}:{emulator.options.secret_key}"
    return _http("http://emulator", emulator, CommonSettings(), headers={"authorization": f"Bearer {keys}"})


def _http(base_url: str, emulator: Any, common: CommonSettings, **given: Any) -> ProviderHttp:
    transport = HttpxTransport(httpx.ASGITransport(app=emulator.app), common)
    return ProviderHttp(base_url, common, name="s", transport=transport, **given)


class TaktikalDirect:
    """A `Transport` to Taktikal's emulator without HTTP, for tests with thousands of calls."""

    def __init__(self, emulator: TaktikalEmulator) -> None:
        self._emulator = emulator

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        parts, emulator = urlsplit(url), self._emulator
        answer: Any
        try:
            query = parse_query(parse_qsl(parts.query), emulator.options)
            answer = {"total": emulator.total(query)} if parts.path.endswith("/total") else emulator.items(query)
            status = 200
        except VendorError as error:
            answer, status = error.body(), error.status
        return Response(status, msgspec.json.encode(answer), {}, to_micros(emulator.clock()))

    async def aclose(self) -> None:
        pass
