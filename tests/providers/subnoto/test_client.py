"""Subnoto's call as it is really sent, and what its errors become."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.domain.errors import CallUnauthorized, SourceFailed, SourceForbidden, SourceUnauthorized, SourceUnavailable
from app.providers.base import CallBudget
from app.providers.subnoto.client import EventTypesRefused, LogQuery, SubnotoClient
from sandbox.subnoto import Emulator, EmulatorOptions
from tests.providers import inside

UUID = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(EmulatorOptions(events=120, days=20), clock=lambda: inside.NOW)


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[SubnotoClient]:
    http = inside.subnoto(emulator)
    yield SubnotoClient(http)
    await http.aclose()


def error(code: str) -> bytes:
    return json.dumps({"statusCode": 400, "error": {"code": code, "message": "secret"}, "requestId": "r-1"}).encode()


async def test_every_member_of_the_body(emulator: Emulator, client: SubnotoClient) -> None:
    workspace = emulator.history.account.workspaces[0]
    query = LogQuery("envelope", UUID, workspace, ("DOCUMENT_SIGNED",))
    await client.list_logs(query, [3], 50, CallBudget())
    await client.list_logs(LogQuery("team"), [1], 20, CallBudget())
    first, second = emulator.calls.calls
    assert (first.method, first.path) == ("POST", "/public/logs/list")
    paging = {"sortBy": "id", "sortOrder": "asc"}
    assert first.body == {
        "category": "envelope", "envelopeUuid": UUID, "workspaceUuid": workspace, "eventTypes": ["DOCUMENT_SIGNED"],
        "page": 3, "limit": 50, **paging,
    }  # fmt: skip
    assert second.body == {"category": "team", "page": 1, "limit": 20, **paging}
    assert second.headers["authorization"].startswith("Bearer sandbox-access-key:")
    assert emulator.calls.refused == []


async def test_pages_are_fetched_side_by_side_and_come_in_order(emulator: Emulator, client: SubnotoClient) -> None:
    emulator.latency = 0.02
    spent = CallBudget()
    found = await client.list_logs(LogQuery("envelope"), [2, 1], 20, spent)
    assert emulator.calls.most_in_flight == 2
    assert [number for number, _ in found] == [2, 1]
    truth = [record["eventType"] for record in emulator.history.truth("envelope")]
    for number, page in found:
        assert [row.body["eventType"] for row in page.rows] == truth[(number - 1) * 20 : number * 20]
        assert page.total == len(truth)
    assert (spent.calls, spent.records) == (2, 40)
    assert spent.as_of == inside.NOW_MICROS


@pytest.mark.parametrize("code", ["ENVELOPE_NOT_FOUND", "WORKSPACE_NOT_FOUND"])
@pytest.mark.parametrize("status", [400, 404])
async def test_what_is_not_there_is_empty(emulator: Emulator, client: SubnotoClient, code: str, status: int) -> None:
    emulator.faults.answer(status, body=error(code))
    ((_, page),) = await client.list_logs(LogQuery("envelope", UUID), [1], 50, CallBudget())
    assert (page.rows, page.total) == ([], 0)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "AUTHENTICATION_ERROR", SourceUnauthorized), (403, "AUTHORIZATION_ERROR", SourceForbidden),
        (403, "SOMETHING_ELSE", CallUnauthorized), (403, "FEATURE_NOT_IN_CURRENT_PLAN", SourceForbidden),
        (400, "LOG_CATEGORY_NOT_IMPLEMENTED", SourceForbidden), (400, "INVALID_REQUEST_FORMAT", SourceFailed),
        (500, "INTERNAL_SERVER_ERROR", SourceFailed), (429, "TOO_MANY", SourceUnavailable),
        (503, "", SourceUnavailable), (200, "INTERNAL_SERVER_ERROR", SourceFailed),
        (202, "SOMETHING_ELSE", SourceFailed), (200, "AUTHORIZATION_ERROR", SourceForbidden),
    ],
)  # fmt: skip
async def test_errors(emulator: Emulator, client: SubnotoClient, status: int, code: str, kind: type[Any]) -> None:
    emulator.faults.answer(status, {"Retry-After": "1000"}, times=3, body=error(code))
    with pytest.raises(kind) as found:
        await client.list_logs(LogQuery("team"), [1], 50, CallBudget(deadline=time.monotonic() + 20))
    assert found.value.provider_request_id == "r-1"
    assert code in found.value.detail
    assert "secret" not in found.value.detail


async def test_refused_event_types_are_told_apart(emulator: Emulator, client: SubnotoClient) -> None:
    emulator.faults.answer(400, body=error("INVALID_REQUEST_FORMAT"))
    with pytest.raises(EventTypesRefused):
        await client.list_logs(LogQuery("envelope", event_types=("ENVELOPE_SENT",)), [1], 50, CallBudget())
