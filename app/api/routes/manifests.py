"""`GET /events/export/manifests/{manifest_id}`: signed manifests of exports in formats without a place for one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cachetools import TTLCache
from fastapi import Path as PathParameter
from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from app.api.auth import EventReader
from app.api.openapi import answers
from app.api.routing import NoQuery, new_router
from app.domain.caller import Caller
from app.domain.errors import NotFound
from app.providers.shared import SharedState

router = new_router(tags=["events"])

MANIFEST_PATH = "/events/export/manifests/"
_HOUR = 3600
_MANIFESTS = 1000  #: in this process, and in the folder of all workers


class Manifests:
    """Manifests of exports in formats without a place for one, for an hour after the export; with `shared`, in all
    replicas, and with `folder` in all workers of this machine. uvicorn sends no HTTP trailer, and many clients drop
    them: a response header contains the path of the manifest, a random id that only the same caller can use."""

    def __init__(self, shared: SharedState | None, folder: Path | None) -> None:
        self._shared, self._folder = shared, folder
        self._kept: TTLCache[tuple[str, str], str] = TTLCache(_MANIFESTS, _HOUR)

    async def put(self, manifest_id: str, caller: Caller, manifest: str) -> None:
        self._kept[manifest_id, caller.name] = manifest
        if self._shared is not None:
            await self._shared.put(self._shared.key("manifest", manifest_id, caller.name), manifest.encode(), _HOUR)
        if self._folder is not None:
            await asyncio.to_thread(_write, self._folder, _file_name(manifest_id, caller), manifest)

    async def get(self, manifest_id: str, caller: Caller) -> str | None:
        known = self._kept.get((manifest_id, caller.name))
        if known is None and self._folder is not None:
            known = await asyncio.to_thread(_read, self._folder / _file_name(manifest_id, caller))
        if known is None and self._shared is not None:
            held = await self._shared.get(self._shared.key("manifest", manifest_id, caller.name))
            known = None if held is None else held.value.decode()
        return known


def _file_name(manifest_id: str, caller: Caller) -> str:
    """Return a digest, because the id in a request may be a path."""
    return hashlib.blake2b(json.dumps([manifest_id, caller.name]).encode(), digest_size=16).hexdigest()


def _write(folder: Path, name: str, manifest: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError):  # removed by another worker
        for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)[: 1 - _MANIFESTS]:
            old.unlink()
    (folder / name).write_text(manifest, encoding="utf-8")


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8") if file.stat().st_mtime > time.time() - _HOUR else None
    except FileNotFoundError:
        return None


@router.get(
    f"{MANIFEST_PATH}{{manifest_id}}",
    summary="Read an export's signed manifest",
    response_class=PlainTextResponse,
    responses=answers("manifest", "A JWS.", content={"application/jose": {"schema": {"type": "string"}}}),
)
async def get_manifest(
    request: Request,
    manifest_id: Annotated[
        str, PathParameter(description="The end of the path in the export's header `Export-Manifest`.")
    ],
    caller: EventReader,
    _: NoQuery,
) -> Response:
    """The manifest of one of the caller's exports."""
    manifest = await request.app.state.manifests.get(manifest_id, caller)
    if manifest is None:
        raise NotFound("there is no such manifest: the export is not complete, or ended more than an hour ago")
    return Response(manifest, media_type="application/jose", headers={"Cache-Control": "no-store"})
