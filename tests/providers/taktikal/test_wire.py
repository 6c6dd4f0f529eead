"""Taktikal's responses: letter case, both generations, and malformed ones."""

import json
from typing import Any

import pytest

from app.domain.errors import SourceFailed
from app.providers.taktikal.client import decode_error, decode_total
from app.providers.taktikal.models import Entry, canonical
from app.providers.taktikal.wire import decode_activity, merge_processes
from tests.providers.taktikal.items import process_of


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'[{"a":', b'"text"', b"\xff\xfe", b"7", b"[" * 100_000])
def test_a_response_that_is_not_an_array_of_processes_is_a_failure(body: bytes) -> None:
    with pytest.raises(SourceFailed):
        decode_activity(body)


@pytest.mark.parametrize("item", [1, None, "text", [], {}, {"processKey": None}, {"processKey": 5},
                                  {"processKey": "x" * 10_000}])  # fmt: skip
def test_items_that_are_not_a_process_are_counted(item: Any) -> None:
    page = decode_activity(json.dumps([item, {"processKey": "sp1"}]).encode())
    assert [process.key for process in page.processes] == ["sp1"]
    assert (page.length, page.unreadable.total()) == (2, 1)


def test_an_unreadable_item_has_the_same_key_beside_any_others() -> None:
    keyless, long = {"status": "Created", "signees": [{"name": "é", "ssn": 1.5}]}, {"processKey": "k" * 300}
    alone, beside = (json.dumps([keyless, long, *others]).encode() for others in ([], [{"processKey": float("nan")}]))
    assert decode_activity(beside).unreadable.keys() > decode_activity(alone).unreadable.keys()
    assert decode_activity(json.dumps([None, None, long, {**long, "status": "x"}]).encode()).unreadable == {
        "None": 2,
        "k" * 300: 2,
    }


@pytest.mark.parametrize("lists", [None, "text", {}, [None, 1, "x", []], 5])
def test_lists_of_other_types_are_empty(lists: Any) -> None:
    names = ("activityLog", "signees", "sequenceSignees", "attachmentReferences")
    process = process_of({"processKey": "sp1", **dict.fromkeys(names, lists)})
    assert (process.entries, process.signees, process.sequence_of("si"), bool(process.secrets)) == ([], {}, None, False)


@pytest.mark.parametrize("name", ["processKey", "ProcessKey", "processkey", "PROCESSKEY"])
def test_names_are_read_in_any_letter_case(name: str) -> None:
    assert canonical({name: "sp1", "Unheard-Of": 1}) == {"processKey": "sp1", "Unheard-Of": 1}
    assert decode_activity(json.dumps([{name: "sp1"}]).encode()).processes[0].key == "sp1"


def test_raw_objects_keep_the_providers_spelling() -> None:
    process = process_of(
        {"ProcessKey": "sp1", "ActivityLog": [{"Status": "Created"}], "Signees": [{"SigneeKey": "si"}]}
    )
    assert process.entries == [Entry(status="Created")]
    assert process.sent_entries == [{"Status": "Created"}]
    assert process.sent_signee("si") == {"SigneeKey": "si"}
    assert process.sent_without_lists() == {"ProcessKey": "sp1"}


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (b'{"total": 1342}', 1342), (b'{"total": "1342"}', 1342), (b'{"Total": 0}', 0), (b"{}", None), (b"", None),
        (b"null", None),
    ],
)  # fmt: skip
def test_a_total_may_be_a_number_or_its_digits(body: bytes, total: int | None) -> None:
    assert decode_total(body) == total


@pytest.mark.parametrize(
    "body", [b"[]", b"1342", b'{"total": "many"}', b'{"total": -1}', b'{"total": true}', b"x", b'{"total": 1.5}']
)
def test_a_malformed_total_is_a_failure(body: bytes) -> None:
    with pytest.raises(SourceFailed):
        decode_total(body)


@pytest.mark.parametrize("pascal", [False, True])
def test_errors_are_decoded_from_servicestacks_shape(pascal: bool) -> None:
    text = (
        '{"responseStatus": {"errorCode": "LessThan", "message": "m", "errors":'
        ' [{"errorCode": "LessThan", "fieldName": "StartDate", "message": "m"}]}}'
    )
    if pascal:
        for name in ("responseStatus", "errorCode", "errors", "fieldName"):
            text = text.replace(f'"{name}"', f'"{name[0].upper()}{name[1:]}"')
    found = decode_error(text.encode())
    assert (found.code, found.fields) == ("LessThan", frozenset({"startdate"}))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"responseStatus": 5}', b'{"responseStatus": {"errors": [1, {}]}}']
)
def test_malformed_errors_have_no_code(body: bytes) -> None:
    found = decode_error(body)
    assert (found.code, found.fields) == (None, frozenset())


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("Take must not exceed 50", {"take"}),
        ("Specified argument was out of the range of valid values. (Parameter 'take')", {"take"}),
        ("The mistake is yours", set()),
    ],
)
def test_the_parameter_is_read_from_the_message_of_an_exception(message: str, fields: set[str]) -> None:
    body = json.dumps({"responseStatus": {"errorCode": "ArgumentOutOfRangeException", "message": message}})
    assert decode_error(body.encode()).fields == fields


