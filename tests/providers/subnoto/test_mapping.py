"""Subnoto's event types and fixtures, compared with the contract."""

import json
from typing import Any

import pytest

from app.providers.subnoto import PROVIDER, mapping
from app.providers.subnoto.record import SubnotoRecord, number_ties
from app.providers.subnoto.wire import LogPage, decode_page, sent_of
from tests import vocabulary
from tests.providers import fixtures

NAMES = fixtures.names("subnoto")


def page(name: str) -> LogPage:
    found = decode_page(fixtures.body("subnoto", name))
    assert not any(row.bad for row in found.rows)
    return found


def records(name: str) -> list[SubnotoRecord]:
    category = "team" if "team" in name else "envelope"
    found = number_ties("subnoto", category, list(enumerate(page(name).rows)), lambda event_type: True)
    return sorted(found, key=lambda record: record.key)


@pytest.mark.parametrize(
    ("category", "event_type", "type_"),
    [(c, event_type, type_) for c, table in vocabulary.SUBNOTO.items() for event_type, type_ in table.items()],
)
def test_each_row_of_the_contracts_table(category: str, event_type: str, type_: str) -> None:
    assert mapping.type_of(event_type) == type_
    assert mapping.CATEGORY_OF[event_type] == category
    assert mapping.outcome_of(event_type) == ("failure" if type_ in vocabulary.FAILURES else "success")


def test_the_shipped_mapping_equals_the_contracts_table() -> None:
    shipped = {(row.category, row.provider_type): row.type for row in PROVIDER.mapping}
    assert shipped == {(c, name): type_ for c, table in vocabulary.SUBNOTO.items() for name, type_ in table.items()}
    assert len(shipped) == len(PROVIDER.mapping)


def test_event_types_that_every_server_accepts_are_those_of_the_tutorial() -> None:
    assert {c: len(types) for c, types in mapping.TUTORIAL.items()} == {"envelope": 8, "team": 16}
    assert not any(name.startswith(("OAUTH", "AGENT")) for name in mapping.TUTORIAL["team"])
    assert "ENVELOPE_APPROVED" not in mapping.TUTORIAL["envelope"]


@pytest.mark.parametrize("event_type", ["ENVELOPE_ARCHIVED", "envelope_created", "", "*"])
def test_types_without_mapping_are_unknown(event_type: str) -> None:
    assert mapping.type_of(event_type) == "unknown"
    assert mapping.outcome_of(event_type) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_gives_its_expected_events(name: str) -> None:
    """Including their ids, which must never change."""
    assert [fixtures.normalized(record) for record in records(name)] == fixtures.expected("subnoto", name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_sent_is_dropped(name: str) -> None:
    sent = json.loads(fixtures.body("subnoto", name))["logs"]
    found = records(name)
    assert sorted(json.dumps(record.raw(), sort_keys=True) for record in found) == sorted(
        json.dumps(item, sort_keys=True) for item in sent
    )
    for record in found:
        event = fixtures.normalized(record)
        # The event without `raw` contains all of `eventData`, the author, the envelope and the workspace.
        shown = [str(value) for value in fixtures.leaves(event)]
        author = record.row.body.get("author") or {}
        assert all(str(value) in shown for value in fixtures.leaves(record.row.body.get("eventData")))
        named = [
            author.get("name"), author.get("email"), record.row.body.get("envelopeUuid"),
            record.row.body.get("workspaceUuid"),
        ]  # fmt: skip
        assert all(value in shown for value in named if value)


def test_every_documented_type_is_in_a_fixture_in_both_generations() -> None:
    for generation in ("tutorial", "reference"):
        seen = {record.provider_type for name in NAMES if generation in name for record in records(name)}
        newer = {"ENVELOPE_APPROVED", "ENVELOPE_APPROVAL_PHASE_COMPLETED", "INVITE_DECLINED"}
        wanted = set(vocabulary.SUBNOTO_ALL) - {"ENVELOPE_SIGNED"}  # the name that the webhooks use
        if generation == "tutorial":
            wanted = {name for name in wanted - newer if not name.startswith(("OAUTH", "AGENT"))}
        assert seen == wanted


@pytest.mark.parametrize(
    ("author", "kind", "identity"),
    [
        ({"id": 0, "name": "System", "email": ""}, "system", None),
        ({"uuid": "00000000-0000-0000-0000-000000000000", "name": "System"}, "system", None),
        ({"id": 7, "name": "A", "email": "a@example.com"}, "user", "7"),
        ({"uuid": "5d1e6a52-9b7e-4d0a-8c53-7b1f4d7d5a11", "name": "A"}, "user", "5d1e6a52-9b7e-4d0a-8c53-7b1f4d7d5a11"),
        ({"uuid": None, "id": 7}, "user", "7"), ({"name": "nobody"}, "system", None), ({}, "system", None),
        (None, "system", None), ("text", "system", None),
    ],
)  # fmt: skip
def test_an_author_without_identity_is_the_system(author: Any, kind: str, identity: str | None) -> None:
    actor = mapping.actor_of(sent_of({"author": author}).author)
    assert (actor.kind, actor.id) == (kind, identity)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({}, None),
        ({"recipients": [{"email": "a@example.com"}]}, None),
        ({"recipient": {"email": "a@example.com", "name": "A"}}, (None, "A", "a@example.com")),
        ({"recipient": {"uuid": "u", "firstName": "A", "lastname": "B"}}, ("u", "A B", None)),
        ({"recipientEmail": "a@example.com", "recipientUuid": "u"}, ("u", None, "a@example.com")),
        ({"recipient_email": "a@example.com", "recipient_id": 5}, ("5", None, "a@example.com")),
        ({"recipient": "a@example.com"}, (None, None, "a@example.com")),
        ({"recipient": "just words"}, None),
        ({"recipient": None, "recipientName": ""}, None),
        ({"recipient": {"email": True}}, None),
        (
            {"decliner": {"uuid": "u", "name": "D", "email": "d@example.com"}, "reason": "no"},
            ("u", "D", "d@example.com"),
        ),
        ({"declinerEmail": "d@example.com"}, (None, None, "d@example.com")),
        ({"recipient": {"uuid": "u"}, "decliner": {"email": "d@example.com"}}, (None, None, "d@example.com")),
        ({"recipient": {"email": " a@example.com\t"}}, (None, None, "a@example.com")),
        ({"recipientEmail": " a@example.com", "recipientId": 5}, ("5", None, "a@example.com")),
        ({"recipient": {"email": " "}}, None),
    ],
)
def test_a_recipient_is_found_under_every_member_name(data: dict[str, Any], wanted: tuple[Any, ...] | None) -> None:
    found = mapping.recipient_of(data)
    assert (None if found is None else (found.id, found.name, found.email)) == wanted


