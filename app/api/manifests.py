"""Manifests of exports in formats without a place for one, stored for an hour after the export.

uvicorn sends no HTTP trailer, and many clients drop them. So a response header contains the path of the manifest, which
exists after the end of the export.
"""

from __future__ import annotations

import secrets

from cachetools import TTLCache

from app.domain.caller import Caller
from app.providers.shared.redis import SharedState

PATH = "/events/export/manifests/"
_HOUR = 3600
_MOST = 1000  #: in this process


class Manifests:
    """By a random id and the caller's name; with `shared`, for all replicas."""

    def __init__(self, shared: SharedState | None) -> None:
        self._shared = shared
        self._kept: TTLCache[tuple[str, str], str] = TTLCache(_MOST, _HOUR)

    @staticmethod
    def new_id() -> str:
        return secrets.token_urlsafe(16)

    async def put(self, manifest_id: str, caller: Caller, manifest: str) -> None:
        self._kept[manifest_id, caller.name] = manifest
        if self._shared is not None:
            await self._shared.put(self._shared.key("manifest", manifest_id, caller.name), manifest.encode(), _HOUR)

    async def get(self, manifest_id: str, caller: Caller) -> str | None:
        known = self._kept.get((manifest_id, caller.name))
        if known is None and self._shared is not None:
            held = await self._shared.get(self._shared.key("manifest", manifest_id, caller.name))
            known = None if held is None else held.value.decode()
        return known