def test_of_a_repeated_process_the_longer_log_is_kept() -> None:
    short = process_of({"processKey": "sp1", "activityLog": [{"id": 1}]})
    long = process_of({"processKey": "sp1", "activityLog": [{"id": 1}, {"id": 2}]})
    other = process_of({"processKey": "sp2"})
    assert {p.key: len(p.entries) for p in merge_processes([[short, other], [long]])} == {"sp1": 2, "sp2": 0}
    assert {p.key: len(p.entries) for p in merge_processes([[long], [short]])} == {"sp1": 2}


def log_of(*numbers: int, **members: Any) -> dict[str, Any]:
    """Return a process with an entry for each number; a negative one is the time of an entry without id."""
    log = [{"status": "Reminder", "createdAt": f"2024-01-01T00:00:{abs(number):02}Z"} for number in numbers]
    log = [{"id": number} | entry if number > 0 else entry for number, entry in zip(numbers, log, strict=True)]
    return {"processKey": "sp1", "activityLog": log, **members}


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([[1, 2], [3, 4]], [1, 2, 3, 4]),
        ([[1, 3], [2, 4]], [1, 3, 2, 4]),
        ([[1, 2, 3], [1, 2, 3]], [1, 2, 3]),
        ([[1, 2, 3], [2, 3, 4]], [1, 2, 3, 4]),
        ([[1, 2, 3], [3]], [1, 2, 3]),
        ([[1, 2, 2], [3]], [1, 2, 2, 3]),
        ([[1, 2], [2, 3]], [1, 2, 3]),
        ([[1, 2, 2], [2, 3]], [1, 2, 2, 3]),
        ([[1, -2], [-2, 3]], [1, -2, -2, 3]),  # twins without ids, one the last of its half and one the first
        ([[1], [2], [3]], [1, 2, 3]),
    ],
)
def test_the_items_of_a_process_are_merged(items: list[list[int]], wanted: list[int]) -> None:
    sent = [log_of(*numbers, signees=[{"signeeKey": f"s{n}", "name": f"N{n}"}]) for n, numbers in enumerate(items)]
    page = decode_activity(json.dumps([*sent, {"processKey": "other"}]).encode())
    process, _ = page.processes
    assert (page.length, page.items) == (2, len(items) + 1)
    seconds = [abs(number) for number in wanted]
    assert [int((entry.created_at or "")[-3:-1]) for entry in process.entries] == seconds
    assert [int(entry["createdAt"][-3:-1]) for entry in process.sent_entries] == seconds
    assert process.signees.keys() == {f"s{n}" for n in range(len(items))}
    assert all(process.sent_signee(key) == {"signeeKey": key, "name": f"N{key[1:]}"} for key in process.signees)


@pytest.mark.parametrize(
    ("items", "is_ambiguous"),
    [
        ([[-1, -2], [-3, -4]], False),
        ([[-1, -2], [-2, -3]], True),  # twins, or one entry in both halves
        ([[-1, -2, -4], [-2, -3]], True),
        ([[-1, -2], [-2]], True),
        ([[-1, -2], [-2, -3], [4]], True),
        ([[-1, -2], [-1, -2]], False),  # the same item twice
        ([[-1], [-1], [-2]], True),  # an entry twice, or twins in an item each
        ([[1], [1]], False),
        ([[1, 2], [2, 3]], False),
        ([[-1, 2], [2, -3]], False),
    ],
)
def test_items_that_share_entries_without_ids_are_ambiguous(items: list[list[int]], is_ambiguous: bool) -> None:
    page = decode_activity(json.dumps([log_of(*numbers) for numbers in items]).encode())
    assert page.processes[0].is_ambiguous == is_ambiguous


@pytest.mark.parametrize("body", [b"", b" ", b"null"])
def test_a_null_response_contains_no_process(body: bytes) -> None:
    page = decode_activity(body)
    assert (page.length, page.null) == (0, True)
