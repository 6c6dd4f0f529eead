"""The one event schema that every provider's records are mapped into (contract, section 2).

`msgspec` structs, because a page is thousands of them: they are built and encoded several times faster than models
that validate. Nothing untrusted is decoded into them; `app.api.schemas` holds the same shapes as pydantic models for
the OpenAPI document, and a test holds the two together field by field.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Actor(msgspec.Struct, gc=False):
    """Who did it. `kind` is `user`, `recipient` or `system`."""

    kind: str
    id: str | None = None
    name: str | None = None
    email: str | None = None


class Envelope(msgspec.Struct, gc=False):
    """The document's container as it is at present, not as it was when the event happened."""

    id: str
    name: str | None = None
    status: str | None = None
    owner: str | None = None
    flow_id: str | None = None
    workspace_id: str | None = None
    sequence_id: str | None = None


class Recipient(msgspec.Struct, gc=False):
    """The person the event is about, as far as the provider names one."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    national_id: str | None = None
    signature_type: str | None = None


class Delivery(msgspec.Struct, gc=False):
    """What became of a notification. `channel`: `sms`, `email`, ...; `status`: `sent`, `delivered`, ..."""

    channel: str | None = None
    status: str | None = None
    purpose: str | None = None


class Target(msgspec.Struct, gc=False):
    """The object of a team event. `kind`: `member`, `invitation`, `api_key`, `webhook`, `sso_config`, ..."""

    kind: str
    id: str | None = None
    name: str | None = None
    email: str | None = None


class Event(msgspec.Struct, gc=False):
    """One audit event. `occurred_at` is UTC text with six digits; `type` is `object.past_participle` or `unknown`."""

    id: str
    source: str
    provider: str
    type: str
    category: str
    outcome: str | None
    provider_type: str
    provider_id: str | None
    occurred_at: str
    description: str | None
    actor: Actor
    envelope: Envelope | None
    recipient: Recipient | None
    delivery: Delivery | None
    target: Target | None
    user_agent: str | None
    data: dict[str, Any]
    raw: Any = None
