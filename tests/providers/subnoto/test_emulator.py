"""Subnoto's emulator follows the vendor's documents, and each of its switches has its documented effect."""

import itertools
import operator
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.subnoto import Emulator, EmulatorOptions, Record
from tests.worlds import Clock

NOW = datetime(2026, 5, 20, 15, 0, tzinfo=UTC)
NIL = "00000000-0000-0000-0000-000000000000"


def emulator(clock: Clock | None = None, records: list[Record] | None = None, **options: Any) -> Emulator:
    chosen = EmulatorOptions(**{"events": 600, "days": 30, **options})
    return Emulator(chosen, clock=clock or Clock(NOW), records=records)


async def post(
    server: Emulator, body: Any, *, path: str = "/public/logs/list", bearer: str | None = None, **request: Any
) -> httpx.Response:
    key = bearer or f"{server.options.access_key}:{server.options.secret_key}"
    transport = httpx.ASGITransport(app=server.app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=headers) as client:
        content = {"json": body} if "content" not in request else {}
        return await client.post(path, **content, **request)


async def logs(server: Emulator, **body: Any) -> list[dict[str, Any]]:
    answer = await post(server, {"category": "envelope", **body})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["logs"]
    return found


async def walk(server: Emulator, **body: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = 1
    while batch := await logs(server, page=page, **body):
        found += batch
        page += 1
    return found


def record(name: str, timestamp: int, event_type: str = "ENVELOPE_CREATED", **members: Any) -> Record:
    members = {"envelope_uuid": "11111111-1111-4111-8111-111111111111", **members}
    return Record("envelope", event_type, timestamp, {"name": name}, **members)


def names(found: list[dict[str, Any]]) -> list[str]:
    return [log["eventData"]["name"] for log in found]


async def test_the_history_has_the_requested_length_and_days() -> None:
    server = emulator(events=777, twins=0.05, tie_burst=3)
    truth = list(server.history.truth())
    assert len(truth) == 777 == server.history.size()
    latest = NOW.timestamp() * 1000
    assert all(latest - 30 * 86_400_000 - 3_600_000 <= item["timestamp"] <= latest for item in truth)
    assert {item["category"] for item in truth} == {"envelope", "team"}


async def test_equal_seeds_and_times_give_equal_histories() -> None:
    one, two, other = emulator(seed=3), emulator(seed=3), emulator(seed=4)
    body = {"category": "envelope", "page": 2}
    first, second = await post(one, body), await post(two, body)
    assert first.content == second.content
    assert first.content != (await post(other, body)).content


async def test_a_walk_returns_each_record_of_a_category_in_both_orders() -> None:
    server = emulator()
    for category in ("envelope", "team"):
        truth = list(server.history.truth(category))
        by_id = await walk(server, category=category, sortBy="id", sortOrder="asc", limit=7)
        assert [log["eventData"] for log in by_id] == [item["eventData"] for item in truth]
        assert by_id[::-1] == await walk(server, category=category, sortBy="id")
        keys = {"category", "eventType", "eventData", "timestamp", "author"}
        keys |= {"envelopeUuid", "workspaceUuid"} if category == "envelope" else set()
        assert {frozenset(log) for log in by_id} == {frozenset(keys)}
        by_time = await walk(server, category=category, sortOrder="asc")
        stamps = [log["timestamp"] for log in by_time]
        assert stamps == sorted(item["timestamp"] for item in truth)
        assert by_time[::-1] == await walk(server, category=category)


async def test_indexes_grow_with_the_history() -> None:
    clock = Clock(NOW)
    server = emulator(clock, events=0)
    envelope = "22222222-2222-4222-8222-222222222222"
    for number in range(3):
        server.history.append("ENVELOPE_SENT", envelope_uuid=envelope, event_data={"name": str(number)})
        for by in ({"envelopeUuid": envelope}, {"eventTypes": ["ENVELOPE_SENT"]}):
            assert names(await logs(server, **by)) == ["2", "1", "0"][2 - number :]
        clock.advance(seconds=1)


def pagination(*values: int | None) -> dict[str, Any]:
    return dict(zip(("totalRecords", "currentPage", "totalPages", "nextPage", "prevPage"), values, strict=True))


@pytest.mark.parametrize("totals", ["pagination", "totalCount", "both"])
async def test_totals_have_the_shape_of_their_generation(totals: str) -> None:
    hundred = [record(str(n), n) for n in range(100)]
    for records, page, limit, count, shown in (
        (hundred, 2, 20, 20, pagination(100, 2, 5, 3, 1)),
        (hundred, 2, 50, 50, pagination(100, 2, 2, None, 1)),
        ([], 1, 50, 0, pagination(0, 1, 1, None, None)),
    ):
        server = emulator(totals=totals, events=0, records=records)
        answer = (await post(server, {"category": "envelope", "limit": limit, "page": page})).json()
        assert len(answer.pop("logs")) == count
        expected = {"pagination": shown, "totalCount": len(records)}
        assert answer == {name: value for name, value in expected.items() if totals in (name, "both")}


@pytest.mark.parametrize(("author", "system"), [("uuid", NIL), ("id", 0)])
async def test_authors_have_the_shape_of_their_generation(author: str, system: object) -> None:
    found = await walk(emulator(author=author))
    assert all(set(log["author"]) == {author, "email", "name"} for log in found)
    ids = {log["author"][author] for log in found}
    assert system in ids
    assert len(ids) > 2
    assert len({type(identity) for identity in ids}) == 1


@pytest.mark.parametrize(
    ("unit", "sent"),
    [("seconds", 1_700_000_000), ("milliseconds", 1_700_000_000_250), ("float_seconds", 1_700_000_000.25)],
)
async def test_times_have_the_chosen_unit(unit: str, sent: float) -> None:
    [log] = await logs(emulator(unit=unit, records=[record("a", 1_700_000_000_250)]))
    assert (log["timestamp"], type(log["timestamp"])) == (sent, type(sent))
    server = emulator(unit=unit, ties="id", records=[record("a", 1900), record("b", 1100)])
    assert names(await logs(server)) == (["b", "a"] if unit == "seconds" else ["a", "b"]), "whole seconds tie"
    assert [item["timestamp"] for item in server.history.truth()] == ([1000] * 2 if unit == "seconds" else [1900, 1100])


async def test_ties_have_the_chosen_order() -> None:
    burst = [record("first", 5)] + [record(str(n), 10) for n in range(30)] + [record("last", 20)]
    numbers = [str(n) for n in range(30)]
    plain, reverse, shuffled = (emulator(ties=ties, records=burst) for ties in ("id", "reverse", "shuffled"))
    assert names(await logs(plain, sortOrder="asc")) == ["first", *numbers, "last"]
    assert names(await logs(plain)) == ["last", *numbers[::-1], "first"]
    assert names(await logs(reverse, sortOrder="asc")) == ["first", *numbers[::-1], "last"]
    assert names(await logs(reverse)) == ["last", *numbers, "first"]
    answers = [names(await logs(shuffled, sortOrder="asc")) for _ in range(4)]
    assert len({tuple(answer) for answer in answers}) == 4
    assert all(sorted(answer) == sorted(["first", *numbers, "last"]) for answer in answers)
    assert all(answer[0] == "first" and answer[-1] == "last" for answer in answers)
    pages = [names(await logs(plain, sortOrder="asc", limit=7, page=page)) for page in range(1, 6)]
    assert [name for page in pages for name in page] == ["first", *numbers, "last"]
    assert names(await logs(shuffled, sortBy="id", sortOrder="asc")) == ["first", *numbers, "last"]


@pytest.mark.parametrize("skew", [0, 120])
async def test_records_are_behind_the_newest_by_at_most_the_skew(skew: int) -> None:
    stamps = [item["timestamp"] for item in emulator(skew_seconds=skew, events=5000).history.truth("envelope")]
    behind = max(map(operator.sub, itertools.accumulate(stamps, max), stamps))
    assert behind <= skew * 1000
    assert (behind > skew * 500) is (skew > 0)


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.1, 21, 119)])
async def test_twins_are_equal_in_every_field(share: float, least: int, most: int) -> None:
    server = emulator(twins=share)
    counts = Counter(map(str, await walk(server)))
    assert server.history.size() == 600
    assert least <= sum(count - 1 for count in counts.values()) <= most


