"""Subnoto's event types, and its records as events. Pure.

Source of the types: the vendor's tutorial "Get activity logs for envelopes and team" (`TUTORIAL`), and its reference
page and SDK `subnoto-api-client` 2.16.1 (`NEWER`). The list is open: a type without a row is `unknown`.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from app.domain.event import Actor, Envelope, Recipient
from app.domain.memoize import memoize
from app.providers.base import TypeMapping
from app.providers.subnoto.wire import Author, Sent

MAPPING_VERSION = "2026-11-22"

_ENVELOPE = {
    "ENVELOPE_CREATED": "envelope.created",
    "ENVELOPE_SENT": "envelope.sent",
    "DOCUMENT_SIGNED": "recipient.signed",
    "ENVELOPE_COMPLETED": "envelope.completed",
    "ENVELOPE_OPENED": "envelope.viewed",
    "ENVELOPE_DECLINED": "envelope.declined",
    "ENVELOPE_CANCELED": "envelope.canceled",
    "RECIPIENT_VERIFIED": "recipient.identity_verified",
}
_TEAM = {
    "TEAM_CREATED": "team.created",
    "TEAM_CONFIG_UPDATED": "team.updated",
    "MEMBER_INVITED": "invitation.created",
    "INVITE_REVOKED": "invitation.revoked",
    "MEMBER_JOINED": "member.joined",
    "MEMBER_REMOVED": "member.removed",
    "MEMBER_ROLE_UPDATED": "member.role_updated",
    "API_KEY_CREATED": "api_key.created",
    "API_KEY_UPDATED": "api_key.updated",
    "API_KEY_INVALIDATED": "api_key.revoked",
    "WEBHOOK_CREATED": "webhook.created",
    "WEBHOOK_UPDATED": "webhook.updated",
    "WEBHOOK_DELETED": "webhook.deleted",
    "SSO_CONFIG_CREATED": "sso_config.created",
    "SSO_CONFIG_UPDATED": "sso_config.updated",
    "SSO_CONFIG_DELETED": "sso_config.deleted",
}
_NEWER_ENVELOPE = {
    "ENVELOPE_APPROVED": "envelope.approved",
    "ENVELOPE_APPROVAL_PHASE_COMPLETED": "envelope.approval_phase_completed",
}
_NEWER_TEAM = {
    "INVITE_DECLINED": "invitation.declined",
    "AGENT_REGISTRATION_CREATED": "agent_registration.created",
    "AGENT_REGISTRATION_UPDATED": "agent_registration.updated",
    "AGENT_REGISTRATION_REVOKED": "agent_registration.revoked",
    "OAUTH_GRANT_APPROVED": "oauth_grant.approved",
    "OAUTH_GRANT_DENIED": "oauth_grant.denied",
    "OAUTH_TOKEN_REVOKED": "oauth_token.revoked",
    "OAUTH_TOKEN_REUSE_DETECTED": "oauth_token.reuse_detected",
}

#: Types that every server generation takes in `eventTypes`, per category.
TUTORIAL: dict[str, frozenset[str]] = {"envelope": frozenset(_ENVELOPE), "team": frozenset(_TEAM)}

TYPES: dict[str, str] = {**_ENVELOPE, **_TEAM, **_NEWER_ENVELOPE, **_NEWER_TEAM}

MAPPING: tuple[TypeMapping, ...] = tuple(
    TypeMapping(provider_type, type_, category)
    for category, table in (("envelope", _ENVELOPE | _NEWER_ENVELOPE), ("team", _TEAM | _NEWER_TEAM))
    for provider_type, type_ in table.items()
)

#: The category that a mapped type belongs to; the provider refuses it with any other.
CATEGORY_OF: dict[str, str] = {row.provider_type: row.category for row in MAPPING}

_FAILURES = frozenset({"OAUTH_GRANT_DENIED"})
#: Ids of the provider itself.
_SYSTEM = frozenset(["0", "0.0", "00000000-0000-0000-0000-000000000000"])


def type_of(event_type: str) -> str:
    return TYPES.get(event_type, "unknown")


def outcome_of(event_type: str) -> str | None:
    if event_type not in TYPES:
        return None
    return "failure" if event_type in _FAILURES else "success"


def author_id(author: Author | None) -> str | None:
    """`uuid` (reference page) or `id` (tutorial), as text."""
    if author is None:
        return None
    value = author.id if author.uuid is None or author.uuid is UNSET else author.uuid
    return None if value is None or value is UNSET else str(value)


def actor_of(author: Author | None) -> Actor:
    """The nil UUID and the id 0 are the system (vendor's reference page and tutorial)."""
    if author is None:
        return Actor("system")
    identity = author_id(author)
    if identity is None or identity in _SYSTEM:
        return Actor("system", None, author.name or None, author.email or None)
    return Actor("user", identity, author.name or None, author.email or None)


def envelope_of(sent: Sent, data: dict[str, Any]) -> Envelope | None:
    if not sent.envelope_uuid:
        return None
    name = _text(data.get("envelopeTitle")) or _text(data.get("envelopeName"))
    return Envelope(sent.envelope_uuid, name=name, workspace_id=sent.workspace_uuid or None)


def recipient_of(data: dict[str, Any]) -> Recipient | None:
    """The recipient named in `eventData`. Its keys are not documented: an object `recipient`, or keys that begin
    with `recipient`, are read; anything else stays in `data` alone."""
    found: dict[str, str] = {}
    inner: Any = None
    for key, value in data.items():
        if key.startswith("recipient"):
            if key == "recipient":
                inner = value
            elif _says(value):
                found[_plain(key.removeprefix("recipient"))] = str(value)
    if isinstance(inner, dict):
        # What the object says goes before what a key beside it says.
        for key, value in inner.items():
            if _says(value):
                found[_plain(key)] = str(value)
    elif isinstance(inner, str) and "@" in inner:
        found.setdefault("email", inner)
    if not found:
        return None
    said = found.get
    parts = (said("firstname"), said("lastname"))
    recipient = Recipient(
        said("uuid") or said("id"),
        said("name") or said("fullname") or " ".join(part for part in parts if part) or None,
        said("email"),
        said("phone") or said("phonenumber"),
        said("nationalid") or said("ssn"),
        said("signaturetype"),
    )
    return recipient if recipient != _NOBODY else None


_NOBODY = Recipient()


@memoize
def _plain(key: str) -> str:
    return key.casefold().replace("_", "")


def _says(value: Any) -> bool:
    return isinstance(value, (str, int)) and value != "" and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
