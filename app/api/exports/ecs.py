"""Elastic Common Schema 8; values without an ECS field are under `audit_gateway`."""

from __future__ import annotations

from typing import Any

from app.api.rendering import encode, present
from app.domain.event import Event

VERSION = "8.17.0"

_FILE, _IAM, _CONFIGURATION, _EMAIL = "file", "iam", "configuration", "email"

#: First half of a type -> `event.category`, and its additional `event.type`. Envelopes and recipients count as files.
CATEGORIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "envelope": (_FILE, ()),
    "recipient": (_FILE, ()),
    "notification": (_EMAIL, ()),
    "team": (_IAM, ("group",)),
    "invitation": (_IAM, ("user",)),
    "member": (_IAM, ("user",)),
    "api_key": (_IAM, ("admin",)),
    "agent_registration": (_IAM, ("admin",)),
    "oauth_grant": (_IAM, ("admin",)),
    "oauth_token": (_IAM, ("admin",)),
    "webhook": (_CONFIGURATION, ()),
    "sso_config": (_CONFIGURATION, ()),
}

#: Second half -> `event.type`. Any other is `info`.
TYPES = {
    verb: kind
    for kind, verbs in (
        ("creation", "created joined"),
        ("change", "added updated role_updated signed completed declined canceled approved expired"),
        ("access", "viewed"),
        ("deletion", "deleted removed revoked"),
    )
    for verb in verbs.split()
}


def to_ecs(event: Event) -> dict[str, Any]:
    """Return the event as a nested ECS document."""
    actor = event.actor
    named = {"id": actor.id, "name": actor.email or actor.name, "full_name": actor.name, "email": actor.email}
    people = [part.email or part.name for part in (actor, event.recipient, event.target) if part is not None]
    known = list(dict.fromkeys(filter(None, people)))
    return {
        "@timestamp": event.occurred_at,
        "ecs": {"version": VERSION},
        "message": event.description or event.type,
        "event": _event(event),
        "observer": {"vendor": event.provider, "name": event.source},
        "audit_gateway": present(
            {
                "actor_kind": actor.kind,
                "provider_id": event.provider_id,
                "envelope": event.envelope,
                "recipient": event.recipient,
                "delivery": event.delivery,
                "target": event.target,
                # One JSON text, because the members vary and each would become a field of the index.
                "data": encode(event.data).decode() if event.data else None,
            }
        ),
        **present(
            {
                "user": {name: value for name, value in named.items() if value} or None,
                "related": {"user": known} if known else None,
                "file": {"name": event.envelope.name} if event.envelope is not None and event.envelope.name else None,
                "user_agent": {"original": event.user_agent} if event.user_agent else None,
            }
        ),
    }


def _event(event: Event) -> dict[str, Any]:
    subject, _, verb = event.type.partition(".")
    category, more = CATEGORIES.get(subject, (None, ()))
    return present(
        {
            "id": event.id,
            "kind": "event",
            "type": ["info" if category is None else TYPES.get(verb, "info"), *more],
            "action": event.type,
            "code": event.provider_type,
            "outcome": event.outcome if event.outcome in ("success", "failure") else "unknown",
            "provider": event.source,
            "module": event.provider,
            "dataset": f"{event.provider}.{event.category}",
            "category": None if category is None else [category],
            "original": None if event.raw is None else encode(event.raw).decode(),
        }
    )
