"""Taktikal's statuses and fixtures, compared with the contract."""

import json
import re
from typing import Any

import pytest

from app.domain.event import Event
from app.providers.taktikal import PROVIDER, mapping, process_parts
from app.providers.taktikal.models import recipient_id
from app.providers.taktikal.record import TaktikalRecord, records_of
from app.providers.taktikal.wire import decode_activity
from tests import vocabulary
from tests.providers import fixtures
from tests.providers.taktikal.items import process_of

NAMES = fixtures.names("taktikal")
LINK = re.compile(r"https://(sign|files)\.example\.is/secret")


def records(name: str) -> list[TaktikalRecord]:
    page = decode_activity(fixtures.body("taktikal", name))
    assert page.unreadable.total() == 0
    found = [records_of("taktikal", process) for process in page.processes]
    assert sum(bad for _, bad in found) == 0
    return [record for each, _ in found for record in each]


def event_of(entry: dict[str, Any], *signees: dict[str, Any]) -> Event:
    """The event of one entry in a process with some signees."""
    log = [{"createdAt": "2024-01-01T00:00:00Z", **entry}]
    process = process_of({"processKey": "sp", "activityLog": log, "signees": list(signees)})
    return records_of("s", process)[0][0].event()


@pytest.mark.parametrize(("status", "type_"), vocabulary.TAKTIKAL.items())
def test_each_row_of_the_contracts_table(status: str, type_: str) -> None:
    meaning = mapping.meaning_of(status)
    wanted = None if type_ == "unknown" else "failure" if type_ in vocabulary.FAILURES else "success"
    assert (meaning.type, meaning.outcome) == (type_, wanted)


@pytest.mark.parametrize("status", ["created", "SIGNEESIGNED", "smS:Delivered", " SMS : delivered "])
def test_letter_case_does_not_matter(status: str) -> None:
    assert mapping.meaning_of(status).type != "unknown"


def test_the_shipped_mapping_equals_the_contracts_table() -> None:
    shipped = {row.provider_type: (row.type, row.category) for row in PROVIDER.mapping}
    for status, type_ in vocabulary.TAKTIKAL.items():
        if type_ != "unknown" and ":" not in status:
            assert shipped[status] == (type_, "envelope")
    families = {name.removeprefix("*:"): found[0] for name, found in shipped.items() if name.startswith("*:")}
    for status, type_ in vocabulary.TAKTIKAL.items():
        if type_.startswith("notification."):
            assert families[status.partition(":")[2].casefold()] == type_
    assert len(shipped) == len(PROVIDER.mapping)
    assert PROVIDER.mapping_version


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_gives_its_expected_events(name: str) -> None:
    """Including their ids, which must never change."""
    assert [fixtures.normalized(record) for record in records(name)] == fixtures.expected("taktikal", name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_sent_of_an_entry_its_signee_and_its_process_is_dropped(name: str) -> None:
    for sent in json.loads(fixtures.body("taktikal", name)):
        process = process_of(sent)
        for record in records_of("taktikal", process)[0]:
            shown = list(fixtures.leaves([fixtures.normalized(record), record.raw()]))
            signee, entry = process.sent_signee(record.entry.signee_key), process.sent_entries[record.index]
            for value in fixtures.leaves([entry, signee, process.sent_without_lists()]):
                secret = isinstance(value, str) and LINK.search(value)
                assert secret or process.secrets.value(value) in shown


@pytest.mark.parametrize("name", NAMES)
def test_an_event_without_raw_contains_all_members_of_its_entry(name: str) -> None:
    for record in records(name):
        event = fixtures.normalized(record)
        shown = [str(value) for value in fixtures.leaves(event)]
        for member, value in record.raw()["entry"].items():
            if member.casefold() == "createdat" or not value:
                continue
            texts = list(fixtures.leaves(value))
            assert all(str(text) in shown or LINK.search(str(text)) for text in texts), member


@pytest.mark.parametrize("name", [name for name in NAMES if "links" in name or "pascal" in name])
def test_events_contain_no_signing_link(name: str) -> None:
    sent = fixtures.body("taktikal", name).decode()
    assert len(LINK.findall(sent)) >= 4, "the fixture contains no links"
    for record in records(name):
        everything = json.dumps([fixtures.normalized(record), record.raw()])
        assert "secret" not in everything
        assert '"url"' not in everything.lower()
        assert not any("secret" in text for _, text in record.texts())


@pytest.mark.parametrize(
    ("status", "description", "wanted"),
    [
        ("SMS:DELIVERED", None, ("sms", "delivered", None)),
        ("Confirmation:bounced", None, ("email", "failed", "confirmation")),
        ("SalesPerson:accepted", None, ("email", "sent", "sender_notice")),
        ("Viber:seen", None, ("viber", "seen", None)),
        ("SignupSent", "Delivery method : Sms ", ("sms", "sent", "invitation")),
        ("Signup", "Delivery method:Email", ("email", "sent", "invitation")),
        ("Reminder", "Reminder sent. Delivery method : Sms ", ("sms", "sent", "reminder")),
        ("Reminder", "Delivery method : Email", ("email", "sent", "reminder")),
        ("SignupSent", "no method", None),
        ("Created", "Delivery method : Sms", None),
    ],
)
def test_deliveries_are_recognized(status: str, description: str | None, wanted: tuple[Any, ...] | None) -> None:
    found = event_of({"status": status, "description": description}).delivery
    assert (None if found is None else (found.channel, found.status, found.purpose)) == wanted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("clerk@company.example.is", "user"), ("first@example.is", "recipient"), ("First@Example.IS", "recipient"),
        ("  first@example.is\t", "recipient"), ("\u200bfirst@example.is\u00a0", "recipient"),
        ("Taktikal.Core", "system"), ("Mailgun", "system"), ("", "system"),
        (None, "system"), (17, "system"),
    ],
)  # fmt: skip
def test_the_address_decides_the_kind_of_an_actor(text: Any, kind: str) -> None:
    actor = event_of({"createdBy": text}, {"signeeKey": "si", "email": "first@example.is", "name": "F"}).actor
    assert actor.kind == kind
    assert actor.id == (recipient_id("sp", "si") if kind == "recipient" else None)


