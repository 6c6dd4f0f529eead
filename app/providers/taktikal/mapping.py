"""Taktikal's statuses, and its log entries as events. Pure.

Source of the statuses: the vendor's Activity Log page ("Example Statuses: common values include") and its webhook page
(Canceled, Expired, Reminder, Signup, Auth, SignedDocument, AllSigned). The list is open: a status without a row is
`unknown`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from app.domain.event import Actor, Delivery, Envelope, Recipient
from app.providers.base import TypeMapping
from app.providers.taktikal.wire import Process

MAPPING_VERSION = "2026-11-22"

_STATUSES = {
    "Created": "envelope.created",
    "Started": "envelope.started",
    "Completed": "envelope.completed",
    "AllSigned": "envelope.completed",
    "Declined": "envelope.declined",
    "Rejected": "envelope.declined",
    "Canceled": "envelope.canceled",
    "Cancelled": "envelope.canceled",
    "Expired": "envelope.expired",
    "SigneeAdded": "recipient.added",
    "SignupSent": "recipient.invited",
    "Signup": "recipient.invited",
    "Reminder": "recipient.reminded",
    "Auth": "recipient.identity_verified",
    "SigneeSigned": "recipient.signed",
    "SignedDocument": "recipient.signed",
}

#: States of the family `CHANNEL:state`: Mailgun's, and those of the SMS gateway.
_STATES = {
    "accepted": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "opened",
    "failed": "failed",
    "complained": "failed",
    "bounced": "failed",
}

#: Channels whose name says what the message was for rather than how it went; they go by e-mail (Mailgun).
_PURPOSES = {"confirmation": "confirmation", "salesperson": "sender_notice"}

MAPPING: tuple[TypeMapping, ...] = (
    *(TypeMapping(status, type_, "envelope") for status, type_ in _STATUSES.items()),
    *(TypeMapping(f"*:{state}", f"notification.{status}", "envelope") for state, status in _STATES.items()),
)

_BY_CASEFOLD = {status.casefold(): type_ for status, type_ in _STATUSES.items()}
_DELIVERY_METHOD = re.compile(r"Delivery method\s*:\s*(\w+)", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

#: Members of an entry that have a place in the event; all others go into `data`.
PLACED = frozenset(
    {
        "id",
        "flowKey",
        "processKey",
        "signeeKey",
        "status",
        "description",
        "userAgent",
        "createdAt",
        "createdBy",
        "sequenceKey",
    }
)


@lru_cache(maxsize=4096)
def type_of(status: str) -> str:
    if (type_ := _BY_CASEFOLD.get(status.casefold())) is not None:
        return type_
    channel, colon, state = status.partition(":")
    known = _STATES.get(state.strip().casefold()) if colon and channel.strip() else None
    return f"notification.{known}" if known else "unknown"


def outcome_of(type_: str) -> str | None:
    if type_ == "unknown":
        return None
    return "failure" if type_ == "notification.failed" else "success"


def delivery_of(status: str, description: str | None) -> Delivery | None:
    """From `CHANNEL:state`; for an invitation, from the words "Delivery method : Sms" of its description, which is
    the only place the provider names it."""
    channel, colon, state = (part.strip() for part in status.partition(":"))
    if colon and channel and state:
        purpose = _PURPOSES.get(channel.casefold())
        state = state.casefold()
        return Delivery("email" if purpose else channel.casefold(), _STATES.get(state, state), purpose)
    if type_of(status) == "recipient.invited" and (method := _DELIVERY_METHOD.search(description or "")):
        return Delivery(method[1].casefold(), "sent", "invitation")
    return None


def actor_of(created_by: Any, process: Process, owner: str | None) -> Actor:
    """`createdBy` is an e-mail address, or the name of a system (`Taktikal.Core`, `Mailgun`)."""
    text = created_by if isinstance(created_by, str) and created_by else None
    if text is None or "@" not in text:
        return Actor("system", None, text)
    if text != owner:
        for key, signee in process.signees.items():
            if str(signee.get("email") or "").casefold() == text.casefold():
                return Actor("recipient", key, text_of(signee, "name"), text)
    return Actor("user", None, None, text)


def owner_of(process: Process) -> str | None:
    """Who started the process: `createdBy` of its `Created` entry; None where the provider did not send that."""
    for entry in process.entries:
        if str(entry.get("status")).casefold() == "created":
            created_by = entry.get("createdBy")
            return created_by if isinstance(created_by, str) and "@" in created_by else None
    return None


def envelope_of(process: Process, entry: dict[str, Any], owner: str | None) -> Envelope:
    status = text_of(process.body, "status")
    signee = entry.get("signeeKey")
    return Envelope(
        process.key,
        name=text_of(process.body, "activityDisplayName")
        or text_of(process.body, "fileName")
        or next((name for one in process.entries if (name := text_of(one, "fileName"))), None),
        status=status.casefold() if status else None,
        owner=owner,
        flow_id=text_of(entry, "flowKey"),
        sequence_id=text_of(entry, "sequenceKey")
        or (process.sequences.get(signee) if isinstance(signee, str) else None),
    )


def recipient_of(process: Process, entry: dict[str, Any]) -> Recipient | None:
    """The signee that the entry names, joined from the process."""
    key = text_of(entry, "signeeKey")
    if key is None:
        return None
    signee = process.signees.get(key, {})
    signature = text_of(signee, "signatureType")
    return Recipient(
        id=key,
        name=text_of(signee, "name"),
        email=text_of(signee, "email"),
        phone=text_of(signee, "phone"),
        national_id=text_of(signee, "ssn"),
        signature_type=_HUMP.sub("_", signature).lower() if signature else None,
    )


def text_of(sent: dict[str, Any], name: str) -> str | None:
    value = sent.get(name)
    return value if isinstance(value, str) and value else None