@pytest.mark.parametrize("newer", [True, False])
async def test_newer_types_occur_and_are_accepted_only_if_enabled(newer: bool) -> None:
    server = emulator(events=6000, newer_types=newer)
    occurring = {item["eventType"] for item in server.history.truth()}
    assert ("ENVELOPE_APPROVED" in occurring) is newer
    assert any(event_type.startswith("OAUTH_") for event_type in occurring) is newer
    answer = await post(server, {"category": "envelope", "eventTypes": ["ENVELOPE_APPROVED"]})
    assert answer.status_code == (200 if newer else 400)
    assert len(server.calls.refused) == (0 if newer else 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "category"), ({"category": "nonsense"}, "category"), ({"category": ["team"]}, "category"),
        ({"category": "team", "envelopeUuid": NIL}, "envelopeUuid"),
        ({"category": "team", "workspaceUuid": NIL}, "workspaceUuid"),
        ({"category": "envelope", "envelopeUuid": "abc"}, "envelopeUuid"),
        ({"category": "envelope", "envelopeUuid": "x" * 36}, "envelopeUuid"),
        ({"category": "envelope", "workspaceUuid": NIL.replace("-", "")}, "workspaceUuid"),
        ({"category": "envelope", "workspaceUuid": None}, "workspaceUuid"),
        ({"category": "envelope", "eventTypes": ["MEMBER_JOINED"]}, "eventTypes"),
        ({"category": "team", "eventTypes": ["ENVELOPE_SENT"]}, "eventTypes"),
        ({"category": "team", "eventTypes": ["NEVER_HEARD_OF"]}, "eventTypes"),
        ({"category": "team", "eventTypes": [["MEMBER_JOINED"]]}, "eventTypes"),
        ({"category": "team", "eventTypes": "MEMBER_JOINED"}, "eventTypes"),
        ({"category": "team", "limit": 51}, "limit"), ({"category": "team", "limit": 0}, "limit"),
        ({"category": "team", "limit": "50"}, "limit"), ({"category": "team", "limit": True}, "limit"),
        ({"category": "team", "page": 0}, "page"), ({"category": "team", "page": 1.5}, "page"),
        ({"category": "team", "sortBy": "author"}, "sortBy"), ({"category": "team", "sortOrder": "ASC"}, "sortOrder"),
    ],
)  # fmt: skip
async def test_an_invalid_body_is_refused_with_its_field(body: dict[str, Any], field: str) -> None:
    server = emulator(events=10)
    answer = await post(server, body)
    assert answer.status_code == 400
    problem = answer.json()
    assert set(problem) == {"statusCode", "error", "requestId", "timestamp", "path"}
    assert problem["statusCode"] == 400
    assert problem["path"] == "/public/logs/list"
    assert len(problem["requestId"]) == 36
    assert problem["error"]["code"] == "INVALID_REQUEST_FORMAT"
    assert set(problem["error"]) == {"code", "message", "suggestion", "documentationUrl", "details"}
    assert [field] in [detail["path"] for detail in problem["error"]["details"]]
    [call] = server.calls.refused
    assert call.body == body
    assert field in (call.refused or "")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"team"'])
