"""Map Subnoto's event types and records to events. Pure.

Source of the types: the vendor's tutorial "Get activity logs for envelopes and team" (`TUTORIAL`), and its reference
page and SDK `subnoto-api-client` 2.16.1 (`NEWER`). The list is open: a type without a row is `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from app.domain.event import Actor, Envelope, Recipient, Target
from app.domain.text import fold, memoize
from app.providers.base import TypeMapping
from app.providers.subnoto.wire import Author, Sent

MAPPING_VERSION = "2026-11-30"

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
    "ENVELOPE_SIGNED": "recipient.signed",
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

#: The webhooks' name of DOCUMENT_SIGNED: no document shows it in a log.
WEBHOOK_TYPES = frozenset({"ENVELOPE_SIGNED"})

#: Types that every server generation accepts in `eventTypes`, by category.
TUTORIAL: dict[str, frozenset[str]] = {"envelope": frozenset(_ENVELOPE), "team": frozenset(_TEAM)}

TYPES: dict[str, str] = {**_ENVELOPE, **_TEAM, **_NEWER_ENVELOPE, **_NEWER_TEAM}

MAPPING: tuple[TypeMapping, ...] = tuple(
    TypeMapping(provider_type, type_, category)
    for category, table in (("envelope", _ENVELOPE | _NEWER_ENVELOPE), ("team", _TEAM | _NEWER_TEAM))
    for provider_type, type_ in table.items()
)

#: The category of a mapped type; the provider refuses other combinations.
CATEGORY_OF: dict[str, str] = {row.provider_type: row.category for row in MAPPING}

#: Actions of recipients only.
_BY_SIGNERS = frozenset({"recipient.signed", "recipient.identity_verified", "envelope.declined"})
#: Actions of recipients where the author is no user.
_BY_RECIPIENTS = _BY_SIGNERS | {"envelope.viewed", "envelope.approved"}
#: Kinds of targets, and their members of `eventData`.
_TARGETS = {
    "member": "member", "invitation": "invitation", "api_key": "apiKey", "webhook": "webhook",
    "sso_config": "ssoConfig", "agent_registration": "agentRegistration", "oauth_grant": "oauthGrant",
    "oauth_token": "oauthToken",
}  # fmt: skip
_RECIPIENTS = ("decliner", "recipient")  #: of both, who declined is the event's recipient
_TITLES = frozenset({"envelopeTitle", "envelopeName", "envelope", "title"})
#: Plain names of the members that describe a person or another object, with the field of `Recipient` for each.
_DESCRIBING = {
    "uuid": 0, "id": 0, "name": 1, "fullname": 1, "firstname": 1, "lastname": 1, "title": 1, "email": 2, "phone": 3,
    "phonenumber": 3, "nationalid": 4, "ssn": 4, "signaturetype": 5,
}  # fmt: skip
_OBJECTS = (*_RECIPIENTS, *_TARGETS.values())
_FAILURES = frozenset({"OAUTH_GRANT_DENIED"})
#: Ids of the provider itself.
_SYSTEM = frozenset(["0", "0.0", "00000000-0000-0000-0000-000000000000"])


def type_of(event_type: str) -> str:
    return TYPES.get(event_type, "unknown")


class Meaning(msgspec.Struct, frozen=True):
    """Mapping of an event type."""

    type: str
    outcome: str | None


@memoize
def meaning_of(event_type: str) -> Meaning:
    return Meaning(type_of(event_type), outcome_of(event_type))


def outcome_of(event_type: str) -> str | None:
    if event_type not in TYPES:
        return None
    return "failure" if event_type in _FAILURES else "success"


def author_id(author: Author | None) -> str | None:
    """Return `uuid` (reference page) or `id` (tutorial), as text."""
    if author is None:
        return None
    value = author.uuid
    if type(value) is str:
        return value
    value = author.id if value is None or value is UNSET else value
    return None if value is None or value is UNSET else str(value)


def signer_address(author: Author | None, event_type: str) -> str | None:
    """Return the e-mail address of an author who acts as a recipient, else None."""
    if author is None or not (email := stripped(author.email)):
        return None
    is_user = author_id(author) not in (None, *_SYSTEM)
    return None if is_user and TYPES.get(event_type) not in _BY_SIGNERS else email


def actor_of(
    author: Author | None, recipient: Recipient | None = None, event_type: str = "", data: Any = None
) -> Actor:
    """Return the actor: the recipient of `eventData` if the author has the same e-mail address, else the only one of
    its `recipients` with that address. The nil UUID and the id 0 are the system (vendor's reference page and tutorial)
    or, with an address, the recipient of a recipient's event."""
    if author is None:
        return Actor("system")
    identity = author.uuid if type(author.uuid) is str else author_id(author)
    name, email = author.name or None, (author.email.strip() or None) if author.email else None
    address = None if recipient is None else recipient.email
    # Nearly always spelled the same.
    is_same = address == email or (address and email and fold(address) == fold(email))
    if recipient is not None and email and is_same:
        return Actor("recipient", recipient.id, name or recipient.name, email)
    if email and data and type(listed := data.get("recipients")) is list:
        wanted = fold(email)
        known = [one for one in map(_person, listed) if one is not None and fold(one.email or "") == wanted]
        if len(known) == 1:
            return Actor("recipient", known[0].id, name or known[0].name, email)
    if identity is None or identity in _SYSTEM:
        signer = email is not None and "@" in email and address is None and TYPES.get(event_type) in _BY_RECIPIENTS
        return Actor("recipient" if signer else "system", None, name, email)
    return Actor("user", identity, name, email)


class _Shape(msgspec.Struct, frozen=True):
    """What the names in an `eventData` mean, computed once for all of one shape.

    `objects`: by the name of an object of `_OBJECTS`, its members: those of that name, and those that begin with it,
    such as `memberEmail`. The vendor documents neither. `recipients`: the same for recipients, in their order."""

    objects: dict[str, tuple[str, ...]]
    recipients: tuple[tuple[str, tuple[str, ...]], ...]


@memoize
def _shape_of(names: tuple[str, ...]) -> _Shape:
    beginning = {one: tuple(name for name in names if name.startswith(one)) for one in _OBJECTS}
    objects = {one: found for one, found in beginning.items() if found}
    recipients = tuple((name, objects[name]) for name in _RECIPIENTS if name in objects)
    return _Shape(objects, recipients)


def envelope_of(sent: Sent, data: dict[str, Any]) -> Envelope | None:
    """Return the record's envelope, with a title of `eventData`."""
    if not sent.envelope_uuid:
        return None
    name = None if _TITLES.isdisjoint(data) else _title(data)
    return Envelope(sent.envelope_uuid, name, None, None, None, sent.workspace_uuid or None)


def _title(data: dict[str, Any]) -> str | None:
    get = data.get
    name = _text(get("envelopeTitle")) or _text(get("envelopeName"))
    if name is None and isinstance(inner := get("envelope"), dict):
        name = _text(inner.get("title")) or _text(inner.get("name"))
    return name or _text(get("title"))


def recipient_of(data: dict[str, Any]) -> Recipient | None:
    """Return the recipient or decliner of `eventData`; those of `recipients` remain only in `data`."""
    for name, members in _shape_of(tuple(data)).recipients:
        inner = data.get(name)
        # Nearly always one object without siblings and without several names for one field.
        if len(members) == 1 and type(inner) is dict and (fields := _fields_of(tuple(inner))) is not None:
            found = _simple_recipient(inner, fields)
        else:
            found = _recipient(_described(data, name, members))
        if found is not None:
            return found
    return None


@memoize
def _fields_of(names: tuple[str, ...]) -> tuple[tuple[str, int], ...] | None:
    """Return those of an object's names that describe it, each with its field of `Recipient`; None if several have one
    field."""
    fields = tuple((name, _DESCRIBING[plain]) for name, plain in _describing(names))
    return fields if len({field for _, field in fields}) == len(fields) else None


def _simple_recipient(inner: dict[str, Any], fields: tuple[tuple[str, int], ...]) -> Recipient | None:
    values: list[str | None] = [None] * 6
    for name, field in fields:
        value = inner[name]
        if type(value) is str:
            values[field] = value or None
        elif _has_value(value):
            values[field] = str(value)
    values[2] = values[2] and (values[2].strip() or None)
    return Recipient(*values) if any(values) else None


def _person(sent: Any) -> Recipient | None:
    """Return one of `recipients`."""
    return _recipient(_described({"recipient": sent}, "recipient", ("recipient",)))


def _recipient(found: dict[str, str]) -> Recipient | None:
    get = found.get
    id_, full_name, email = get("uuid") or get("id"), get("name") or _name_in(get), stripped(get("email"))
    phone, national_id = get("phone") or get("phonenumber"), get("nationalid") or get("ssn")
    signature_type = get("signaturetype")
    if id_ or full_name or email or phone or national_id or signature_type:
        return Recipient(id_, full_name, email, phone, national_id, signature_type)
    return None


def target_of(event_type: str, data: dict[str, Any]) -> Target | None:
    """Return the object of a team event, also of one without a mapping, from `member`, `invitation`, `apiKey`,
    `webhook`, ... of `eventData`; of several, the one of the event's type."""
    own, objects = type_of(event_type).partition(".")[0], _shape_of(tuple(data)).objects
    for kind in sorted(_TARGETS, key=lambda one: one != own):
        name = _TARGETS[kind]
        if name in objects:
            get = _described(data, name, objects[name]).get
            names = get("uuid") or get("id"), get("name") or _name_in(get), stripped(get("email"))
            if any(names):
                return Target(kind, *names)
    return None


def _described(data: dict[str, Any], name: str, members: tuple[str, ...]) -> dict[str, str]:
    """Return the values of one object in `eventData`, by the plain names of `_DESCRIBING`."""
    found: dict[str, str] = {}
    for key in members:
        if key != name and _has_value(data[key]):
            found[_plain(key.removeprefix(name))] = str(data[key])
    inner = data.get(name)
    if isinstance(inner, dict):
        # The object takes precedence over a sibling member.
        for key, plain in _describing(tuple(inner)):
            value = inner[key]
            if type(value) is str and value:
                found[plain] = value
            elif _has_value(value):
                found[plain] = str(value)
    elif isinstance(inner, str) and "@" in inner:
        found.setdefault("email", inner)
    return found


@memoize
def _describing(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return those of an object's names that describe it, each with its plain name."""
    plain = ((name, _plain(name)) for name in names)
    return tuple(pair for pair in plain if pair[1] in _DESCRIBING)


def _name_in(get: Callable[[str], str | None]) -> str | None:
    """Return the name in a result of `_described` without `name`."""
    parts = filter(None, (get("firstname"), get("lastname")))
    return get("fullname") or get("title") or " ".join(parts) or None


@memoize
def _plain(key: str) -> str:
    return key.casefold().replace("_", "")


def _has_value(value: Any) -> bool:
    return isinstance(value, (str, int)) and value != "" and not isinstance(value, bool)


def stripped(address: str | None) -> str | None:
    """Return an e-mail address without blanks around it, None for an empty one."""
    return (address.strip() or None) if address else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
