"""The vendor's SDK reads the emulator over real HTTP; the emulator verifies its RFC 9421 signatures."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from subnoto_api_client import SubnotoClient, SubnotoConfig
from subnoto_api_client.generated.api.envelope import post_public_envelope_get
from subnoto_api_client.generated.api.logs import post_public_logs_list
from subnoto_api_client.generated.api.utils import post_public_utils_whoami
from subnoto_api_client.generated.models import (
    PostPublicEnvelopeGetBody,
    PostPublicEnvelopeGetResponse200,
    PostPublicEnvelopeGetResponse403,
    PostPublicLogsListBody,
    PostPublicLogsListResponse200,
    PostPublicLogsListResponse400,
    PostPublicUtilsWhoamiBody,
    PostPublicUtilsWhoamiResponse200,
)
from subnoto_api_client.middleware import signature_utils

from sandbox.serving import serve
from sandbox.subnoto import Emulator, EmulatorOptions


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(EmulatorOptions(events=400))
    with serve(emulator.app) as base_url:
        yield emulator, base_url


@pytest.fixture(autouse=True)
def responses_have_their_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work around a fault of SDK 2.16.1 in calls to loopback, which are not encrypted.

    Its transport reads `response.request` (for cookies) before httpx's client sets it. Only decrypted responses have
    it.
    """
    original = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await original(transport, request)
        response.request = request
        return response

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)


def sdk(emulator: Emulator, base_url: str, **keys: str) -> SubnotoClient:
    options = emulator.options
    keys = {"access_key": options.access_key, "secret_key": options.secret_key, **keys}
    return SubnotoClient(SubnotoConfig(api_base_url=base_url, unattested=True, **keys))


async def listed(client: SubnotoClient, body: dict[str, Any]) -> Any:
    answer = await post_public_logs_list.asyncio_detailed(
        client=client.generated, body=PostPublicLogsListBody.from_dict(body)
    )
    return answer.parsed


async def test_the_sdk_reads_its_account() -> None:
    emulator = Emulator(EmulatorOptions(events=10, team_name="Demo & Sons"))
    with serve(emulator.app) as base_url:
        async with sdk(emulator, base_url) as client:
            answer = await post_public_utils_whoami.asyncio(client=client.generated, body=PostPublicUtilsWhoamiBody())
    assert isinstance(answer, PostPublicUtilsWhoamiResponse200)
    assert answer.to_dict().keys() == {"teamUuid", "teamName", "ownerEmail", "ownerUuid", "accessKey"}
    assert answer.team_name == "Demo & Sons"


async def envelope(client: SubnotoClient, **body: Any) -> Any:
    sent = PostPublicEnvelopeGetBody.from_dict(body)
    return await post_public_envelope_get.asyncio_detailed(client=client.generated, body=sent)


async def test_the_sdk_reads_envelopes(served: tuple[Emulator, str]) -> None:
    emulator, base_url = served
    statuses, place = set(), {"envelopeUuid": UNKNOWN, "workspaceUuid": UNKNOWN}
    async with sdk(emulator, base_url) as client:
        for record in emulator.history.truth("envelope"):
            if record["eventType"] == "ENVELOPE_CREATED":
                response = await envelope(client, **{name: record[name] for name in place})
                answer = response.parsed
                assert isinstance(answer, PostPublicEnvelopeGetResponse200)
                assert answer.to_dict() == json.loads(response.content)
                assert (answer.uuid, answer.owner.email) == (record["envelopeUuid"], record["author"]["email"])
                assert answer.title == record["eventData"]["envelopeTitle"]
                statuses.add(answer.status.value)
        assert (await envelope(client, **place)).parsed.error.code == "ENVELOPE_NOT_FOUND"
    assert {"complete", "signing", "expired"} <= statuses
    bearer = f"Bearer {emulator.options.access_key}:{emulator.options.secret_key}"
    async with httpx.AsyncClient(headers={"authorization": bearer}) as plain:
        empty = await plain.post(f"{base_url}/public/envelope/get", json={})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, INVALID)
    refusing = Emulator(EmulatorOptions(events=10, reads_envelopes=False))
    with serve(refusing.app) as base_url:
        async with sdk(refusing, base_url) as client:
            answer = (await envelope(client, **place)).parsed
    assert isinstance(answer, PostPublicEnvelopeGetResponse403)
    assert answer.error.code == "AUTHORIZATION_ERROR"


