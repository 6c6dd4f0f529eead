"""Taktikal's statuses, and its log entries as events. Pure.

Source of the statuses: the vendor's Activity Log page ("Example Statuses: common values include") and its webhook page
(Canceled, Expired, Reminder, Signup, Auth, SignedDocument, AllSigned). The list is open: a status without a row is
`unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from app.domain.event import Actor, Delivery, Envelope, Recipient
from app.domain.memoize import memoize
from app.providers.base import TypeMapping
from app.providers.taktikal.models import Entry, Signee
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
_DELIVERY_METHOD = re.compile(r"delivery method\s*:\s*(\w+)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class StatusMapping(msgspec.Struct, frozen=True):
    """What a status says. `invites`: the description may name the way that the message took."""

    type: str
    outcome: str | None
    delivery: Delivery | None
    invites: bool


@memoize
def meaning_of(status: str) -> StatusMapping:
    """The row of the table, or `unknown`."""
    channel, colon, state = (part.strip() for part in status.partition(":"))
    type_ = _BY_CASEFOLD.get(status.casefold())
    known = _STATES.get(state.casefold()) if colon and channel else None
    if type_ is None:
        type_ = f"notification.{known}" if known else "unknown"
    outcome = None if type_ == "unknown" else "failure" if type_ == "notification.failed" else "success"
    delivery = None
    if colon and channel and state:
        purpose = _PURPOSES.get(channel.casefold())
        delivery = Delivery("email" if purpose else channel.casefold(), known or state.casefold(), purpose)
    return StatusMapping(type_, outcome, delivery, delivery is None and type_ == "recipient.invited")


def invitation_of(description: str) -> Delivery | None:
    """From the words "Delivery method : Sms" of an invitation's description, the only place that names it."""
    lowered = description.lower()
    start = lowered.find("delivery method")
    return _invitation(lowered[start:]) if start >= 0 else None


@memoize
def _invitation(words: str) -> Delivery | None:
    method = _DELIVERY_METHOD.search(words)
    return Delivery(method[1], "sent", "invitation") if method else None


class EventParts:
    """What the events of one process share: each person and each envelope is made once, and must not be changed."""

    __slots__ = ("_actors", "_envelopes", "_name", "_owner", "_process", "_recipients", "_status", "shown")

    def __init__(self, process: Process) -> None:
        self._process = process
        body, entries = process.body, process.entries
        self._owner = owner_of(entries)
        self._name = (
            body.activity_display_name
            or body.file_name
            or next((one.file_name for one in entries if one.file_name and isinstance(one.file_name, str)), None)
        )
        self._status = body.status.casefold() if body.status else None
        #: A text without the process's signing links; None where it has none.
        self.shown = process.links.out_of_text if process.links else None
        self._actors: dict[str | UnsetType | None, Actor] = {}
        self._envelopes: dict[tuple[str | UnsetType | None, ...], Envelope] = {}
        self._recipients: dict[str, Recipient] = {}

    def actor(self, entry: Entry) -> Actor:
        """`createdBy` is an e-mail address, or the name of a system (`Taktikal.Core`, `Mailgun`)."""
        found = self._actors.get(entry.created_by)
        if found is None:
            found = self._new_actor(entry.created_by or None)
            self._actors[entry.created_by] = found = found if self.shown is None else _shown(found, self.shown)
        return found

    def _new_actor(self, text: str | None) -> Actor:
        if text is None or "@" not in text:
            return Actor("system", None, text)
        if text != self._owner:
            for key, signee in self._process.signees.items():
                if signee.email and signee.email.casefold() == text.casefold():
                    return Actor("recipient", key, signee.name or None, text)
        return Actor("user", None, None, text)

    def envelope(self, entry: Entry) -> Envelope:
        """The process, with the flow and the sequence that the entry names."""
        place = (entry.flow_key, entry.sequence_key or entry.signee_key, entry.sequence_key)
        found = self._envelopes.get(place)
        if found is None:
            sequence = entry.sequence_key or (entry.signee_key and self._process.sequence_of(entry.signee_key))
            found = Envelope(
                self._process.key,
                name=self._name,
                status=self._status,
                owner=self._owner,
                flow_id=entry.flow_key or None,
                sequence_id=sequence or None,
            )
            self._envelopes[place] = found = found if self.shown is None else _shown(found, self.shown)
        return found

    def recipient(self, key: str) -> Recipient:
        """The signee of this key, joined from the process."""
        found = self._recipients.get(key)
        if found is None:
            found = _recipient(key, self._process.signees.get(key) or _NOBODY)
            self._recipients[key] = found = found if self.shown is None else _shown(found, self.shown)
        return found


_Part = TypeVar("_Part", Actor, Envelope, Recipient)


def _shown(part: _Part, shown: Callable[[str], str]) -> _Part:
    """A new part of an event with its texts as they may be shown; its ids and kinds stay what they are."""
    for name in ("name", "email", "owner", "phone", "national_id", "signature_type"):
        if text := getattr(part, name, None):
            setattr(part, name, shown(text))
    return part


def owner_of(entries: Iterable[Entry]) -> str | None:
    """Who started the process: `createdBy` of its `Created` entry; None where the provider did not send that."""
    for entry in entries:
        if entry.status and entry.status.casefold() == "created":
            return entry.created_by if entry.created_by and "@" in entry.created_by else None
    return None


_NOBODY = Signee()


def _recipient(key: str, signee: Signee) -> Recipient:
    signature = signee.signature_type or None
    return Recipient(
        id=key,
        name=signee.name or None,
        email=signee.email or None,
        phone=text_of(signee.phone),
        national_id=text_of(signee.ssn),
        signature_type=_HUMP.sub("_", signature).lower() if signature else None,
    )


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
