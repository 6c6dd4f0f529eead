"""Map Taktikal's statuses, signees and processes to the parts of an event. Pure.

Source of the statuses: the vendor's Activity Log page ("Example Statuses: common values include") and its webhook page
(Canceled, Expired, Reminder, Signup, Auth, SignedDocument, AllSigned). The list is open: a status without a row is
`unknown`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from app.domain.event import Actor, Delivery, Envelope, Recipient
from app.domain.memoize import memoize
from app.providers.base import TypeMapping
from app.providers.taktikal.models import Entry, Signee
from app.providers.taktikal.recipient_id import recipient_id
from app.providers.taktikal.wire import Process

MAPPING_VERSION = "2026-11-28"

_STATUSES = {
    "Created": "envelope.created",
    "Started": "envelope.started",
    "Completed": "envelope.completed",
    # The last signature; `Completed` follows once all jobs behind it have finished (vendor's webhook page).
    "AllSigned": "envelope.all_signed",
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

#: Types of messages whose description names the channel, and what those messages are for.
_MESSAGES = {"recipient.invited": "invitation", "recipient.reminded": "reminder"}

MAPPING: tuple[TypeMapping, ...] = (
    *(TypeMapping(status, type_, "envelope") for status, type_ in _STATUSES.items()),
    *(TypeMapping(f"*:{state}", f"notification.{status}", "envelope") for state, status in _STATES.items()),
)

_BY_CASEFOLD = {status.casefold(): type_ for status, type_ in _STATUSES.items()}
_DELIVERY_METHOD = re.compile(r"delivery method\s*:\s*(\w+)")
_OWN_TEXTS = attrgetter(
    "status", "created_by", "flow_key", "sequence_key", "user_agent", "file_name", "signature_location"
)
_BREAK = "\n\0\n"  #: between the descriptions of a log
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class StatusMapping(msgspec.Struct, frozen=True):
    """What a status maps to. `purpose`: of the message whose channel only the description names; None for others."""

    type: str
    outcome: str | None
    delivery: Delivery | None
    purpose: str | None


@memoize
def meaning_of(status: str) -> StatusMapping:
    """Return the status's row of the table, or one of type `unknown`."""
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
    return StatusMapping(type_, outcome, delivery, _MESSAGES.get(type_) if delivery is None else None)


def delivery_of(description: str, purpose: str) -> Delivery | None:
    """Return the delivery of a message whose description has the words "Delivery method : Sms"."""
    lowered = description.lower()
    start = lowered.find("delivery method")
    channel = _channel_of(lowered[start:]) if start >= 0 else None
    return Delivery(channel, "sent", purpose) if channel else None


@memoize
def _channel_of(words: str) -> str | None:
    method = _DELIVERY_METHOD.search(words)
    return method[1] if method else None


def address_of(text: object) -> str | None:
    """Return an e-mail address without blanks around it; None for what is no address."""
    return text.strip() if isinstance(text, str) and "@" in text else None


def _folded(address: str | None) -> str | None:
    """The form in which two spellings of one address are equal."""
    return None if address is None else unicodedata.normalize("NFC", address).casefold()


