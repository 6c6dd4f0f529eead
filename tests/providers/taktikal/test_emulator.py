"""Taktikal's emulator follows the vendor's documents, and each of its switches has its documented effect."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.taktikal import Emulator, EmulatorOptions, Entry, Process
from tests.worlds import Clock

NOW = datetime(2026, 5, 20, 15, 0, tzinfo=UTC)
ALWAYS = {"StartDate": "2000-01-01", "EndDate": "2100-01-01"}
ACTIVITY = "/api/signing/activity"
SECOND = 10_000_000  # ticks
DAY = 86_400 * SECOND
MAY = 1_777_593_600 * SECOND  # 2026-05-01T00:00:00Z
Given = list[tuple[Process, list[Entry]]]


def emulator(clock: Clock | None = None, processes: Given | None = None, **options: Any) -> Emulator:
    chosen = EmulatorOptions(**{"events": 600, "days": 30, **options})
    return Emulator(chosen, clock=clock or Clock(NOW), processes=processes)


async def get(server: Emulator, params: dict[str, Any], *, path: str = ACTIVITY) -> httpx.Response:
    keys = (server.options.company_key, server.options.api_key)
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator", auth=keys) as client:
        return await client.get(path, params=params)


async def processes(server: Emulator, **params: Any) -> list[dict[str, Any]]:
    answer = await get(server, {**ALWAYS, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def total(server: Emulator, **params: Any) -> int:
    answer = await get(server, {**ALWAYS, **params}, path=f"{ACTIVITY}/total")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"total"}
    number: int = answer.json()["total"]
    return number


def keys(found: list[dict[str, Any]]) -> list[str]:
    return [process["processKey"] for process in found]


def log(process: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in process["activityLog"]]


def given(key: str, *moments: int, **members: Any) -> tuple[Process, list[Entry]]:
    statuses = ["Created", "Started", "SigneeSigned", "Completed"]
    entries = [Entry(key, status, moment) for status, moment in zip(statuses, moments, strict=False)]
    return Process(key, **members), entries


def three() -> Given:
    """Created on the 1st, 2nd and 3rd of May at noon, each active again ten days later."""
    return [given(f"p{n}", MAY + n * DAY + DAY // 2, MAY + (n + 10) * DAY + DAY // 2) for n in range(3)]


async def test_the_history_has_the_requested_length_and_days() -> None:
    server = emulator(events=777, twins=0.05, tie_burst=3)
    truth = list(server.history.truth())
    assert len(truth) == 777 == server.history.size()[1]
    assert len({item["processKey"] for item in truth}) == server.history.size()[0]
    latest = int(NOW.timestamp()) * SECOND
    assert all(latest - 30 * DAY - 3600 * SECOND <= item["ticks"] <= latest for item in truth)


async def test_equal_seeds_and_times_give_equal_histories() -> None:
    one, two, other = emulator(seed=3), emulator(seed=3), emulator(seed=4)
    first, second = await get(one, ALWAYS), await get(two, ALWAYS)
    assert len(first.content) > 10_000
    assert first.content == second.content
    assert first.content != (await get(other, ALWAYS)).content


async def test_an_entry_is_visible_after_the_lag() -> None:
    ticks = int(NOW.timestamp()) * SECOND
    for lag in (0, 3600):
        latest = max(item["ticks"] for item in emulator(events=2000, days=3, lag_seconds=lag).history.truth())
        assert lag <= (ticks - latest) / SECOND < lag + 3600


async def test_the_shape_of_a_response() -> None:
    found = await processes(emulator(events=5000))
    lists = {"activityLog", "signees", "sequenceSignees", "attachmentReferences"}
    assert all(set(process) == {"processKey", "status", "activityDisplayName", "fileName", *lists} for process in found)
    assert {process["status"] for process in found} == {"Completed", "InActive", "Active"}
    always = {"id", "flowKey", "processKey", "status", "description", "createdAt", "createdBy"}
    optional = {"signeeKey", "userAgent", "fileName", "requiresAuth", "signInOrder", "signatureLocation", "sequenceKey"}
    seen: set[str] = set()
    for process in found:
        signees = {signee["signeeKey"] for signee in process["signees"]}
        for entry in process["activityLog"]:
            assert always <= set(entry) <= always | optional
            assert entry["processKey"] == process["processKey"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", entry["createdAt"])
            assert entry.get("signeeKey") in {None, *signees}
            assert None not in entry.values()
            seen |= set(entry)
    assert seen == always | optional
    sequential = [process for process in found if process["sequenceSignees"]]
    assert set(sequential[0]["sequenceSignees"][0]) == {"sequenceKey", "signeeKey", "url", "signingKeys"}
    attached = [a for process in found for a in process["attachmentReferences"]]
    assert {"id", "fileName", "contentLength", "contentType", "url", "processKey"} <= set(attached[0])
    some = found[0]["signees"][0]
    assert {"processKey", "signeeKey", "ssn", "name", "address", "phone", "hasReminders"} <= set(some)
    assert any("email" not in signee for process in found for signee in process["signees"])


async def test_times_have_seven_digits_and_ties_occur() -> None:
    server = emulator(events=2000)
    truth = list(server.history.truth())
    assert len({item["ticks"] % 10 for item in truth}) == 10
    microseconds = Counter((item["processKey"], item["ticks"] // 10) for item in truth)
    assert any(count > 1 for count in microseconds.values())
    coarse = emulator(created_precision="milliseconds")
    assert {item["ticks"] % 10_000 for item in coarse.history.truth()} == {0}
    burst = Counter(item["ticks"] for item in emulator(events=2000, tie_burst=40).history.truth())
    assert burst.most_common(1)[0][1] == 40


async def test_twins_are_equal_in_every_field() -> None:
    def twins(found: list[dict[str, Any]]) -> int:
        counts = Counter(str(entry) for process in found for entry in process["activityLog"])
        return sum(count - 1 for count in counts.values())

    for ids in ("per_process", "company", "none"):
        assert twins(await processes(emulator(entry_ids=ids))) == 0
        assert 20 < twins(await processes(emulator(twins=0.1, entry_ids=ids))) < 120


async def test_entry_ids_have_the_chosen_scope() -> None:
    for process in await processes(emulator(entry_ids="per_process")):
        assert [entry["id"] for entry in process["activityLog"]] == [*range(1, len(process["activityLog"]) + 1)]
    company = await processes(emulator(entry_ids="company"))
    found = sorted(entry["id"] for process in company for entry in process["activityLog"])
    assert found == [*range(1, 601)]
    bare = await processes(emulator(entry_ids="none"))
    assert all("id" not in entry for process in bare for entry in process["activityLog"])


async def test_responses_have_the_chosen_generation_and_letter_case() -> None:
    [process, *_] = await processes(emulator(generation="older"))
    assert not {"status", "fileName"} & set(process)
    assert process["activityDisplayName"]
    assert all("id" not in entry for entry in process["activityLog"])
    server = emulator(letter_case="pascal")
    [process, *_] = await processes(server)
    assert {"ProcessKey", "ActivityLog", "SequenceSignees"} < set(process)
    assert "CreatedAt" in process["ActivityLog"][0]
    assert "SigneeKey" in process["Signees"][0]
    assert set((await get(server, ALWAYS, path=f"{ACTIVITY}/total")).json()) == {"Total"}
    assert set((await get(server, {})).json()) == {"ResponseStatus"}


async def test_processes_have_the_chosen_order() -> None:
    newest = keys(await processes(emulator(order="newest")))
    created = {item["processKey"]: item["ticks"] for item in reversed(list(emulator().history.truth()))}
    assert [created[key] for key in newest] == sorted(created.values(), reverse=True)
    assert keys(await processes(emulator(order="oldest"))) == newest[::-1]
    stable = emulator(order="shuffled_stable")
    shuffled = keys(await processes(stable))
    assert shuffled not in (newest, newest[::-1])
    assert sorted(shuffled) == sorted(newest)
    assert shuffled == keys(await processes(stable))
    assert shuffled[10:30] == keys(await processes(stable, Skip=10, Take=20))
    fresh = emulator(order="shuffled")
    answers = [tuple(keys(await processes(fresh))) for _ in range(3)]
    assert len(set(answers)) == 3
    assert all(sorted(answer) == sorted(newest) for answer in answers)


async def test_take_and_skip_select_a_slice_and_change_no_total() -> None:
    server, capped = emulator(order="oldest"), emulator(order="oldest", max_take=4)
    everything = keys(await processes(server))
    for one, slice_, expected in (
        (server, {"Take": 5}, everything[:5]), (server, {"Take": 5, "Skip": 3}, everything[3:8]),
        (server, {"Skip": len(everything)}, []), (capped, {}, everything[:4]),
        (capped, {"Take": 100, "Skip": 4}, everything[4:8]), (capped, {"Take": 2}, everything[:2]),
    ):  # fmt: skip
        assert keys(await processes(one, **slice_)) == expected
        assert await total(one, **slice_) == len(everything)
    many = emulator(processes=[given(f"p{n}", MAY + n) for n in range(10_001)])
    assert (len(await processes(many)), await total(many)) == (10_000, 10_001)


@pytest.mark.parametrize("path", [ACTIVITY, f"{ACTIVITY}/total"])
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"StartDate": None}, "StartDate"), ({"EndDate": None}, "EndDate"), ({"StartDate": ""}, "StartDate"),
        ({"StartDate": "yesterday"}, "StartDate"), ({"StartDate": "2026-02-30"}, "StartDate"),
        ({"EndDate": "2026-05-01T25:00:00Z"}, "EndDate"), ({"EndDate": "2026-05-01T00:00:00.12345678Z"}, "EndDate"),
        ({"EndDate": "2026-05-01T00:00:00 02:00"}, "EndDate"),
        ({"StartDate": "2026-05-02", "EndDate": "2026-05-01"}, "StartDate"),
        ({"StartDate": "2026-05-02", "EndDate": "2026-05-02"}, "StartDate"), ({"Take": "many"}, "Take"),
        ({"Take": "-1"}, "Take"), ({"Take": "3000000000"}, "Take"), ({"Skip": "1.5"}, "Skip"),
        ({"StatusFilter": "Done"}, "StatusFilter"), ({"FlowType": "Unheard"}, "FlowType"),
    ],
)  # fmt: skip
async def test_an_invalid_query_is_refused_with_its_field(path: str, params: dict[str, Any], field: str) -> None:
    server = emulator(events=10)
    query = {name: value for name, value in {**ALWAYS, **params}.items() if value is not None}
    answer = await get(server, query, path=path)
    assert answer.status_code == 400
    status = answer.json()["responseStatus"]
    assert set(status) == {"errorCode", "message", "errors"}
    [error] = status["errors"]
    assert set(error) == {"errorCode", "fieldName", "message"}
    assert error["fieldName"] == field
    [call] = server.calls.refused
    assert call.params == query


@pytest.mark.parametrize("path", [ACTIVITY, f"{ACTIVITY}/total"])
@pytest.mark.parametrize("auth", [("sandbox-company", "wrong"), ("wrong", "sandbox-api-key"), None])
async def test_bad_credentials_are_refused(path: str, auth: tuple[str, str] | None) -> None:
    transport = httpx.ASGITransport(app=emulator(events=10).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator", auth=auth) as client:
        answer = await client.get(path, params=ALWAYS)
    assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
    assert answer.json()["responseStatus"]["errorCode"] == "NotAuthenticated"


async def test_parameter_names_dates_and_unknown_paths_are_as_in_the_framework() -> None:
    server = emulator()
    answer = await get(server, {"startdate": "2000-01-01", "ENDDATE": "2100-01-01", "tAKE": "3"})
    assert len(answer.json()) == 3
    assert answer.headers.get_list("date") == ["Wed, 20 May 2026 15:00:00 GMT"]
    lost = await get(server, ALWAYS, path="/api/signing")
    assert (lost.status_code, lost.headers["content-type"]) == (404, "text/plain; charset=utf-8")


async def test_entries_can_be_appended_late_and_become_visible_later() -> None:
    clock = Clock(NOW)
    server = emulator(clock, processes=[given("p", MAY)])
    server.history.append("p", "Started", at=MAY - 5, signeeKey="s", id=77)
    server.history.append("new", "Created", visible_at=NOW + timedelta(minutes=1))
    assert keys(await processes(server)) == ["p"]
    clock.advance(minutes=1)
    new, old = await processes(server)
    assert new["processKey"] == "new"
    assert new["activityLog"][0]["createdAt"] == "2026-05-20T15:00:00.0000000Z"
    assert [entry["createdAt"] for entry in old["activityLog"]] == [
        "2026-05-01T00:00:00.0000000Z",
        "2026-04-30T23:59:59.9999995Z",
    ]
    assert (old["activityLog"][1]["id"], old["activityLog"][1]["signeeKey"]) == (77, "s")
    assert keys(await processes(server, EndDate="2026-05-01")) == ["p"]
    assert [item["status"] for item in server.history.truth()] == ["Created", "Started", "Created"]


async def test_a_generated_process_can_be_appended_to() -> None:
    server = emulator()
    before = (await processes(server))[4]
    server.history.append(before["processKey"], "Reminder")
    [after] = await processes(server, ProcessKey=before["processKey"])
    assert log(after) == [*log(before), "Reminder"]
    assert len({entry["id"] for entry in after["activityLog"]}) == len(after["activityLog"])


async def test_a_given_status_is_not_derived_from_the_log() -> None:
    server = emulator(processes=[given("p", MAY, MAY + 1, status="OnHold", created=MAY - 5 * DAY)])
    server.history.append("p", "Completed", at=MAY + 2)
    assert [process["status"] for process in await processes(server)] == ["OnHold"]


async def test_retention_deletes_the_oldest() -> None:
    server = emulator(processes=three())
    assert server.history.delete_oldest(2) == 2
    assert keys(await processes(server)) == ["p2"]
    assert await processes(server, ProcessKey="p0") == []
    assert [item["processKey"] for item in server.history.truth()] == ["p2", "p2"]
    assert server.history.size() == (1, 2)


async def test_the_call_log_contains_every_call() -> None:
    server = emulator()
    await processes(server, Take=7)
    await total(server)
    await get(server, {"StartDate": "2026-05-01"})
    first, second, third = server.calls.calls
    assert (first.method, first.path, first.status, first.records) == ("GET", ACTIVITY, 200, 7)
    assert first.params == {**ALWAYS, "Take": "7"}
    assert (second.path, second.records) == (f"{ACTIVITY}/total", 0)
    assert server.calls.refused == [third]
    assert (server.calls.total, server.calls.records) == (3, 7)
    assert (server.calls.count("/activity"), server.calls.count("/total")) == (2, 1)


# ---- dates, keys and texts -------------------------------------------------------------------------------------------

HOUR = 3600 * SECOND
ACTIVE, CREATED, NEITHER = ("2026-05-11", "2026-05-13"), ("2026-05-01", "2026-05-03"), ("2026-05-05", "2026-05-06")
EVER = ("2000-01-01", "2100-01-01")
PEOPLE = ({"signeeKey": "s", "name": "Someone", "email": "Some.One@example.is"},)
MIDNIGHT, NOON = [given("p", MAY), given("q", MAY + 9 * HOUR)], [given("p", MAY + 12 * HOUR)]
PRECISE, SEVEN = [given("p", MAY + 4 * SECOND // 10)], [given("p", MAY + 12 * HOUR + 7)]
LATE = "2026-05-01T00:00:00.9Z"
Case = tuple[Given, dict[str, Any], tuple[str, str], dict[str, str], list[str]]
CASES: list[Case] = [
    # The selection by a range, alone and with a key.
    *(case for selects, active in (("activity", ["p1", "p0"]), ("creation", [])) for case in (
        (three(), {"range_selects": selects}, ACTIVE, {}, active),
        (three(), {"range_selects": selects}, CREATED, {}, ["p1", "p0"]),
        (three(), {"range_selects": selects}, NEITHER, {}, []),
        (three(), {"range_selects": selects}, ACTIVE, {"ProcessKey": "p1"}, active[:1]),
        (three(), {"range_selects": selects}, CREATED, {"ProcessKey": "p1"}, ["p1"]),
        (three(), {"range_selects": selects}, NEITHER, {"ProcessKey": "p1"}, []),
    )),
    (three(), {"key_dates": "honoured"}, NEITHER, {"ProcessKey": "p1"}, []),
    (three(), {"key_dates": "ignored"}, NEITHER, {"ProcessKey": "p1"}, ["p1"]),
    (three(), {"key_dates": "ignored"}, NEITHER, {}, []),
    # The range's ends, and their precision.
    (MIDNIGHT, {}, ("2000-01-01", "2026-05-01"), {}, []),
    (MIDNIGHT, {"end_inclusive": True}, ("2000-01-01", "2026-05-01"), {}, ["p"]),
    (MIDNIGHT, {}, ("2026-05-01T00:00:00Z", "2100-01-01"), {}, ["q", "p"]),
    *((SEVEN, {}, ("2000-01-01", after), {}, ["p"]) for after in (
        "2026-05-01T12:00:00.0000008Z", "2026-05-01T12:00:00.00001Z", "2026-05-01T12:00:01", "2026-05-01 12:00:01",
        "2026-05-01T12:01", "2026-05-01T14:00:01+02:00", "2026-05-01T07:00:01-0500",
    )),
    *((SEVEN, {}, ("2000-01-01", before), {}, []) for before in (
        "2026-05-01T12:00:00.0000007Z", "2026-05-01T12:00:00", "2026-05-01T14:00:00+02:00",
    )),
    (PRECISE, {}, ("2000-01-01", LATE), {}, ["p"]),
    (PRECISE, {}, (LATE, "2100-01-01"), {}, []),
    (PRECISE, {"query_precision": "seconds"}, ("2000-01-01", LATE), {}, []),
    (PRECISE, {"query_precision": "seconds"}, (LATE, "2100-01-01"), {}, ["p"]),
    *(case for precision, late in (("minutes", "2026-05-01T12:00:59Z"), ("days", "2026-05-01T23:59:59Z")) for case in (
        (NOON, {"query_precision": precision}, ("2000-01-01", late), {}, []),
        (NOON, {"query_precision": precision}, (late, "2100-01-01"), {}, ["p"]),
    )),
    # A range that is empty after truncation to seconds is not refused.
    (MIDNIGHT, {"query_precision": "seconds"}, ("2026-05-01T00:00:00.1Z", LATE), {}, []),
    # Keys and texts.
    *((MIDNIGHT, {}, EVER, {"ProcessKey": key}, []) for key in ("sp" + "0" * 32, "spoiled")),
    ([given("SPx", MAY)], {"key_case": "ignored"}, EVER, {"ProcessKey": "spX "}, ["SPx"]),
    ([given("SPx", MAY)], {"key_case": "honoured"}, EVER, {"ProcessKey": "spX "}, []),
    *(([given("SPx", MAY)], {"key_case": case}, EVER, {"ProcessKey": "SPx"}, ["SPx"])
      for case in ("ignored", "honoured")),
    ([given("p", MAY, signees=PEOPLE), given("q", MAY)], {}, EVER, {"Search": "some.one@"}, ["p"]),
    # A given time of creation takes precedence over the log.
    *(([given("p", MAY, created=MAY - 5 * DAY)], {"range_selects": "creation"}, ends, {}, found)
      for ends, found in ((("2026-05-01", "2100-01-01"), []), (("2000-01-01", "2026-05-01"), ["p"]))),
]  # fmt: skip


@pytest.mark.parametrize(("processes_", "options", "ends", "more", "expected"), CASES)
async def test_dates_keys_and_texts_select_as_chosen(
    processes_: Given, options: dict[str, Any], ends: tuple[str, str], more: dict[str, str], expected: list[str]
) -> None:
    server = emulator(processes=processes_, **options)
    query = {"StartDate": ends[0], "EndDate": ends[1], **more}
    assert keys(await processes(server, **query)) == expected
    assert await total(server, **query) == len(expected)
    assert server.calls.refused == []


@pytest.mark.parametrize(
    ("options", "ends", "expected"),
    [
        ({"logs": "whole"}, ("2026-05-11", "2026-05-12"), ["Created", "Started"]),
        ({"logs": "trimmed"}, ("2026-05-11", "2026-05-12"), ["Started"]),
        ({"logs": "trimmed", "key_dates": "ignored"}, NEITHER, ["Created", "Started"]),
    ],
)
async def test_whole_and_trimmed_logs(options: dict[str, Any], ends: tuple[str, str], expected: list[str]) -> None:
    server = emulator(processes=three(), **options)
    query = {"StartDate": ends[0], "EndDate": ends[1]}
    for more in ({"ProcessKey": "p0"}, *([] if ends == NEITHER else [{}])):
        [process] = await processes(server, **query, **more)
        assert log(process) == expected
        assert process["activityLog"][-1]["id"] == 2
