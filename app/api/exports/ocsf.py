"""OCSF 1.7: Entity Management (class 3004), for actions on envelopes, members, keys and settings."""

from __future__ import annotations

from typing import Any

from app.api.rendering import encode, present
from app.domain.event import Event
from app.domain.times import parse_rfc3339

VERSION = "1.7.0"
CLASS_UID = 3004
CATEGORY_UID = 3

_OTHER = 99

#: Second half of a type -> OCSF's activity. Any other is Other, with the type as its name.
ACTIVITIES: dict[str, tuple[int, str]] = {
    "created": (1, "Create"),
    "added": (1, "Create"),
    "viewed": (2, "Read"),
    "opened": (2, "Read"),
    "updated": (3, "Update"),
    "role_updated": (3, "Update"),
    "deleted": (4, "Delete"),
    "joined": (6, "Enroll"),
    "removed": (7, "Unenroll"),
    "revoked": (11, "Deactivate"),
}
#: outcome -> (status_id, status, severity_id, severity)
_STATUS: dict[str | None, tuple[int, str, int, str]] = {
    "success": (1, "Success", 1, "Informational"),
    "failure": (2, "Failure", 2, "Low"),
    None: (0, "Unknown", 1, "Informational"),
}


def to_ocsf(event: Event) -> dict[str, Any]:
    """Return the event in OCSF's class 3004. Values without an OCSF attribute are in `unmapped`."""
    activity_id, activity = ACTIVITIES.get(event.type.rpartition(".")[2], (_OTHER, event.type))
    if event.type == "unknown":
        activity = event.provider_type or event.type
    status_id, status, severity_id, severity = _STATUS.get(event.outcome, _STATUS[None])
    return present(
        {
            "activity_id": activity_id,
            "activity_name": activity,
            "category_uid": CATEGORY_UID,
            "category_name": "Identity & Access Management",
            "class_uid": CLASS_UID,
            "class_name": "Entity Management",
            "type_uid": CLASS_UID * 100 + activity_id,
            "type_name": f"Entity Management: {'Other' if activity_id == _OTHER else activity}",
            "time": parse_rfc3339(event.occurred_at) // 1000,
            "severity_id": severity_id,
            "severity": severity,
            "status_id": status_id,
            "status": status,
            "message": event.description or event.type,
            "metadata": present(
                {
                    "version": VERSION,
                    "product": {"name": event.provider, "vendor_name": event.provider},
                    "uid": event.id,
                    "original_time": event.occurred_at,
                    "log_name": event.category,
                    "log_provider": event.provider,
                    "log_source": event.source,
                    "event_code": event.provider_type,
                    "original_event_uid": event.provider_id,
                    "correlation_uid": None if event.envelope is None else event.envelope.id,
                }
            ),
            "actor": _actor(event),
            "entity": _entity(event),
            "unmapped": present(
                {
                    "type": event.type,
                    "envelope": event.envelope,
                    "recipient": event.recipient,
                    "delivery": event.delivery,
                    "target": event.target,
                    "data": event.data or None,
                }
            ),
            "http_request": {"user_agent": event.user_agent} if event.user_agent else None,
            "raw_data": None if event.raw is None else encode(event.raw).decode(),
        }
    )


def _actor(event: Event) -> dict[str, Any]:
    actor = event.actor
    name = actor.name or actor.email or actor.id
    if actor.kind == "system" or name is None:
        return {"app_name": name or event.provider}
    known = actor.kind == "user"
    user = {"name": name, "type_id": 1 if known else _OTHER, "type": "User" if known else actor.kind}
    optional = {"uid": actor.id, "full_name": actor.name, "email_addr": actor.email}
    return {"user": user | {key: value for key, value in optional.items() if value}}


def _entity(event: Event) -> dict[str, Any]:
    """Return the object of the action: the envelope, else a team event's target, else the type's first half."""
    envelope = event.envelope
    if envelope is None and (target := event.target) is not None:
        entity = {"name": target.name or target.email or target.kind, "type_id": _OTHER, "type": target.kind}
        return entity | ({"uid": target.id} if target.id else {})
    if envelope is None:
        kind = event.type.partition(".")[0]
        return {"name": kind, "type_id": _OTHER, "type": kind}
    entity = {"uid": envelope.id, "type_id": _OTHER, "type": "envelope"}
    return entity | ({"name": envelope.name} if envelope.name else {})
