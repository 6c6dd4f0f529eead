"""Subnoto's responses: both generations, units of time, and malformed ones."""

import json
from typing import Any

import pytest

from app.domain.errors import SourceFailed
from app.domain.times import parse_rfc3339
from app.providers.subnoto.wire import decode_error, decode_page

NOON = parse_rfc3339("2026-06-01T12:00:00Z")


def row(timestamp: Any, **members: Any) -> dict[str, Any]:
    return {"eventType": "ENVELOPE_SENT", "timestamp": timestamp, **members}


def body(*rows: Any, **totals: Any) -> bytes:
    return json.dumps({"logs": list(rows), **(totals or {"totalCount": len(rows)})}).encode()


@pytest.mark.parametrize(
    ("timestamp", "micros"),
    [
        (1_780_315_200, NOON), (1_780_315_200_000, NOON), (1_780_315_200_123, NOON + 123_000),
        (1_780_315_200.25, NOON + 250_000), (1_780_315_200.123, NOON + 123_000), (1_780_315_200.123457, NOON + 123_457),
        (1_780_315_200_123.5, NOON + 123_500), (1_780_315_200_123_456, NOON + 123_456),
        ("1780315200123", NOON + 123_000), ("1712011501234", parse_rfc3339("2024-04-01T22:45:01.234Z")),
        ("1780315200.5", NOON + 500_000), ("2026-06-01T12:00:00.25Z", NOON + 250_000),
        ("2026-06-01T14:00:00+02:00", NOON), (946_684_800, 946_684_800_000_000),
    ],
)  # fmt: skip
def test_times_of_any_unit_are_decoded(timestamp: Any, micros: int) -> None:
    (found,) = decode_page(body(row(timestamp))).rows
    assert (found.time, found.bad) == (micros, False)


@pytest.mark.parametrize("timestamp", [None, "", "soon", -1, True, [], {}, 10**18, "1e400", "nan", 0, 946_684_799,
                                        4_070_908_800, "2099-01-01T00:00:00Z"])  # fmt: skip
def test_a_record_without_a_readable_time_has_the_time_of_a_neighbour(timestamp: Any) -> None:
    found = decode_page(body(row(timestamp), row(1_780_315_200), row(timestamp), row(1_780_315_201))).rows
    assert [each.bad for each in found] == [True, False, True, False]
    assert [each.time - NOON for each in found] == [0, 0, 0, 1_000_000]


@pytest.mark.parametrize(
    "item",
    [None, 5, "text", [], {}, {"timestamp": 1_780_315_200}, row(1_780_315_200, eventType=5), row(10**40),
     row(1_780_315_200, eventType="X" * 10_000), row(1_780_315_200, envelopeUuid="x" * 10_000)],
)  # fmt: skip
def test_an_unreadable_record_keeps_its_position(item: Any) -> None:
    found = decode_page(body(row(1_780_315_200), item, row(1_780_315_202)))
    assert [each.bad for each in found.rows] == [False, True, False]
    assert found.total == 3


@pytest.mark.parametrize(
    ("totals", "total"),
    [
        ({"totalCount": 7}, 7), ({"pagination": {"totalRecords": 8, "currentPage": 1}}, 8),
        ({"pagination": {"totalRecords": 8}, "totalCount": 7}, 8), ({"pagination": {}, "totalCount": 7}, 7),
        ({"pagination": None, "totalCount": 0}, 0), ({"totalCount": "5"}, 5),
        ({"pagination": {"totalRecords": 8.0}}, 8),
    ],
)  # fmt: skip
def test_both_shapes_of_totals(totals: dict[str, Any], total: int) -> None:
    assert decode_page(body(**totals)).total == total


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>", b"[]", b"{}", b"0", b'{"logs": {}}', b'{"totalCount": 5}', b'{"logs": []}',
        b'{"logs": [], "totalCount": "5.5"}', b'{"logs": [], "totalCount": -1}', b'{"logs": [], "totalCount": true}',
        b'{"logs": [], "pagination": {"totalRecords": null}}', b'{"logs": [', b"\xff", b"\xff\xfe",
        b"7", b'"text"', b'{"logs": 7}', b'{"logs": [], "totalCount": NaN}', b'{"logs": [], "totalCount": 1e999}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_response_that_is_not_a_page_is_a_failure(answer: bytes) -> None:
    with pytest.raises(SourceFailed):
        decode_page(answer)


@pytest.mark.parametrize("answer", [b"", b" \r\n", b"null", b" null\n"])
def test_an_empty_response_is_an_empty_list(answer: bytes) -> None:
    page = decode_page(answer)
    assert (page.rows, page.total) == ([], 0)


def test_an_error_has_its_code_and_a_request_id_of_bounded_length() -> None:
    answer = {"statusCode": 403, "error": {"code": "AUTHORIZATION_ERROR", "message": "m"}, "requestId": "r-1"}
    found = decode_error(json.dumps(answer).encode())
    assert (found.code, found.request_id) == ("AUTHORIZATION_ERROR", "r-1")
    answer["requestId"] = "x" * 500
    assert len(decode_error(json.dumps(answer).encode()).request_id or "") == 128


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"error": "text"}', b'{"error": {"code": 5}, "requestId": 5}']
)
def test_malformed_errors_have_no_code(answer: bytes) -> None:
    found = decode_error(answer)
    assert (found.code, found.request_id) == (None, None)