TWO = (
    {"signeeKey": "a", "email": "both@example.is", "name": "A"},
    {"signeeKey": "b", "email": " Both@example.is ", "name": "B"},
    {"signeeKey": "c", "email": "c@example.is", "name": "C"},
)


@pytest.mark.parametrize(
    ("own", "text", "wanted"),
    [
        ("a", "both@example.is", ("recipient", "a", "A")), ("b", "both@example.is", ("recipient", "b", "B")),
        ("b", " BOTH@example.is", ("recipient", "b", "B")), ("a", "c@example.is", ("recipient", "c", "C")),
        (None, "c@example.is", ("recipient", "c", "C")), ("c", "both@example.is", ("user", None, None)),
        (None, "both@example.is", ("user", None, None)), ("gone", "both@example.is", ("user", None, None)),
    ],
)  # fmt: skip
def test_of_signees_with_one_address_the_entrys_own_is_the_actor(
    own: str | None, text: str, wanted: tuple[Any, ...]
) -> None:
    event = event_of({"createdBy": text, "signeeKey": own}, *TWO)
    kind, key, name = wanted
    assert (event.actor.kind, event.actor.id, event.actor.name) == (kind, key and recipient_id("sp", key), name)
    assert event.actor.email == text.strip()
    if own in ("a", "b"):
        assert event.recipient.email.lower() == "both@example.is"


def test_an_owner_who_also_signs_is_the_recipient() -> None:
    """Contract, section 2: the address decides, for an entry of any status."""
    created = {"status": "Created", "createdBy": "o@example.is"}
    event = event_of(created, {"signeeKey": "si", "email": "o@example.is"})
    assert (event.actor.kind, event.actor.id) == ("recipient", recipient_id("sp", "si"))
    assert event.envelope.owner == "o@example.is"


def test_without_the_created_entry_there_is_no_owner() -> None:
    log = [{"id": 2, "status": "Started", "createdBy": "o@example.is", "createdAt": "2024-01-01T00:00:00Z"}]
    assert process_parts.owner_of(process_of({"processKey": "sp", "activityLog": log}).entries) is None
