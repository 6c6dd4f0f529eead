"""The response of `POST /public/envelope/get`, derived from an envelope's log records.

Source of the shape: `subnoto-api-client` 2.16.1, `generated/models/post_public_envelope_get_response_200*.py`.
"""

from collections.abc import Sequence
from typing import Any

from .history import Record

_ENDS = {"ENVELOPE_COMPLETED": "complete", "ENVELOPE_DECLINED": "declined", "ENVELOPE_CANCELED": "canceled"}


_EXPIRY = 30 * 86_400_000  #: milliseconds after sending


def envelope_of(uuid: str, records: Sequence[Record], now: int) -> dict[str, Any]:
    """Return the envelope's state after its records, at least one, in order of insertion. `now` in milliseconds."""
    types = [record.event_type for record in records]
    first = records[0]
    created = next((record for record in records if record.event_type == "ENVELOPE_CREATED"), first)
    sent = next((record for record in records if record.event_type == "ENVELOPE_SENT"), None)
    people: Sequence[dict[str, Any]] = sent.event_data.get("recipients", ()) if sent else ()
    ended = next((_ENDS[type_] for type_ in reversed(types) if type_ in _ENDS), None)
    signed = {_address(record) for record in records if record.event_type == "DOCUMENT_SIGNED"}
    declined = {_address(record) for record in records if record.event_type == "ENVELOPE_DECLINED"}
    name = str(created.author.get("name") or "")
    firstname, _, lastname = name.partition(" ")
    email = str(created.author.get("email") or "")
    status = "draft" if sent is None else "expired" if sent.timestamp + _EXPIRY <= now else "signing"
    return {
        "uuid": uuid,
        "title": str(created.event_data.get("envelopeTitle") or "Untitled"),
        "status": ended or status,
        "creationDate": created.timestamp,
        "updateDate": max(record.timestamp for record in records),
        "sentDate": sent.timestamp if sent else None,
        "owner": {
            "uuid": str(created.author.get("uuid")), "email": email, "firstname": firstname, "lastname": lastname,
        },
        "sender": {"email": email, "name": name},
        "documents": [],
        "attachments": [],
        "tags": [],
        "metrics": {
            "signatureCount": types.count("DOCUMENT_SIGNED"), "signatureRequiredCount": len(people),
            "approvalCount": types.count("ENVELOPE_APPROVED"), "approvalRequiredCount": 0,
        },
        "signatureOrder": bool(sent and sent.event_data.get("sequential")),
        "customMessage": None,
        "useUserAsSenderName": True,
        "timestampEnabled": False,
        "expirationPeriod": 30,
        "reminderFrequencyPeriod": None,
        "recipients": [_recipient(number, person, signed, declined) for number, person in enumerate(people, 1)],
    }  # fmt: skip


def _address(record: Record) -> object:
    person = record.event_data.get("recipient")
    return person.get("email") if isinstance(person, dict) else None


def _recipient(order: int, person: dict[str, Any], signed: set[object], declined: set[object]) -> dict[str, Any]:
    firstname, _, lastname = str(person.get("name") or "").partition(" ")
    email = person.get("email")
    return {
        "email": email,
        "firstname": firstname,
        "lastname": lastname,
        "phone": f"+3535550{order:03}",
        "role": person.get("role", "signer"),
        "order": order,
        "associatedContact": False,
        "status": "declined" if email in declined else "signed" if email in signed else "pending",
        "language": "en",
        "verificationType": "sms",
    }
