"""The filters that the gateway judges, in the words of contract section 3."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.event import Actor, Event, Recipient
from app.domain.filters import event_filter, matches_text, matches_type
from app.domain.query import Query


@pytest.mark.parametrize(
    ("patterns", "type_", "wanted"),
    [
        (("recipient.signed",), "recipient.signed", True),
        (("recipient.signed",), "recipient.signed2", False),
        (("recipient.*",), "recipient.signed", True),
        (("recipient.*",), "recipients.added", False),
        (("recipient.*",), "recipient", False),
        (("recipient.*",), "unknown", False),
        (("unknown",), "unknown", True),
        (("api_key.*", "team.created"), "team.created", True),
        (("api.*",), "api_key.created", False),
        (("Recipient.Signed",), "recipient.signed", False),
        ((), "anything", True),
    ],
)
def test_type(patterns: tuple[str, ...], type_: str, wanted: bool) -> None:
    assert matches_type(Query(type=patterns), type_, "X") == wanted


@pytest.mark.parametrize(
    ("values", "provider_type", "wanted"),
    [(("A", "B"), "B", True), (("A",), "a", False), (("A*",), "AB", False), ((), "B", True)],
)
def test_provider_type_is_exact(values: tuple[str, ...], provider_type: str, wanted: bool) -> None:
    assert matches_type(Query(provider_type=values), "recipient.signed", provider_type) == wanted


def test_both_have_to_hold() -> None:
    query = Query(type=("recipient.*",), provider_type=("A",))
    assert matches_type(query, "recipient.signed", "A")
    assert not matches_type(query, "recipient.signed", "B")
    assert not matches_type(query, "envelope.created", "A")


def event(actor: str | None = None, person: Recipient | None = None) -> Event:
    return Event(
        "i",
        "s",
        "p",
        "t",
        "envelope",
        None,
        "T",
        None,
        "",
        None,
        Actor("user", email=actor),
        None,
        person,
        None,
        None,
        None,
        {},
    )


PERSON = Recipient(id="SI-1", email="Anna@Example.com", name="Anna", phone="555")


@pytest.mark.parametrize(
    ("given", "actor", "person", "wanted"),
    [
        ({"actor": "A@EXAMPLE.com"}, "a@example.COM", None, True),
        ({"actor": "a@example.com"}, "aa@example.com", None, False),
        ({"actor": "a@example.com"}, None, None, False),
        ({"actor": "STRASSE@example.com"}, "straße@example.com", None, True),
        ({"recipient": "si-1"}, None, PERSON, True),
        ({"recipient": "anna@example.com"}, None, PERSON, True),
        ({"recipient": "Anna"}, None, PERSON, False),
        ({"recipient": "555"}, None, PERSON, False),
        ({"recipient": "si-1"}, None, None, False),
        ({"recipient": "x"}, None, Recipient(), False),
        ({"actor": "a@example.com", "recipient": "si-1"}, "a@example.com", PERSON, True),
        ({"actor": "a@example.com", "recipient": "si-1"}, "b@example.com", PERSON, False),
        ({"actor": "a@example.com", "recipient": "si-2"}, "a@example.com", PERSON, False),
    ],
)
def test_actor_and_recipient(given: dict[str, Any], actor: str | None, person: Recipient | None, wanted: bool) -> None:
    test = event_filter(Query(**given))
    assert test is not None
    assert test(event(actor, person), str) == wanted


def test_without_people_there_is_no_test() -> None:
    assert event_filter(Query(type=("x",), q="y")) is None


@pytest.mark.parametrize(
    ("wanted", "texts", "found"),
    [("LEASE", ["a lease."], True), ("ss", ["Straße"], True), ("x", [], False), ("ab", ["a", "b"], False)],
)
def test_text(wanted: str, texts: list[str], found: bool) -> None:
    assert matches_text(wanted, texts) == found
