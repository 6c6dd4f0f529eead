"""The one event schema that every provider's records are mapped into (contract, section 2).

`msgspec` structs, because a page is thousands of them: they are built and encoded several times faster than models
that validate. Nothing untrusted is decoded into them; `app.api.schemas` holds the same shapes as pydantic models for
the OpenAPI document, and a test holds the two together field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from app.domain.position import Key


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


class Record(Protocol):
    """One audit record of a provider, before it becomes an event."""

    @property
    def key(self) -> Key:
        """Its place in the gateway's order; see `app.domain.position`."""

    @property
    def provider_type(self) -> str:
        """The provider's own status or event type, untouched."""

    @property
    def type(self) -> str:
        """The gateway's type, `unknown` where the mapping has none."""

    def event(self) -> Event:
        """The normalized event, `raw` left None, before any masking. A new object on each call, because masking
        changes it; its parts and its data may be shared, and are copied before a change."""

    def raw(self) -> Any:
        """The record as delivered, less what is never handed out (signing links)."""

    def texts(self) -> Iterable[tuple[str, str]]:
        """(name, text) pairs that `q` is looked for in, where the gateway judges `q`; never a signing link. `name` is
        what the provider calls the text, so that a caller who may not see phones is not answered by one. Records that
        share their texts, such as those of one envelope, give the same tuple: it is judged once for all of them. So
        with `person_values` and `private_values`."""

    def person_values(self) -> Iterable[str]:
        """Names and e-mail addresses of the people who may be mentioned anywhere in the event or its raw record: what
        pseudonyms are put for where GATEWAY_PSEUDONYMIZE is set."""

    def private_values(self) -> Iterable[str]:
        """Values that a caller without `pii:read` must not see anywhere in the event: ids, phones, addresses."""

    def recipients(self) -> Sequence[Recipient]:
        """All recipients of the record's envelope, before any masking; empty where the provider did not send them."""

    @property
    def names_all_recipients(self) -> bool:
        """Whether `private_values` has those of all recipients of the envelope. Where it has not, every number that may
        be a phone or a national id is hidden from callers without `pii:read`."""

    def recipient_id(self, key: str) -> str:
        """The recipient id in events for the provider's own key of a recipient; the key itself where they are one."""
