"""Private values are masked in every field, signing links are removed, and nothing else changes; `q` searches the
masked texts."""

from collections.abc import Iterable
from copy import copy
from typing import Any, ClassVar, cast

import pytest
from msgspec import to_builtins

from app.domain.caller import Caller
from app.domain.event import Actor, Delivery, Envelope, Event, Recipient, Record, Target
from app.domain.query import Query
from app.domain.text import Memoized
from app.feed.visibility import filter_for
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor
from app.privacy.replacer import MASK
from app.providers.base import Source
from app.providers.taktikal.record import records_of
from tests.api.memory import MemoryRecord
from tests.providers.taktikal.items import process_of

PHONE = "+354 581-2345"
NATIONAL_ID = "0101302989"
STREET = "Laugavegur 1"
PRIVATE = (PHONE, NATIONAL_ID, STREET, "101")


class Planted(MemoryRecord):
    """A record with a private value in every field."""

    def __init__(self) -> None:
        super().__init__("s", 0)
        self._event = Event(
            id="id-5812345",
            source="s",
            provider="p",
            type="recipient.signed",
            category="envelope",
            outcome="success",
            provider_type="P",
            provider_id="1",
            occurred_at="2026-05-01T00:00:00.000000Z",
            description="Sent to 5812345 (010130-2989), LAUGAVEGUR 1, 101 Reykjavik",
            actor=Actor("user", name=f"Anna {NATIONAL_ID}", email="anna@example.com"),
            envelope=Envelope("e", name=f"Lease {STREET}.pdf"),
            recipient=Recipient("r", "Jonas", "jonas@example.com", PHONE, NATIONAL_ID, "qualified"),
            delivery=Delivery("sms", "delivered", "invitation"),
            target=None,
            user_agent="Mozilla/5.0 101",
            data=self.content(),
        )

    @staticmethod
    def content() -> dict[str, Any]:
        return {
            "text": f"call {PHONE}", "number": 5812345, "timestamp": 15812345000, "mobile": 1, "isMobile": True,
            "home_address": {"line": "anything"}, "postalCode": None, "list": [["0101302989"]], "5812345": "key",
            "email": "jonas@example.com",
            "sequenceSignees": [{"signeeKey": "k", "url": "https://sign.example/secret", "deep": [{"Url": "x"}]}],
            "attachmentReferences": [{"fileName": "a.pdf", "url": "https://files.example/secret"}],
            "webhook": {"url": "https://hook.example/own"},
        }  # fmt: skip

    def event(self) -> Event:
        return copy(self._event)

    def raw(self) -> Any:
        return {
            "signee": {"ssn": "x", "url": "https://sign.example/secret"},
            "entry": {"d": f"to {NATIONAL_ID}"},
        }

    def texts(self) -> Iterable[tuple[str, str]]:
        return []

    def person_values(self) -> Iterable[str]:
        return ("Anna", "anna@example.com", "Jonas", "jonas@example.com")

    def private_values(self) -> Iterable[str]:
        return PRIVATE


def test_without_the_scope_every_private_value_is_masked() -> None:
    event = Redactor(private=False, raw=True).event(Planted())
    assert event.description == f"Sent to {MASK} ({MASK}), {MASK}, {MASK} Reykjavik"
    assert event.recipient is not None
    assert (event.recipient.phone, event.recipient.national_id) == (MASK, MASK)
    assert (event.recipient.name, event.recipient.email) == ("Jonas", "jonas@example.com")
    assert event.actor.name == f"Anna {MASK}"
    assert event.envelope is not None
    assert event.envelope.name == f"Lease {MASK}.pdf"
    assert event.user_agent == f"Mozilla/5.0 {MASK}"
    assert event.data == {
        "text": f"call {MASK}", "number": MASK, "timestamp": 15812345000, "mobile": MASK, "isMobile": True,
        "home_address": MASK, "postalCode": None, "list": [[MASK]], MASK: "key", "email": "jonas@example.com",
        "sequenceSignees": [{"signeeKey": "k", "deep": [{}]}], "attachmentReferences": [{"fileName": "a.pdf"}],
        "webhook": {"url": "https://hook.example/own"},
    }  # fmt: skip
    assert event.raw == {"signee": {"ssn": MASK}, "entry": {"d": f"to {MASK}"}}
    assert event.id == "id-5812345", "an id is computed before masking"


#: Fields with values of the gateway, and ids: these are not masked.
UNMASKED = {
    "id", "source", "provider", "type", "category", "outcome", "occurred_at", "actor.kind",
    "envelope.id", "delivery.purpose", "target.kind",
}  # fmt: skip


def test_every_field_with_text_of_the_provider_is_masked() -> None:
    text = f"SMS {PHONE}:failed"

    def filled(struct: type[Any], **others: Any) -> Any:
        return struct(**dict.fromkeys(struct.__struct_fields__, text) | others)

    parts = {"actor": Actor, "envelope": Envelope, "recipient": Recipient, "delivery": Delivery, "target": Target}
    record = Planted()
    record._event = filled(
        Event, **{name: filled(struct) for name, struct in parts.items()}, data={"x": text}, raw=None
    )
    found = to_builtins(Redactor(private=False, raw=False).event(record))
    matches_of = {name for name, value in found.items() if value == text}
    matches_of |= {f"{part}.{name}" for part in parts for name, value in found[part].items() if value == text}
    assert matches_of == UNMASKED
    assert found["provider_type"] == found["delivery"]["status"] == f"SMS {MASK}:failed"
    assert record.event().delivery == filled(Delivery), "a Delivery is shared with other events"