@pytest.mark.parametrize(
    "options",
    [
        EmulatorOptions(events=60, totals="both", unit="milliseconds"),
        EmulatorOptions(events=60, totals="pagination", unit="seconds", newer_types=False),
        EmulatorOptions(events=60, unit="float_seconds", ties="shuffled", twins=0.2),
    ],
)
async def test_the_sdk_reads_every_generation(options: EmulatorOptions) -> None:
    emulator = Emulator(options)
    with serve(emulator.app) as base_url:
        async with sdk(emulator, base_url) as client:
            answer = await listed(client, {"category": "envelope", "limit": 50})
    assert isinstance(answer, PostPublicLogsListResponse200)
    assert len(answer.logs) == 50
    assert all(log.author.uuid and log.envelope_uuid for log in answer.logs)


UNKNOWN, INVALID = "33333333-3333-4333-8333-333333333333", "INVALID_REQUEST_FORMAT"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"category": "envelope", "limit": 51}, INVALID),
        ({"category": "team", "envelopeUuid": UNKNOWN}, INVALID),
        ({"category": "envelope", "envelopeUuid": UNKNOWN}, "ENVELOPE_NOT_FOUND"),
        ({"category": "envelope", "workspaceUuid": UNKNOWN}, "WORKSPACE_NOT_FOUND"),
        ({"category": "user"}, "LOG_CATEGORY_NOT_IMPLEMENTED"),
        ({"category": "dataroom"}, "LOG_CATEGORY_NOT_IMPLEMENTED"),
    ],
)
async def test_the_sdk_reads_the_errors(served: tuple[Emulator, str], body: dict[str, Any], code: str) -> None:
    emulator, base_url = served
    async with sdk(emulator, base_url) as client:
        answer = await listed(client, body)
    assert isinstance(answer, PostPublicLogsListResponse400)
    assert answer.error.code == code


BODY = b'{"category":"envelope"}'


async def send_signed(emulator: Emulator, base_url: str, body: bytes = BODY, **changed: str) -> httpx.Response:
    url = f"{base_url}/public/logs/list"
    options = emulator.options
    headers = signature_utils.sign_request_headers(url, "POST", BODY, options.access_key, options.secret_key, {})
    headers["Content-Length"] = str(len(body))
    for name, value in changed.items():
        headers[name.replace("_", "-")] = value
    async with httpx.AsyncClient() as client:
        return await client.post(url, content=body, headers=headers)


async def test_a_changed_signed_request_is_refused(served: tuple[Emulator, str]) -> None:
    emulator, base_url = served
    assert (await send_signed(emulator, base_url)).status_code == 200
    other_digest = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"
    for tampered in (
        await send_signed(emulator, base_url, b'{"category":"envelopE"}'),
        await send_signed(emulator, base_url, Content_Digest=other_digest),
        await send_signed(emulator, base_url, X_Timestamp="1700000000000"),
        await send_signed(emulator, base_url, Content_Type="text/plain"),
        await send_signed(emulator, base_url, Host="elsewhere.example.com"),
        await send_signed(emulator, base_url, Signature="team=:AAAA:"),
        await send_signed(emulator, base_url, Signature="nonsense"),
        await send_signed(emulator, base_url, Signature_Input='team=("content-digest");created=1'),
        await send_signed(emulator, base_url, Authorization="Bearer wrong:wrong"),
    ):
        assert tampered.status_code == 401
        assert tampered.json()["error"]["code"] == "AUTHENTICATION_ERROR"


async def test_a_call_without_credentials_is_refused(served: tuple[Emulator, str]) -> None:
    _, base_url = served
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{base_url}/public/logs/list", content=BODY)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "Missing credentials")
