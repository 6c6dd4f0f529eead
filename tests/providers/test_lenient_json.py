"""Malformed JSON: one unreadable record hides no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import SourceFailed
from app.providers.http.lenient_json import MAX_DEPTH, read_json
from app.providers.subnoto.wire import decode_page
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import decode_activity

DEEP = "[" * 900 + "]" * 900
UNUSABLE = {
    "NaN": "NaN", "Infinity": "-Infinity", "out of range": "1e999", "five thousand digits": "9" * 5000,
    "nine hundred deep": DEEP, "fifty thousand deep": "[" * 50_000 + "]" * 50_000,
    "deep objects": '{"a":' * 100 + "1" + "}" * 100,
}  # fmt: skip


def log_of(*records: str) -> bytes:
    return f'{{"logs": [{", ".join(records)}], "totalCount": {len(records)}}}'.encode()


def record(number: int, data: str = "{}", **members: Any) -> str:
    body = {"eventType": "ENVELOPE_SENT", "timestamp": 1_780_000_000_000 + number, **members}
    return json.dumps(body)[:-1] + f', "eventData": {{"odd": {data}}}}}'


def process(key: str, *entries: str, **members: Any) -> str:
    return json.dumps({"processKey": key, **members})[:-1] + f', "activityLog": [{", ".join(entries)}]}}'


def entry(number: int, data: str = "1", **members: Any) -> str:
    body = {"id": number, "status": "Started", "createdAt": f"2026-05-01T00:00:{number:02}Z", **members}
    return json.dumps(body)[:-1] + f', "odd": {data}}}'


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unreadable_record_hides_no_other(value: str) -> None:
    page = decode_page(log_of(record(1), record(2, value), record(3)))
    assert [row.bad for row in page.rows] == [False, True, False]
    activity = decode_activity(f"[{process('p', entry(1), entry(2, value), entry(3))}]".encode())
    records, bad = records_of("main", activity.processes[0])
    assert ([one.event().provider_id for one in records], bad) == (["1", "3"], 1)


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unreadable_process_hides_no_other(value: str) -> None:
    odd = process("q", entry(1))[:-1] + f', "odd": {value}}}'
    activity = decode_activity(f"[{process('p', entry(1))}, {odd}]".encode())
    assert ([one.key for one in activity.processes], activity.unreadable.total()) == (["p"], 1)


@pytest.mark.parametrize("value", ['"\\ud83d"', '"a\\udc00b"', '"\\ud83dx"'])
def test_half_a_surrogate_pair_does_not_lose_a_record(value: str) -> None:
    page = decode_page(log_of(record(1), record(2, value)))
    assert not any(row.bad for row in page.rows)
    assert "\ufffd" in page.rows[1].body["eventData"]["odd"]


@pytest.mark.parametrize(
    ("value", "read"),
    [('"a\nb\x00\x1b"', "a\nb\x00\x1b"), ('"C:\\Users \\u12"', "C:\\Users \\u12"), ('"\\\\n \\""', '\\n "')],
)
def test_a_raw_control_character_or_an_unknown_escape_loses_no_record(value: str, read: str) -> None:
    page = decode_page(log_of(record(1), record(2, value)))
    assert not any(row.bad for row in page.rows)
    assert page.rows[1].body["eventData"]["odd"] == read
    activity = decode_activity(f"[{process('p', entry(1), entry(2, value))}]".encode())
    records, bad = records_of("main", activity.processes[0])
    assert (records[1].event().data["odd"], bad) == (read, 0)


@pytest.mark.parametrize("value", [b'"\xff"', b'{"deep": ' + DEEP.encode() + b"}"])
def test_a_member_that_the_gateway_does_not_read_may_hold_anything(value: bytes) -> None:
    page = decode_page(log_of(record(1), record(2, new="?")).replace(b'"?"', value))
    assert [row.bad for row in page.rows] == [False, value != b'"\xff"']
    assert "new" in page.rows[1].body


def test_invalid_utf_8_is_replaced() -> None:
    found = read_json(b'["\xff", "whole"]')
    assert found.value == ["\ufffd", "whole"]


@pytest.mark.parametrize("log", ['"text"', "7", '{"a": 1}', "[7]", '["text"]', "[null]", "[[]]"])
def test_entries_of_wrong_shapes_are_counted(log: str) -> None:
    sent = json.dumps({"processKey": "p"})[:-1] + f', "activityLog": {log}}}'
    activity = decode_activity(f"[{sent}]".encode())
    assert records_of("main", activity.processes[0]) == ([], 1)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[1,", "<!DOCTYPE html><html></html>", "[" * 100_000, '{"a": 1} {"b": 2}', "nul", "'a'", '{"a" 1}'],
)
def test_other_texts_than_json_are_a_failure(body: str) -> None:
    with pytest.raises(SourceFailed):
        read_json(body.encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(JSON)
def test_valid_json_is_decoded_unchanged(value: Any) -> None:
    found = read_json(json.dumps(value).encode())
    assert found.value == value
    assert found.usable(found.value)


@given(st.integers(1, 3 * MAX_DEPTH), st.sampled_from(["[]", "{}"]), st.text(alphabet='[]{}"\\a', max_size=20))
def test_the_bound_on_depth_is_exact_for_any_texts(depth: int, kind: str, text: str) -> None:
    value: Any = text
    for _ in range(depth):
        value = [value] if kind == "[]" else {text: value}
    found = read_json(json.dumps(value).encode())
    assert found.usable(found.value) == (depth <= MAX_DEPTH)
