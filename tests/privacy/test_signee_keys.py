"""No text of a Taktikal event has a signee key: with the process key it is the signing link."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from app.privacy.redaction import Redactor
from app.providers.taktikal.models import recipient_id
from app.providers.taktikal.record import TaktikalRecord, records_of
from tests.providers.taktikal.items import process_of

KEY, OTHER = "si5ac796820233722ed431f562fa2c41a5", "siOther0001"
LINK = f"https://app.example.is/s/sp1/{KEY}"
TEXTS = [KEY, f"Signee key: {KEY}.", f"/sp1/{KEY}.pdf", LINK, KEY.upper(), quote(LINK, safe=""), f"x{KEY}y", OTHER]


def record(entry: dict[str, Any] | None = None, **members: Any) -> TaktikalRecord:
    log = [{"id": 1, "status": "Created", "createdAt": "2026-05-01T00:00:00Z", "signeeKey": KEY, **(entry or {})}]
    sequence = [
        {"sequenceKey": KEY, "signeeKey": OTHER, "signingKeys": [{"signeeKey": "siThird02", "processKey": "sp2"}]}
    ]
    process = {"processKey": "sp1", "activityLog": log, "sequenceSignees": sequence, **members}
    return records_of("t", process_of(process))[0][0]


def shown(found: TaktikalRecord, private: bool) -> str:
    event = Redactor(private=private, raw=True).event(found)
    return (msgspec.json.encode(event).decode() + str(list(found.texts()))).casefold()


def test_the_id_is_what_the_documents_say() -> None:
    text = f"sp1\0{KEY}".encode()
    assert (
        recipient_id("sp1", KEY)
        == "rcp_" + hashlib.blake2b(text, digest_size=16, person=b"audit.recipient").hexdigest()
    )
    assert recipient_id("sp1", KEY) != recipient_id("sp2", KEY)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_no_text_has_a_key(text: str, private: bool) -> None:
    for entry in (
        dict.fromkeys(("description", "userAgent", "fileName", "createdBy", "flowKey", "sequenceKey", "status"), text),
        {"note": [{"deep": text, text: 1}], "other": text},
        {"fileName": [text], "signatureLocation": {"at": [text]}},
    ):
        signees = [{"signeeKey": KEY, "name": text, "email": f"{text}@x.is", "note": text}]
        if "signatureLocation" in entry:
            signees.append({"signeeKey": "siFourth003", "phone": [text]})
        found = record(entry, fileName=text, activityDisplayName=text, signees=signees)
        answer = shown(found, private)
        assert KEY not in answer
        assert OTHER.casefold() not in answer
        assert "sithird02" not in answer


def test_the_link_of_another_process_in_the_sequence_has_its_own_id() -> None:
    found = record({"description": "next: siThird02"}).event()
    assert found.description == f"next: {recipient_id('sp2', 'siThird02')}"


def test_a_recipient_is_found_by_key_and_by_id() -> None:
    found = record()
    assert found.recipient_id(KEY.upper()) == recipient_id("sp1", KEY)
    assert found.recipient_id("si-unknown") == "si-unknown"


@pytest.mark.parametrize(("key", "phone"), [("5551234", "+354 555 1234"), ("0101302989", "+354 777 1234")])
def test_the_digest_of_a_phone_or_an_id_is_hidden(key: str, phone: str) -> None:
    """Their few possible values could all be tried."""
    signees = [{"signeeKey": key, "phone": phone, "ssn": "010130-2989"}]
    found = record({"signeeKey": key, "description": f"for {key}"}, signees=signees, sequenceSignees=[])
    event = Redactor(private=False, raw=True).event(found)
    assert event.recipient is not None
    assert event.recipient.id == "***"
    assert event.description == "for ***"
    assert recipient_id("sp1", key) not in msgspec.json.encode(event).decode()