def test_with_the_scope_only_links_are_left_out() -> None:
    event = Redactor(private=True, raw=True).event(Planted())
    assert event.description is not None
    assert "5812345" in event.description
    assert event.recipient is not None
    assert event.recipient.phone == PHONE
    assert event.data["number"] == 5812345
    assert event.data["sequenceSignees"] == [{"signeeKey": "k", "deep": [{}]}]
    assert event.raw == {"signee": {"ssn": "x"}, "entry": {"d": f"to {NATIONAL_ID}"}}


@pytest.mark.parametrize("private", [True, False])
def test_redaction_does_not_change_the_record(private: bool) -> None:
    record = Planted()
    Redactor(private=private, raw=True).event(record)
    assert record.event() == Planted().event()
    assert Redactor(private=private, raw=False).event(record).raw is None


def test_pseudonyms_replace_and_distinguish_people() -> None:
    names = Pseudonyms("x" * 32)
    event = Redactor(private=False, raw=True, pseudonyms=names).event(Planted())
    assert event.recipient is not None
    assert (event.recipient.name, event.recipient.email) == (names.of("Jonas"), names.of("jonas@example.com"))
    assert event.actor.email == names.of("anna@example.com")
    assert event.data["email"] == names.of("jonas@example.com")
    for person in ("Anna", "Jonas", "example.com"):
        assert person not in str(event)
    permitted = Redactor(private=True, raw=True, pseudonyms=names).event(Planted())
    assert permitted.actor.email == "anna@example.com", "a caller with pii:read gets the address"


def test_members_with_hidden_names_stay() -> None:
    record = Planted()
    record._event.data = {"votes": {"5812345": "yes", "0101302989": "no", "x": None}, "by": {"Anna": 1, "ANNA": 2}}
    event = Redactor(private=False, raw=False).event(record)
    assert event.data["votes"] == {MASK: "yes", f"{MASK} 2": "no", "x": None}
    names = Pseudonyms("x" * 32)
    event = Redactor(private=False, raw=False, pseudonyms=names).event(record)
    assert list(event.data["by"]) == [names.of("Anna"), f"{names.of('Anna')} 2"]


NAMES = Pseudonyms("x" * 32)


class Searching:
    filters: ClassVar = {"q": "native"}


def records(entries: int, signees: int = 2, **others: Any) -> Iterable[Record]:
    log = [
        {"id": number, "status": "SMS:DELIVERED", "createdAt": "2026-05-01T00:00:00.0000000Z", "signeeKey": "si0",
         "createdBy": f"by{number}@example.is", "fileName": f"contract-{number}.pdf"}
        | {name: f"{value}{number}" for name, value in others.items()}
        for number in range(entries)
    ]  # fmt: skip
    people = [
        {"signeeKey": f"si{number}", "name": f"Jon{number}", "phone": f"+354{5550000 + number}"}
        for number in range(signees)
    ]
    return records_of("t", process_of({"processKey": "sp1", "activityLog": log, "signees": people}))[0]


def matches_of(q: str, found: Iterable[Record], pseudonyms: Pseudonyms | None = None) -> list[bool]:
    keeps = filter_for(Query(q=q), cast(Source, Searching()), Caller("c", frozenset({"events:read"})), pseudonyms)
    return [keeps(record) for record in found]


def test_q_is_searched_in_the_masked_texts() -> None:
    assert matches_of("contract-1.PDF", records(2)) == [True, True], (
        "the texts of an envelope are those of all its entries"
    )
    assert matches_of("5550001", records(2)) == [False, False]
    assert matches_of("jon1", records(2)) == [True, True]
    assert matches_of("jon1", records(2), NAMES) == [False, False]
    assert matches_of(NAMES.of("Jon1"), records(2), NAMES) == [True, True]


def test_a_provider_type_is_compared_as_masked() -> None:
    found = records(1, status="Sent to 555000")  # with the number of the entry, it is the phone of a signee
    for value, matches in (("Sent to 5550000", False), ("Sent to ***", True)):
        for name in ("provider_type", "provider_type_not"):
            query = Query.model_validate({name: (value,)})
            keeps = filter_for(query, cast(Source, Searching()), Caller("c", frozenset({"events:read"})), None)
            assert [keeps(record) for record in found] == [matches == (name == "provider_type")]


def test_a_long_log_is_searched_once_for_all_its_records() -> None:
    """The texts of a record are those of the whole log: one search per record would exceed the time limit of a test."""
    assert not any(matches_of("zzz", records(20_000)))


def test_a_private_value_of_one_entry_is_hidden_in_its_envelope() -> None:
    first, second = records(2, mobileNumber="55512")
    assert first.private_values() is second.private_values()
    assert {"555120", "555121"} <= set(first.private_values())
    assert first.texts() is second.texts()
    assert first.person_values() is second.person_values()


def test_equal_texts_share_a_memoized_result() -> None:
    calls: list[frozenset[str]] = []

    def make(texts: frozenset[str]) -> int:
        calls.append(texts)
        return len(calls)

    cached = Memoized(make, most=2)
    shared = ("a", "b", "")
    assert [cached.of(shared), cached.of(shared), cached.of(["b", "a"]), cached.of(["b"], ["a", ""])] == [
        1,
        1,
        1,
        1,
    ]
    assert [cached.of(shared, ["c"]), cached.of(("c",), shared), cached.of(shared, ["a"])] == [2, 2, 1]
    assert calls == [{"a", "b"}, {"a", "b", "c"}]
    assert [cached.of(["d"]), cached.of(shared)] == [3, 4], "the cache is bounded"