@pytest.mark.parametrize("author", [{"uuid": "u"}, {"id": 0}])
def test_an_actors_address_is_stripped(author: dict[str, Any]) -> None:
    sent = sent_of({"author": {**author, "email": " a@example.com "}})
    assert mapping.actor_of(sent.author, None, "ENVELOPE_OPENED", {}).email == "a@example.com"


NIL = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("author", "data", "event_type", "wanted"),
    [
        ({"uuid": NIL, "email": "A@Example.com "}, {"recipient": {"uuid": "r", "name": "A", "email": "a@example.com"}},
         "DOCUMENT_SIGNED", ("recipient", "r")),
        ({"id": 0, "email": "d@example.com"}, {"decliner": {"id": "r", "email": "d@example.com"}},
         "ENVELOPE_DECLINED", ("recipient", "r")),
        ({"uuid": "u-1", "email": "a@example.com"}, {"recipientEmail": "a@example.com", "recipientUuid": "r"},
         "DOCUMENT_SIGNED", ("recipient", "r")),
        ({"uuid": NIL, "email": "a@example.com"}, {}, "ENVELOPE_SIGNED", ("recipient", None)),
        ({"uuid": NIL, "email": "a@example.com"}, {"recipientEmail": "b@example.com"}, "DOCUMENT_SIGNED",
         ("system", None)),
        ({"uuid": NIL, "email": "system@example.com"}, {}, "ENVELOPE_COMPLETED", ("system", None)),
        *(({"id": 0, "email": "a@example.com"}, {}, one, ("recipient", None)) for one in ("ENVELOPE_OPENED",
         "ENVELOPE_APPROVED", "RECIPIENT_VERIFIED", "ENVELOPE_DECLINED")),
        *(({"uuid": one, "email": " A@example.com"}, {"recipients": [{"uuid": "r", "email": "a@Example.com"}, *others]},
           "ENVELOPE_OPENED", wanted) for one, others, wanted in [
            (NIL, [{"email": "b@example.com"}, 5], ("recipient", "r")), ("u", [], ("recipient", "r")),
            ("u", [{"email": "a@example.com"}], ("user", "u"))]),
        ({"uuid": "u-1", "email": "a@example.com"}, {"recipientEmail": "b@example.com"}, "ENVELOPE_SENT",
         ("user", "u-1")),
    ],
)  # fmt: skip
def test_an_author_with_the_recipients_address_is_the_recipient(
    author: Any, data: dict[str, Any], event_type: str, wanted: tuple[Any, ...]
) -> None:
    sent = sent_of({"author": author})
    actor = mapping.actor_of(sent.author, mapping.recipient_of(data), event_type, data)
    assert (actor.kind, actor.id) == wanted


@pytest.mark.parametrize(
    ("event_type", "data", "wanted"),
    [
        ("MEMBER_JOINED", {"member": {"uuid": "m", "name": "N", "email": "n@example.com"}},
         ("member", "m", "N", "n@example.com")),
        ("MEMBER_INVITED", {"member": {"email": "n@example.com"}, "invitation": {"id": 7}},
         ("invitation", "7", None, None)),
        ("INVITE_REVOKED", {"member": {"email": "n@example.com"}}, ("member", None, None, "n@example.com")),
        ("API_KEY_CREATED", {"apiKey": {"id": "k", "name": "CI"}}, ("api_key", "k", "CI", None)),
        ("API_KEY_CREATED", {"apiKeyName": "CI"}, ("api_key", None, "CI", None)),
        ("WEBHOOK_DELETED", {"webhook": {"uuid": "w"}}, ("webhook", "w", None, None)),
        ("TEAM_CREATED", {"changes": {}}, None),
        ("BRAND_NEW", {"member": {"email": "n@example.com"}}, ("member", None, None, "n@example.com")),
    ],
)  # fmt: skip
def test_a_team_event_has_its_target(event_type: str, data: dict[str, Any], wanted: tuple[Any, ...] | None) -> None:
    found = mapping.target_of(event_type, data)
    assert (None if found is None else (found.kind, found.id, found.name, found.email)) == wanted


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"title": "T"}, "T"), ({"envelope": {"title": "E"}, "title": "T"}, "E"),
        ({"envelopeTitle": "X", "envelope": {"title": "E"}}, "X"), ({"envelope": "text", "title": 5}, None),
    ],
)  # fmt: skip
def test_the_title_of_an_envelope_has_a_fixed_precedence(data: dict[str, Any], name: str | None) -> None:
    envelope = mapping.envelope_of(sent_of({"envelopeUuid": "e"}), data)
    assert envelope.name == name
