"""Identity of Subnoto's records, ranks among ties, and ordinals of twins."""

import itertools
from typing import Any

import pytest

from app.paging.event_id import decode_event_id
from app.providers.subnoto.record import SubnotoRecord, number_ties, read_locator
from tests.providers.rows import row_of

ENVELOPE = "8f2f1d5e-3b0e-4a2c-9b3e-0f6d1c2b3a40"
BODY: dict[str, Any] = {
    "category": "envelope", "eventType": "ENVELOPE_OPENED", "eventData": {"a": 1, "b": [1, {"c": None}]},
    "author": {"uuid": "u-1", "name": "A", "email": "a@example.com"}, "envelopeUuid": ENVELOPE, "workspaceUuid": "w-1",
}  # fmt: skip


def records(*bodies: dict[str, Any], time: int = 5, keep: Any = lambda event_type: True) -> list[SubnotoRecord]:
    rows = [(number, row_of({**BODY, **body}, time, False)) for number, body in enumerate(bodies)]
    return number_ties("s", "envelope", rows, keep)


def one(**members: Any) -> str:
    (found,) = records(members)
    return found.event().id


@pytest.mark.parametrize(
    "change",
    [
        {"eventType": "ENVELOPE_SENT"}, {"envelopeUuid": "11111111-1111-4111-8111-111111111111"},
        {"workspaceUuid": "w-2"}, {"author": {"uuid": "u-2"}}, {"eventData": {"a": 1}}, {"eventData": None},
    ],
    ids=str,
)  # fmt: skip
def test_changes_that_change_the_id(change: dict[str, Any]) -> None:
    assert one(**change) != one()


@pytest.mark.parametrize(
    "change",
    [
        {"author": {"uuid": "u-1", "name": "Renamed", "email": "new@example.com"}},
        {"eventData": {"b": [1, {"c": None}], "a": 1}}, {"futureMember": 1}, {"category": "envelope "},
    ],
    ids=str,
)  # fmt: skip
def test_changes_that_do_not_change_the_id(change: dict[str, Any]) -> None:
    assert one(**change) == one()


def record(source: str, category: str, body: dict[str, Any], time: int) -> SubnotoRecord:
    (found,) = number_ties(source, category, [(0, row_of(body, time, False))], lambda event_type: True)
    return found


def test_identity_depends_on_source_category_and_time() -> None:
    ids = {
        record(source, category, BODY, time).event().id
        for source, category, time in itertools.product(("s", "t"), ("envelope", "team"), (5, 6))
    }
    assert len(ids) == 8
    assert record("s", "envelope", BODY, 5).event().id in ids


@pytest.mark.parametrize("event_type", ["MEMBER_JOINED", "BRAND_NEW"])
def test_a_team_event_of_any_type_has_its_target_and_names_that_person(event_type: str) -> None:
    body = BODY | {"eventType": event_type, "eventData": {"member": {"name": "Nora", "email": "nora@example.com"}}}
    of_team, of_envelope = (record("s", category, body, 5) for category in ("team", "envelope"))
    target = of_team.event().target
    assert target is not None
    assert (target.kind, target.email) == ("member", "nora@example.com")
    assert {"Nora", "nora@example.com"} <= set(of_team.person_values())
    assert of_envelope.event().target is None


def test_ordinals_do_not_depend_on_records_between_twins() -> None:
    other = {"eventType": "ENVELOPE_SENT"}
    found = records({}, other, {}, {"envelopeUuid": None}, {})
    twins = [record for record in found if record.provider_type == "ENVELOPE_OPENED" and record.key[3] == ENVELOPE]
    assert [decode_event_id(record.event().id).ordinal for record in twins] == [0, 1, 2]
    assert [record.key[4] for record in twins] == [0, 2, 3], "the rank is not the position within the envelope"
    alone = records({}, {}, {})
    assert [record.event().id for record in alone] == [record.event().id for record in twins]


def test_ranks_and_ids_do_not_depend_on_the_order_of_rows() -> None:
    bodies = [{}, {"eventType": "ENVELOPE_SENT"}, {}, {}]
    rows = [(number, row_of({**BODY, **body}, 5, False)) for number, body in enumerate(bodies)]
    wanted = {(record.key, record.event().id) for record in number_ties("s", "envelope", rows, lambda t: True)}
    for order in itertools.permutations(rows):
        found = number_ties("s", "envelope", list(order), lambda t: True)
        assert {(record.key, record.event().id) for record in found} == wanted


def test_ranks_do_not_depend_on_filters_by_type() -> None:
    by_gateway = records(
        {}, {"eventType": "ENVELOPE_SENT"}, {}, keep=lambda event_type: event_type == "ENVELOPE_OPENED"
    )
    by_provider = records({}, {})
    assert [(r.key, r.event().id) for r in by_gateway] == [(r.key, r.event().id) for r in by_provider]


def test_bad_rows_are_left_out() -> None:
    rows = [(0, row_of({"record": None}, 5, True)), (1, row_of(BODY, 5, False))]
    assert [record.key[4] for record in number_ties("s", "envelope", rows, lambda t: True)] == [0]


@pytest.mark.parametrize("envelope", [ENVELOPE, ENVELOPE.upper(), "env-1", "", None, "ö"])
def test_the_locator_contains_category_time_and_envelope(envelope: str | None) -> None:
    found = record("s", "envelope", {**BODY, "envelopeUuid": envelope}, 7)
    assert read_locator(decode_event_id(found.event().id).locator) == ("envelope", 7, envelope)


def test_texts_are_those_of_the_contract() -> None:
    data = {"title": "Lease", "deep": [{"phone": {"of": "555-1"}}, "word", 5, None], "note": "n"}
    (record,) = records({"eventData": data})
    found = list(record.texts())
    assert ("title", "Lease") in found
    assert ("phone", "555-1") in found, "a text within a private member lacks its name"
    assert {text for _, text in found} == {ENVELOPE, "A", "a@example.com", "Lease", "555-1", "word", "n"}


def test_private_values_are_the_recipients() -> None:
    (record,) = records(
        {"eventData": {"recipient": {"phone": "+3545551", "ssn": "999999-1234", "email": "x@example.com"}}}
    )
    assert set(record.private_values()) == {"+3545551", "999999-1234"}
    assert list(records({})[0].private_values()) == []
