"""Taktikal's client: the requests of its two calls, and their errors."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.domain.errors import SourceFailed
from app.domain.times import SECOND, parse_rfc3339
from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.taktikal.client import WHOLE, DateRange, TaktikalClient
from sandbox.taktikal import Emulator, EmulatorOptions
from tests.providers import inside
from tests.providers.http.httpx_transport import HttpxTransport


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(EmulatorOptions(events=120, days=20), clock=lambda: inside.NOW)


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[TaktikalClient]:
    http = inside.taktikal(emulator)
    yield TaktikalClient(http)
    await http.aclose()


async def test_the_parameters_of_a_request(emulator: Emulator, client: TaktikalClient) -> None:
    within = DateRange.around(parse_rfc3339("2026-05-01T00:00:00.5Z"), parse_rfc3339("2026-05-02T00:00:00.25Z"))
    values = {
        "User": "a b@example.com", "ProcessKey": "sp?&=1", "FlowType": "DropAndSign", "FlowKey": "3fc7848d338a",
        "Search": "ö +1", "StatusFilter": "InActive",
    }  # fmt: skip
    await client.activity(within, values, CallBudget(), take=25, skip=50)
    await client.total(within, values, CallBudget())
    first, second = emulator.calls.calls
    dates = {"StartDate": "2026-04-30T23:59:59.990000Z", "EndDate": "2026-05-02T00:00:01Z"}
    assert first.path == "/api/signing/activity"
    assert first.params == {**dates, **values, "Take": "25", "Skip": "50"}
    assert second.path == "/api/signing/activity/total"
    assert second.params == {**dates, **values}
    assert emulator.calls.refused == []
    assert first.headers["authorization"].startswith("Basic ")


async def test_calls_and_records_are_counted(emulator: Emulator, client: TaktikalClient) -> None:
    spent = CallBudget()
    page = await client.activity(WHOLE, {}, spent, take=7)
    total = await client.total(WHOLE, {}, spent)
    assert (page.length, spent.records, spent.calls) == (7, 7, 2)
    assert total == emulator.history.size()[0]
    assert spent.as_of == inside.NOW_MICROS


async def test_an_error_contains_the_vendors_code_but_not_its_message(
    emulator: Emulator, client: TaktikalClient
) -> None:
    body = b'{"responseStatus": {"errorCode": "Odd", "message": "secret person 999999-1234"}}'
    emulator.faults.answer(400, body=body)
    with pytest.raises(SourceFailed, match="Odd") as error:
        await client.activity(WHOLE, {}, CallBudget(), take=1)
    assert "999999" not in error.value.detail


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("name", ["responseStatus", "ResponseStatus"])
async def test_an_error_with_a_status_of_success_keeps_its_code(
    emulator: Emulator, client: TaktikalClient, status: int, name: str
) -> None:
    body = json.dumps({name: {"errorCode": "SqlException", "message": "secret"}}).encode()
    emulator.faults.answer(status, times=2, body=body)
    for call in (client.activity(WHOLE, {}, CallBudget(), take=5), client.total(WHOLE, {}, CallBudget())):
        with pytest.raises(SourceFailed, match="SqlException") as found:
            await call
        assert "secret" not in found.value.detail


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (200, b"null"), (200, b"{}")])
async def test_an_empty_response_contains_no_process(
    emulator: Emulator, client: TaktikalClient, status: int, body: bytes
) -> None:
    emulator.faults.answer(status, body=body, path="/total")
    assert await client.total(WHOLE, {}, CallBudget()) is None
    if body != b"{}":
        emulator.faults.answer(status, body=body)
        assert (await client.activity(WHOLE, {}, CallBudget(), take=5)).length == 0


@pytest.mark.parametrize("status", [404, 405, 410, 501])
async def test_a_server_without_totals_has_no_total_unless_filtered(
    emulator: Emulator, client: TaktikalClient, status: int
) -> None:
    emulator.faults.answer(status, times=3, path="/total")
    assert await client.total(WHOLE, {}, CallBudget()) is None
    for name in ("Search", "StatusFilter"):  # which servers without totals ignore
        with pytest.raises(SourceFailed):
            await client.total(WHOLE, {name: "x"}, CallBudget())


async def test_a_value_outside_the_vendors_list_matches_nothing(emulator: Emulator, client: TaktikalClient) -> None:
    filters = {"FlowType": "NoSuchFlow"}
    assert (await client.activity(WHOLE, filters, CallBudget(), take=5)).length == 0
    assert await client.total(WHOLE, filters, CallBudget()) == 0
    body = b'{"responseStatus": {"errorCode": "X", "errors": [{"fieldName": "StartDate"}]}}'
    emulator.faults.answer(400, body=body)
    with pytest.raises(SourceFailed):
        await client.total(WHOLE, filters, CallBudget())


@pytest.mark.parametrize(("field", "named"), [("Search", "q"), ("User", "owner"), ("statusFilter", "envelope_status")])
async def test_a_refused_value_that_a_server_may_know_is_a_failure(
    emulator: Emulator, client: TaktikalClient, field: str, named: str
) -> None:
    """Regression: the response was empty and complete."""
    error = {"fieldName": field, "message": "'secret' is too short"}
    body = {"responseStatus": {"errorCode": "MinimumLength", "errors": [error, {"fieldName": "FlowType"}]}}
    filters = {"FlowType": "x", "Search": "secret", "User": "secret", "StatusFilter": "secret"}
    emulator.faults.answer(400, body=json.dumps(body).encode())
    with pytest.raises(SourceFailed, match=rf"\(MinimumLength\): .* flow_type, {named}$") as refused:
        await client.activity(WHOLE, filters, CallBudget(), take=5)
    assert "secret" not in refused.value.detail


async def test_an_unknown_process_is_an_empty_response(emulator: Emulator, client: TaktikalClient) -> None:
    body, spent = b'{"ResponseStatus": {"ErrorCode": "NotFound"}}', CallBudget()
    emulator.faults.answer(404, body=body)
    assert (await client.activity(WHOLE, {"ProcessKey": "sp0"}, spent, take=5)).length == 0
    assert spent.as_of == inside.NOW_MICROS
    emulator.faults.answer(404, body=body)
    with pytest.raises(SourceFailed):
        await client.activity(WHOLE, {}, CallBudget(), take=5)


async def test_a_wrong_base_url_is_not_an_unknown_process(emulator: Emulator) -> None:
    keys = (emulator.options.company_key, emulator.options.api_key)
    transport = HttpxTransport(httpx.ASGITransport(app=emulator.app), CommonSettings())
    http = ProviderHttp("http://emulator/wrong", CommonSettings(), name="s", transport=transport, auth=keys)
    with pytest.raises(SourceFailed, match="404"):
        await TaktikalClient(http).activity(WHOLE, {"ProcessKey": "sp0"}, CallBudget(), take=5)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (5, 5), (SECOND - 1, SECOND), (SECOND, SECOND + 1), (-SECOND - 1, 3 * SECOND), (7, 10**15)],
)
def test_a_range_includes_the_window_also_with_exclusive_ends(start: int, end: int) -> None:
    found = DateRange.around(start, end)
    assert found.start < start
    assert found.end >= end
    assert found.end > found.start
    assert (found.start + 10_000) % SECOND == found.end % SECOND == 0
    assert found.start > start - SECOND - 10_001
    assert found.end < max(end, start + 1) + SECOND + 1


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", ("2026-05-01T00:00:00Z", "2026-05-01T23:59:59.990000Z")),
        ("2026-05-01T00:00:00.1Z", "2026-05-01T00:00:02.5Z", ("2026-05-01T00:00:01Z", "2026-05-01T00:00:02.490000Z")),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:01.009Z", None),
        ("2026-05-01T00:00:00.5Z", "2026-05-01T00:00:00.7Z", None),
        ("0001-01-01", "1752-12-31", None),
        ("9999-12-30", "9999-12-31", None),
        ("0001-01-01", "9999-12-31", ("1753-01-01T00:00:00Z", "9999-12-30T00:00:00Z")),
    ],
)  # fmt: skip
def test_a_range_inside_a_window_selects_nothing_outside(start: str, end: str, inside: Any) -> None:
    found = DateRange.inside(parse_rfc3339(start), parse_rfc3339(end))
    assert (None if found is None else tuple(found.parameters().values())) == inside


@pytest.mark.parametrize(
    ("start", "end"),
    [("0001-01-01", "0001-01-02"), ("2100-06-01", "9999-12-31T23:59:59.9Z"), ("0001-01-01", "9999-12-31")],
)
def test_the_parameters_of_any_range_are_within_the_providers_bounds(start: str, end: str) -> None:
    found = DateRange.around(parse_rfc3339(start), parse_rfc3339(end)).parameters()
    assert "1753-01-01T00:00:00Z" <= found["StartDate"] < found["EndDate"] <= "9999-12-30T00:00:00Z"
