"""`POST /public/envelope/get` of the emulator, read by the SDK's own models."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.subnoto import Emulator, EmulatorOptions

pytestmark = pytest.mark.anyio
models = pytest.importorskip("subnoto_api_client.generated.models.post_public_envelope_get_response_200")


async def post(emulator: Emulator, path: str, body: dict[str, Any]) -> httpx.Response:
    keys = f"{emulator.options.access_key}:{emulator.options.secret_key}"
    transport = httpx.ASGITransport(app=emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://subnoto.example") as client:
        return await client.post(path, json=body, headers={"authorization": f"Bearer {keys}"})


async def test_the_sdk_reads_every_envelope() -> None:
    emulator = Emulator(EmulatorOptions(events=400))
    listed = {"category": "envelope", "page": 1, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
    logs = (await post(emulator, "/public/logs/list", listed)).json()["logs"]
    statuses = set()
    for uuid, workspace in sorted({(log["envelopeUuid"], log["workspaceUuid"]) for log in logs}):
        answer = await post(emulator, "/public/envelope/get", {"envelopeUuid": uuid, "workspaceUuid": workspace})
        assert answer.status_code == 200
        found = models.PostPublicEnvelopeGetResponse200.from_dict(answer.json())
        assert found.to_dict() == answer.json()
        assert found.uuid == uuid
        titles = {log["eventData"].get("envelopeTitle") for log in logs if log["envelopeUuid"] == uuid} - {None}
        assert titles <= {found.title}
        statuses.add(found.status.value)
    assert "complete" in statuses


async def test_what_cannot_be_read() -> None:
    unknown = {"envelopeUuid": "00000000-0000-4000-8000-000000000000"}
    answer = await post(Emulator(EmulatorOptions(events=10)), "/public/envelope/get", unknown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "ENVELOPE_NOT_FOUND")
    answer = await post(Emulator(EmulatorOptions(events=10)), "/public/envelope/get", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST_FORMAT")
    refusing = Emulator(EmulatorOptions(events=10, reads_envelopes=False))
    answer = await post(refusing, "/public/envelope/get", unknown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AUTHORIZATION_ERROR")
