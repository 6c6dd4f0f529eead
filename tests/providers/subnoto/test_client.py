"""Subnoto's client: requests, errors, the streams of a query, and the event types that are sent."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.domain.errors import CallUnauthorized, SourceFailed, SourceForbidden, SourceUnauthorized, SourceUnavailable
from app.domain.query import Query
from app.providers.base import CallBudget, CommonSettings, ReadRequest
from app.providers.subnoto import PROVIDER
from app.providers.subnoto.client import EventTypesRefused, LogQuery, SubnotoClient
from app.providers.subnoto.source import SubnotoSource
from app.providers.subnoto.wire import decode_page
from sandbox.subnoto import Emulator, EmulatorOptions
from tests.providers import inside

UUID = "99999999-9999-4999-8999-999999999999"
NESTED: Any = 1
for _ in range(20):
    NESTED = [NESTED]


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


async def test_the_body_of_a_request(emulator: Emulator, client: SubnotoClient) -> None:
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


async def test_pages_are_fetched_concurrently_and_returned_in_order(emulator: Emulator, client: SubnotoClient) -> None:
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


EMPTY = b'{"logs": [], "totalCount": 0}'


@pytest.mark.parametrize(
    ("status", "body"), [(200, EMPTY), (200, b'{"logs": [], "pagination": {"totalRecords": 0}}'), (204, b"")]
)
async def test_an_empty_log_must_be_returned_twice(
    emulator: Emulator, client: SubnotoClient, status: int, body: bytes
) -> None:
    spent = CallBudget()
    for page in (1, 2):
        emulator.faults.answer(status, body=body)
        ((_, read),) = await client.list_logs(LogQuery("envelope"), [page], 20, spent)
        assert (len(read.rows), read.total) == (20, len([*emulator.history.truth("envelope")]))
    assert (spent.calls, spent.records) == (4, 40)
    emulator.faults.answer(status, body=body, times=2)
    ((_, read),) = await client.list_logs(LogQuery("envelope"), [1], 20, spent)
    assert (read.rows, read.total, read.refusal, spent.calls) == ([], 0, None, 6)


@pytest.mark.parametrize("body", [b"", b" \n", b"null"])
async def test_a_response_without_a_list_shows_no_empty_log(
    emulator: Emulator, client: SubnotoClient, body: bytes
) -> None:
    emulator.faults.answer(200, body=body, times=2)
    with pytest.raises(SourceFailed, match="empty"):
        await client.list_logs(LogQuery("team"), [1], 50, CallBudget())


@pytest.mark.parametrize(("status", "body"), [(200, EMPTY), (200, b""), (204, b"")])
async def test_an_empty_page_without_a_total_shows_no_end_of_the_log(
    emulator: Emulator, client: SubnotoClient, status: int, body: bytes
) -> None:
    """A server that counts while it lists counts nothing after the end; one with a fault sends the same."""
    emulator.faults.answer(status, body=body, times=2)
    ((_, page),) = await client.list_logs(LogQuery("envelope"), [2], 20, CallBudget())
    assert page.rows == []
    assert page.refusal is not None


@pytest.mark.parametrize("code", ["ENVELOPE_NOT_FOUND", "WORKSPACE_NOT_FOUND"])
@pytest.mark.parametrize("status", [400, 404])
async def test_an_unknown_envelope_or_workspace_is_an_empty_log(
    emulator: Emulator, client: SubnotoClient, code: str, status: int
) -> None:
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
async def test_status_and_code_decide_the_error(
    emulator: Emulator, client: SubnotoClient, status: int, code: str, kind: type[Any]
) -> None:
    emulator.faults.answer(status, {"Retry-After": "1000"}, times=3, body=error(code))
    with pytest.raises(kind) as found:
        await client.list_logs(LogQuery("team"), [1], 50, CallBudget(deadline=time.monotonic() + 20))
    assert found.value.provider_request_id == "r-1"
    assert code in found.value.detail
    assert "secret" not in found.value.detail


async def test_refused_event_types_have_their_own_error(emulator: Emulator, client: SubnotoClient) -> None:
    emulator.faults.answer(400, body=error("INVALID_REQUEST_FORMAT"))
    with pytest.raises(EventTypesRefused):
        await client.list_logs(LogQuery("envelope", event_types=("ENVELOPE_SENT",)), [1], 50, CallBudget())


RECORD = {"category": "envelope", "eventType": "ENVELOPE_SENT", "timestamp": 1_780_000_000, "envelopeUuid": UUID}


@pytest.mark.parametrize(
    ("query", "record", "kind"),
    [
        (LogQuery("envelope", event_types=("DOCUMENT_SIGNED",)), {}, EventTypesRefused),
        (LogQuery("envelope", UUID), {"envelopeUuid": "8" + UUID[1:]}, SourceFailed),
        (LogQuery("envelope", workspace=UUID), {"workspaceUuid": "8" + UUID[1:]}, SourceFailed),
        (LogQuery("team"), {}, SourceFailed),
        (LogQuery("team"), {"eventData": NESTED}, SourceFailed),
    ],
    ids=["event type", "envelope", "workspace", "category", "category of a record of many levels"],
)
async def test_a_server_that_ignores_a_filter_returns_no_events(
    emulator: Emulator, client: SubnotoClient, query: LogQuery, record: dict[str, Any], kind: type[Exception]
) -> None:
    emulator.faults.answer(200, body=json.dumps({"logs": [{**RECORD, **record}], "totalCount": 1}).encode())
    with pytest.raises(kind):
        await client.list_logs(query, [1], 50, CallBudget())


@pytest.mark.parametrize("record", [{}, {"envelopeUuid": UUID.upper()}, {"envelopeUuid": None}, {"category": "other"}])
async def test_a_record_that_a_filter_may_select_is_returned(
    emulator: Emulator, client: SubnotoClient, record: dict[str, Any]
) -> None:
    query = LogQuery("envelope", UUID, event_types=("ENVELOPE_SENT",))
    emulator.faults.answer(200, body=json.dumps({"logs": [{**RECORD, **record}], "totalCount": 1}).encode())
    ((_, page),) = await client.list_logs(query, [1], 50, CallBudget())
    assert [row.sent.event_type for row in page.rows] == ["ENVELOPE_SENT"]


def source(**settings: Any) -> SubnotoSource:
    found = PROVIDER.from_table("s", {"access_key": "a", "secret_key": "b", **settings}, CommonSettings())
    assert isinstance(found, SubnotoSource)
    return found


@pytest.mark.parametrize(
    ("query", "streams"),
    [
        ({}, ["envelope", "team"]), ({"category": ("team",)}, ["team"]), ({"category": ("user",)}, []),
        ({"envelope_id": (UUID,)}, [f"envelope/{UUID}"]), ({"envelope_id": ("no uuid",)}, []),
        ({"envelope_id": (UUID, "x")}, [f"envelope/{UUID}"]),
        ({"envelope_id": ("AAAAAAAA" + UUID[8:], "aaaaaaaa" + UUID[8:])}, ["envelope/aaaaaaaa" + UUID[8:]]),
        ({"workspace_id": UUID}, ["envelope"]), ({"workspace_id": "x"}, []),
        ({"category": ("team",), "workspace_id": UUID}, []), ({"category": ("team",), "envelope_id": (UUID,)}, []),
        ({"type": ("notification.*",)}, []), ({"type": ("recipient.*",)}, ["envelope"]),
        ({"type": ("team.*", "envelope.sent")}, ["envelope", "team"]), ({"type": ("unknown",)}, ["envelope", "team"]),
        ({"provider_type": ("DOCUMENT_SIGNED",)}, ["envelope"]), ({"provider_type": ("TEAM_CREATED",)}, ["team"]),
        ({"provider_type": ("BRAND_NEW",)}, ["envelope", "team"]),
        ({"provider_type": ("DOCUMENT_SIGNED",), "type": ("team.*",)}, []),
    ],
    ids=str,
)  # fmt: skip
def test_the_streams_of_a_query_are_those_that_may_match(query: dict[str, Any], streams: list[str]) -> None:
    assert list(source().streams(Query(**query))) == streams


def test_categories_are_those_of_the_settings() -> None:
    assert list(source(categories=["team"]).streams(Query())) == ["team"]
    assert list(source(categories="team, dataroom").streams(Query())) == ["team", "dataroom"]


def event_types(found: SubnotoSource, **filters: Any) -> list[str]:
    query = Query(**filters)
    sent: set[str] = set()
    for stream in found.streams(query):
        reader = found.reader(stream, ReadRequest(query, 0, 1, (1,)), CallBudget())
        assert reader.walk.calls.query.category == stream.partition("/")[0]
        sent |= set(reader.walk.calls.query.event_types)
    return sorted(sent)


def test_event_types_that_every_server_accepts_are_sent() -> None:
    assert event_types(source(), type=("recipient.*",)) == ["DOCUMENT_SIGNED", "RECIPIENT_VERIFIED"]
    assert event_types(source(), provider_type=("TEAM_CREATED", "DOCUMENT_SIGNED")) == [
        "DOCUMENT_SIGNED",
        "TEAM_CREATED",
    ]
    assert event_types(source()) == []


def test_newer_event_types_are_sent_after_the_account_has_returned_them() -> None:
    found = source()
    assert event_types(found, type=("envelope.approved",)) == []
    assert event_types(found, type=("unknown",)) == []
    assert event_types(found, provider_type=("BRAND_NEW",)) == []
    page = {"logs": [{"eventType": "ENVELOPE_APPROVED", "timestamp": 1_780_000_000}], "totalCount": 1}
    found._observations.learn("envelope", [decode_page(json.dumps(page).encode())])
    assert event_types(found, type=("envelope.approved",)) == ["ENVELOPE_APPROVED"]
    found._observations.refuse(["ENVELOPE_APPROVED"], is_known=True)
    assert event_types(found, type=("envelope.approved",)) == []
