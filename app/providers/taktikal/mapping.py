"""Map Taktikal's statuses to types, outcomes and deliveries. Pure.

Source of the statuses: the vendor's Activity Log page ("Example Statuses: common values include") and its webhook page
(Canceled, Expired, Reminder, Signup, Auth, SignedDocument, AllSigned). The list is open: a status without a row is
`unknown`.
"""

from __future__ import annotations

import re

import msgspec

from app.domain.event import Delivery
from app.domain.text import memoize
from app.providers.base import TypeMapping

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

#: Channels named after the message's purpose; they use e-mail (Mailgun).
_PURPOSES = {"confirmation": "confirmation", "salesperson": "sender_notice"}

#: Types of messages whose description contains the channel, and their purposes.
_MESSAGES = {"recipient.invited": "invitation", "recipient.reminded": "reminder"}

MAPPING: tuple[TypeMapping, ...] = (
    *(TypeMapping(status, type_, "envelope") for status, type_ in _STATUSES.items()),
    *(TypeMapping(f"*:{state}", f"notification.{status}", "envelope") for state, status in _STATES.items()),
)

_BY_CASEFOLD = {status.casefold(): type_ for status, type_ in _STATUSES.items()}
_DELIVERY_METHOD = re.compile(r"delivery method\s*:\s*(\w+)")


class StatusMapping(msgspec.Struct, frozen=True):
    """Mapping of a status. `purpose`: of a message whose channel is only in the description; None for others."""

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
    """Return the delivery of a message whose description contains "Delivery method : Sms"."""
    lowered = description.lower()
    start = lowered.find("delivery method")
    channel = _channel_of(lowered[start:]) if start >= 0 else None
    return Delivery(channel, "sent", purpose) if channel else None


@memoize
def _channel_of(words: str) -> str | None:
    method = _DELIVERY_METHOD.search(words)
    return method[1] if method else None


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
