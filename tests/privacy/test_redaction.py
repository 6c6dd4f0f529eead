"""Private values become `***` wherever they stand, signing links never go out, and nothing else changes."""

from collections.abc import Iterable
from copy import copy
from typing import Any

import pytest
from msgspec import to_builtins

from app.domain.event import Actor, Delivery, Envelope, Event, Recipient, Target
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor
from app.privacy.replacer import MASK
from tests.api.memory import MemoryRecord

PHONE = "+354 581-2345"
NATIONAL_ID = "0101302989"
STREET = "Laugavegur 1"
PRIVATE = (PHONE, NATIONAL_ID, STREET, "101")


class Planted(MemoryRecord):
    """A record with a private value in every place that there is."""

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
            "text": f"call {PHONE}",
            "number": 5812345,
            "timestamp": 15812345000,
            "mobile": 1,
            "isMobile": True,
            "home_address": {"line": "anything"},
            "postalCode": None,
            "list": [["0101302989"]],
            "5812345": "key",
            "email": "jonas@example.com",
            "sequenceSignees": [{"signeeKey": "k", "url": "https://sign.example/secret", "deep": [{"Url": "x"}]}],
            "attachmentReferences": [{"fileName": "a.pdf", "url": "https://files.example/secret"}],
            "webhook": {"url": "https://hook.example/kept"},
        }

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
        "text": f"call {MASK}",
        "number": MASK,
        "timestamp": 15812345000,
        "mobile": MASK,
        "isMobile": True,
        "home_address": MASK,
        "postalCode": None,
        "list": [[MASK]],
        MASK: "key",
        "email": "jonas@example.com",
        "sequenceSignees": [{"signeeKey": "k", "deep": [{}]}],
        "attachmentReferences": [{"fileName": "a.pdf"}],
        "webhook": {"url": "https://hook.example/kept"},
    }
    assert event.raw == {"signee": {"ssn": MASK}, "entry": {"d": f"to {MASK}"}}
    assert event.id == "id-5812345", "an id is computed before masking and stays"


#: What is ours, and what names things: these stay as they are.
UNMASKED = {
    "id", "source", "provider", "type", "category", "outcome", "occurred_at", "actor.kind",
    "envelope.id", "delivery.purpose", "target.kind",
}  # fmt: skip


def test_every_field_that_may_hold_a_vendors_text_is_masked() -> None:
    text = f"SMS {PHONE}:failed"

    def filled(struct: type[Any], **others: Any) -> Any:
        return struct(**dict.fromkeys(struct.__struct_fields__, text) | others)

    parts = {"actor": Actor, "envelope": Envelope, "recipient": Recipient, "delivery": Delivery, "target": Target}
    record = Planted()
    record._event = filled(
        Event, **{name: filled(struct) for name, struct in parts.items()}, data={"x": text}, raw=None
    )
    found = to_builtins(Redactor(private=False, raw=False).event(record))
    kept = {name for name, value in found.items() if value == text}
    kept |= {f"{part}.{name}" for part in parts for name, value in found[part].items() if value == text}
    assert kept == UNMASKED
    assert found["provider_type"] == found["delivery"]["status"] == f"SMS {MASK}:failed"
    assert record.event().delivery == filled(Delivery), "it is shared with other events"


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
def test_the_record_itself_is_left_as_it_was(private: bool) -> None:
    record = Planted()
    Redactor(private=private, raw=True).event(record)
    assert record.event() == Planted().event()
    assert Redactor(private=private, raw=False).event(record).raw is None


def test_with_pseudonyms_nobody_is_named_and_everybody_is_told_apart() -> None:
    names = Pseudonyms("x" * 32)
    event = Redactor(private=False, raw=True, pseudonyms=names).event(Planted())
    assert event.recipient is not None
    assert (event.recipient.name, event.recipient.email) == (names.of("Jonas"), names.of("jonas@example.com"))
    assert event.actor.email == names.of("anna@example.com")
    assert event.data["email"] == names.of("jonas@example.com")
    for person in ("Anna", "Jonas", "example.com"):
        assert person not in str(event)
    seen = Redactor(private=True, raw=True, pseudonyms=names).event(Planted())
    assert seen.actor.email == "anna@example.com", "who may see personal data sees it"


def test_members_whose_names_are_hidden_all_stay() -> None:
    record = Planted()
    record._event.data = {"votes": {"5812345": "yes", "0101302989": "no", "x": None}, "by": {"Anna": 1, "ANNA": 2}}
    event = Redactor(private=False, raw=False).event(record)
    assert event.data["votes"] == {MASK: "yes", f"{MASK} 2": "no", "x": None}
    names = Pseudonyms("x" * 32)
    event = Redactor(private=False, raw=False, pseudonyms=names).event(record)
    assert list(event.data["by"]) == [names.of("Anna"), f"{names.of('Anna')} 2"]
