"""What the Taktikal emulator selects by dates, keys and texts, and what it counts, under each of its switches."""

from typing import Any

import pytest

from tests.providers.taktikal.emulated import (
    DAY,
    MAY,
    SECOND,
    Given,
    emulator,
    given,
    keys,
    log,
    processes,
    three,
    total,
)

HOUR = 3600 * SECOND
ACTIVE, CREATED, NEITHER = ("2026-05-11", "2026-05-13"), ("2026-05-01", "2026-05-03"), ("2026-05-05", "2026-05-06")
EVER = ("2000-01-01", "2100-01-01")
PEOPLE = ({"signeeKey": "s", "name": "Someone", "email": "Some.One@example.is"},)
MIDNIGHT, NOON = [given("p", MAY), given("q", MAY + 9 * HOUR)], [given("p", MAY + 12 * HOUR)]
PRECISE, SEVEN = [given("p", MAY + 4 * SECOND // 10)], [given("p", MAY + 12 * HOUR + 7)]
LATE = "2026-05-01T00:00:00.9Z"
Case = tuple[Given, dict[str, Any], tuple[str, str], dict[str, str], list[str]]
CASES: list[Case] = [
    # What the range selects, alone and beside a key.
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
    # Its ends, and how precisely they are read.
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
    # A range that vanishes when it is cut to seconds is empty, not refused.
    (MIDNIGHT, {"query_precision": "seconds"}, ("2026-05-01T00:00:00.1Z", LATE), {}, []),
    # Keys and texts.
    *((MIDNIGHT, {}, EVER, {"ProcessKey": key}, []) for key in ("sp" + "0" * 32, "spoiled")),
    ([given("SPx", MAY)], {"key_case": "ignored"}, EVER, {"ProcessKey": "spX "}, ["SPx"]),
    ([given("SPx", MAY)], {"key_case": "honoured"}, EVER, {"ProcessKey": "spX "}, []),
    *(([given("SPx", MAY)], {"key_case": case}, EVER, {"ProcessKey": "SPx"}, ["SPx"])
      for case in ("ignored", "honoured")),
    ([given("p", MAY, signees=PEOPLE), given("q", MAY)], {}, EVER, {"Search": "some.one@"}, ["p"]),
    # A creation that was given counts, whatever the log says.
    *(([given("p", MAY, created=MAY - 5 * DAY)], {"range_selects": "creation"}, ends, {}, found)
      for ends, found in ((("2026-05-01", "2100-01-01"), []), (("2000-01-01", "2026-05-01"), ["p"]))),
]  # fmt: skip


@pytest.mark.parametrize(("processes_", "options", "ends", "more", "expected"), CASES)
async def test_what_is_selected(
    processes_: Given, options: dict[str, Any], ends: tuple[str, str], more: dict[str, str], expected: list[str]
) -> None:
    server = emulator(processes=processes_, **options)
    asked = {"StartDate": ends[0], "EndDate": ends[1], **more}
    assert keys(await processes(server, **asked)) == expected
    assert await total(server, **asked) == len(expected)
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
    asked = {"StartDate": ends[0], "EndDate": ends[1]}
    for more in ({"ProcessKey": "p0"}, *([] if ends == NEITHER else [{}])):
        [process] = await processes(server, **asked, **more)
        assert log(process) == expected
        assert process["activityLog"][-1]["id"] == 2