async def test_a_body_that_is_not_an_object_is_refused(content: bytes) -> None:
    server = emulator(events=10)
    answer = await post(server, None, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_REQUEST_FORMAT"
    assert len(server.calls.refused) == 1


@pytest.mark.parametrize("field", ["envelopeUuid", "workspaceUuid", "user", "dataroom", "team"])
async def test_unknown_ids_and_missing_permissions_are_not_counted_as_refused_calls(field: str) -> None:
    server, uuid = emulator(permissions=frozenset({"envelope"})), "33333333-3333-4333-8333-333333333333"
    body = {"category": "envelope", field: uuid} if "Uuid" in field else {"category": field}
    assert (await post(server, body)).status_code in (400, 403)
    assert server.calls.refused == []


async def test_unknown_paths_have_the_vendors_error() -> None:
    answer = await post(emulator(events=10), {}, path="/public/logs/lost")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.headers.get_list("date") == ["Wed, 20 May 2026 15:00:00 GMT"], "not the time of its clock"


async def test_an_envelope_that_is_not_yet_created_is_unknown() -> None:
    clock = Clock(NOW)
    server, still_earlier = emulator(clock), emulator()
    known = {item["envelopeUuid"] for item in server.history.truth("envelope")}
    clock.advance(days=5)
    later = [item["envelopeUuid"] for item in server.history.truth("envelope")]
    fresh = next(uuid for uuid in later if uuid not in known)
    answer = await post(still_earlier, {"category": "envelope", "envelopeUuid": fresh})
    assert answer.json()["error"]["code"] == "ENVELOPE_NOT_FOUND"
    assert len(await logs(server, envelopeUuid=fresh)) > 0


@pytest.mark.parametrize("path", ["/public/logs/list", "/public/utils/whoami"])
@pytest.mark.parametrize("bearer", ["sandbox-access-key:wrong", "wrong:" + "5a" * 32, "nothing"])
async def test_bad_credentials_are_refused(path: str, bearer: str) -> None:
    answer = await post(emulator(events=10), {"category": "team"}, path=path, bearer=bearer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTHENTICATION_ERROR")


async def test_records_can_be_appended_late_and_become_visible_later() -> None:
    clock = Clock(NOW)
    server = emulator(clock, records=[record("old", 1000), record("young", 9000)])
    server.history.append("ENVELOPE_SENT", timestamp=5000, event_data={"name": "late"})
    soon = NOW + timedelta(minutes=1)
    server.history.append("ENVELOPE_SENT", timestamp=NOW, event_data={"name": "soon"}, visible_at=soon)
    assert names(await logs(server, sortOrder="asc")) == ["old", "late", "young"]
    assert names(await logs(server, sortBy="id")) == ["late", "young", "old"]
    clock.advance(minutes=1)
    assert names(await logs(server, sortOrder="asc")) == ["old", "late", "young", "soon"]
    assert [item["sequence"] for item in server.history.truth()] == [0, 1, 2, 3]


async def test_retention_deletes_the_oldest() -> None:
    server = emulator(records=[record(str(n), n, envelope_uuid=f"{n:08d}{NIL[8:]}") for n in range(10)])
    assert await logs(server, envelopeUuid=f"{2:08d}{NIL[8:]}")
    assert server.history.delete_oldest(3) == 3
    assert names(await walk(server, sortOrder="asc", limit=4)) == [str(n) for n in range(3, 10)]
    answer = await post(server, {"category": "envelope", "envelopeUuid": f"{2:08d}{NIL[8:]}"})
    assert answer.json()["error"]["code"] == "ENVELOPE_NOT_FOUND"
    server.history.append("ENVELOPE_SENT", timestamp=20, event_data={"name": "10"})
    assert names(await logs(server, sortOrder="asc")) == [str(n) for n in range(3, 11)]
    assert server.history.delete_oldest(100) == 8
    assert server.history.size() == 0
