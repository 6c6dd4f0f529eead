"""Subnoto's event types, and its records as events. Pure.

Source of the types: the vendor's tutorial "Get activity logs for envelopes and team" (`TUTORIAL`), and its reference
page and SDK `subnoto-api-client` 2.16.1 (`NEWER`). The list is open: a type without a row is `unknown`.
"""

from __future__ import annotations

from typing import Any

from app.domain.event import Actor, Envelope, Recipient
from app.providers.base import TypeMapping

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
_NIL_UUID = "00000000-0000-0000-0000-000000000000"


def type_of(event_type: str) -> str:
    return TYPES.get(event_type, "unknown")


def outcome_of(event_type: str) -> str | None:
    if event_type not in TYPES:
        return None
    return "failure" if event_type in _FAILURES else "success"


def author_id(author: Any) -> str | None:
    """`uuid` (reference page) or `id` (tutorial), as text."""
    if not isinstance(author, dict):
        return None
    value = author.get("uuid")
    if value is None:
        value = author.get("id")
    return None if value is None else str(value)


def actor_of(author: Any) -> Actor:
    """The nil UUID and the id 0 are the system (vendor's reference page and tutorial)."""
    identity = author_id(author)
    if not isinstance(author, dict):
        return Actor("system")
    name, email = _text(author.get("name")), _text(author.get("email"))
    if identity in (None, "0", "0.0", _NIL_UUID):
        return Actor("system", None, name, email)
    return Actor("user", identity, name, email)


def envelope_of(record: dict[str, Any], data: dict[str, Any]) -> Envelope | None:
    identity = _text(record.get("envelopeUuid"))
    if identity is None:
        return None
    name = _text(data.get("envelopeTitle")) or _text(data.get("envelopeName"))
    return Envelope(identity, name=name, workspace_id=_text(record.get("workspaceUuid")))


def recipient_of(data: dict[str, Any]) -> Recipient | None:
    """The recipient named in `eventData`. Its keys are not documented: an object `recipient`, or keys that begin
    with `recipient`, are read; anything else stays in `data` alone."""
    inner = data.get("recipient")
    person = inner if isinstance(inner, dict) else {}
    flat = {
        key.removeprefix("recipient").casefold().replace("_", ""): value
        for key, value in data.items()
        if key != "recipient" and key.startswith("recipient")
    }
    found = {key.casefold().replace("_", ""): value for key, value in person.items()}

    def pick(*names: str) -> str | None:
        for name in names:
            for place in (found, flat):
                value = place.get(name)
                if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
                    return str(value)
        return None

    first, last = pick("firstname"), pick("lastname")
    recipient = Recipient(
        id=pick("uuid", "id"),
        name=pick("name", "fullname") or " ".join(part for part in (first, last) if part) or None,
        email=pick("email") or (inner if isinstance(inner, str) and "@" in inner else None),
        phone=pick("phone", "phonenumber"),
        national_id=pick("nationalid", "ssn"),
        signature_type=pick("signaturetype"),
    )
    return recipient if recipient != Recipient() else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