class EventParts:
    """What the events of one process share: each person and each envelope is made once, and must not be changed."""

    __slots__ = (
        "_actors",
        "_descriptions",
        "_envelopes",
        "_name",
        "_owner",
        "_process",
        "_recipients",
        "_status",
        "shown",
    )

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
        #: A text without the process's links and signee keys; None where no text but descriptions can hold any.
        self.shown = process.secrets.out_of_text if process.secrets and not self._is_clean() else None
        self._descriptions: list[str] | None = None
        self._actors: dict[tuple[str | UnsetType | None, str | UnsetType | None], Actor] = {}
        self._envelopes: dict[tuple[str | UnsetType | None, ...], Envelope] = {}
        self._recipients: dict[str, Recipient] = {}

    def _is_clean(self) -> bool:
        """Whether none of the process's texts repeats a link or a signee key, descriptions aside: one search for all,
        for a search of each takes most of an event's time."""
        process, body = self._process, self._process.body
        if process.has_short_keys:
            return False  # those are hidden where they are the whole text
        texts: set[object] = {self._name, self._status, body.file_name}
        for signee in process.signees.values():
            texts.update((signee.name, signee.email, signee.phone, signee.ssn, signee.signature_type))
        for own in map(_OWN_TEXTS, process.entries):
            texts.update(own)
        texts.update(one.sequence_key for one in body.sequence_signees or ())
        joined = "\n".join(text for text in texts if isinstance(text, str))
        return process.secrets.out_of_text(joined) == joined

    def description(self, index: int) -> str | None:
        """The description of an entry, by its place in the log, without links and signee keys."""
        entries, secrets = self._process.entries, self._process.secrets
        text = entries[index].description or None
        if text is None or not secrets:
            return text
        if self._descriptions is None:
            self._descriptions = []
            joined = _BREAK.join(one.description or "" for one in entries)
            # Other letters and links are searched for in each by itself: their neighbours would be changed with them.
            if joined.isascii() and "/" not in joined and not self._process.has_short_keys:
                self._descriptions = secrets.out_of_text(joined).split(_BREAK)
        return self._descriptions[index] if len(self._descriptions) == len(entries) else secrets.out_of_text(text)

    def actor(self, entry: Entry) -> Actor:
        """`createdBy` is an e-mail address, or the name of a system (`Taktikal.Core`, `Mailgun`)."""
        key = (entry.created_by, entry.signee_key)
        found = self._actors.get(key)
        if found is None:
            found = self._new_actor(entry.created_by or None, entry.signee_key or "")
            self._actors[key] = found = found if self.shown is None else _shown(found, self.shown)
        return found

    def _new_actor(self, text: str | None, own: str) -> Actor:
        """The entry's own signee (`own`) where the author has that signee's address; otherwise the only signee of the
        process who has it (contract, section 2)."""
        address = address_of(text)
        if address is None:
            return Actor("system", None, text)
        wanted, signees = _folded(address), self._process.signees
        matches = [key for key, signee in signees.items() if _folded(address_of(signee.email)) == wanted]
        key = own if own in matches else matches[0] if len(matches) == 1 else None
        if key is None:
            return Actor("user", None, None, address)
        return Actor("recipient", recipient_id(self._process.key, key), signees[key].name or None, address)

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
            signee = self._process.signees.get(key) or _NOBODY
            found = _recipient(recipient_id(self._process.key, key), signee)
            self._recipients[key] = found = found if self.shown is None else _shown(found, self.shown)
        return found


_Part = TypeVar("_Part", Actor, Envelope, Recipient)


def _shown(part: _Part, shown: Callable[[str], str]) -> _Part:
    """A new part of an event with its texts as they may be shown; its id and kind stay what they are."""
    for name in (
        "name",
        "email",
        "owner",
        "phone",
        "national_id",
        "signature_type",
        "status",
        "flow_id",
        "sequence_id",
    ):
        if text := getattr(part, name, None):
            setattr(part, name, shown(text))
    return part


def owner_of(entries: Iterable[Entry]) -> str | None:
    """Return who started the process: `createdBy` of its `Created` entry; None for a log without that entry."""
    for entry in entries:
        if entry.status and entry.status.casefold() == "created":
            return address_of(entry.created_by)
    return None


_NOBODY = Signee()


def _recipient(id_: str, signee: Signee) -> Recipient:
    signature = signee.signature_type or None
    return Recipient(
        id=id_,
        name=signee.name or None,
        email=(signee.email or "").strip() or None,
        phone=text_of(signee.phone),
        national_id=text_of(signee.ssn),
        signature_type=_HUMP.sub("_", signature).lower() if signature else None,
    )


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
