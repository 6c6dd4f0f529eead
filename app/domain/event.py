"""The one event schema that every provider's records are mapped into (contract, section 2).

`msgspec` structs, because a page is thousands of them: they are built and encoded several times faster than models
that validate. Nothing untrusted is decoded into them. The OpenAPI document is made from them (`app.api.schemas`).

Types, statuses and codes are open strings with examples, never enumerations: a client generated today must not break
on a provider's status of tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from app.domain.position import Key


def described(description: str, *examples: Any) -> msgspec.Meta:
    """What the OpenAPI document shows of a field."""
    return msgspec.Meta(description=description, examples=list(examples) or None)


Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Actor(msgspec.Struct, gc=False):
    """Who did it."""

    kind: Annotated[str, described("What kind of actor it was.", "user", "recipient", "system")]
    id: Annotated[str | None, described("The provider's id of the actor.")] = None
    name: Annotated[str | None, described("The actor's name; for a system, what the provider calls it.")] = None
    email: Annotated[str | None, described("The actor's e-mail address.")] = None


class Envelope(msgspec.Struct, gc=False):
    """The envelope (signing process) that the event belongs to, as it is at present."""

    id: Annotated[str, described("The provider's id of the envelope.")]
    name: Annotated[str | None, described("The envelope's or file's name.")] = None
    status: Annotated[str | None, described("The provider's status of the envelope.", "completed", "active")] = None
    owner: Annotated[
        str | None, described("E-mail address of the user who started it; null where it was not sent.")
    ] = None
    flow_id: Annotated[str | None, described("Id of the flow (template) that it was made from.")] = None
    workspace_id: Annotated[str | None, described("Id of the workspace that it is in.")] = None
    sequence_id: Annotated[str | None, described("Id of the signing sequence that it is part of.")] = None


class Recipient(msgspec.Struct, gc=False):
    """The person the event is about."""

    id: Annotated[
        str | None, described("The provider's id of the recipient, or `rcp_` and a digest where that id is a secret.")
    ] = None
    name: Annotated[str | None, described("The recipient's name.")] = None
    email: Annotated[str | None, described("The recipient's e-mail address.")] = None
    phone: Annotated[str | None, described("Phone number; `***` without the scope `pii:read`.")] = None
    national_id: Annotated[str | None, described("National id number; `***` without the scope `pii:read`.")] = None
    signature_type: Annotated[str | None, described("How the recipient signs.")] = None


class Delivery(msgspec.Struct, gc=False):
    """What became of a notification."""

    channel: Annotated[str | None, described("How it was sent.", "sms", "email")] = None
    status: Annotated[str | None, described("How far it came.", "sent", "delivered", "opened", "failed")] = None
    purpose: Annotated[str | None, described("What it was for.", "invitation", "confirmation", "sender_notice")] = None


class Target(msgspec.Struct, gc=False):
    """The object of a team event, as far as the provider names it."""

    kind: Annotated[str, described("What it is.", "member", "invitation", "api_key", "webhook", "sso_config")]
    id: Annotated[str | None, described("The provider's id.")] = None
    name: Annotated[str | None, described("A person's name or an object's title.")] = None
    email: Annotated[str | None, described("A member's or an invited person's e-mail address.")] = None


class Event(msgspec.Struct, gc=False):
    """One audit event, in one vocabulary for all providers."""

    id: Annotated[
        str, described("Opaque and unique; the same for the same record in every query and on every replica.")
    ]
    source: Annotated[str, described("The name of the configured account that it comes from.")]
    provider: Annotated[str, described("The vendor of that account.")]
    type: Annotated[
        str,
        described(
            "What happened, as `object.past_participle`; `unknown` where there is no mapping.",
            "recipient.signed",
            "envelope.completed",
            "unknown",
        ),
    ]
    category: Annotated[str, described("The part of the account that it concerns.", "envelope", "team")]
    outcome: Annotated[
        str | None,
        described(
            "`failure` for a failed delivery or a denied grant; null where the type is `unknown`.", "success", "failure"
        ),
    ]
    provider_type: Annotated[
        str, described("The provider's own status or event type, as it was sent; private values in it are masked.")
    ]
    provider_id: Annotated[str | None, described("The provider's own id of the record, where it has one.")]
    occurred_at: Annotated[Time, described("When it happened, in UTC with six digits.")]
    description: Annotated[str | None, described("The provider's own text.")]
    actor: Annotated[Actor, described("Who did it: a person, or a system.")]
    envelope: Annotated[Envelope | None, described("Null for what concerns no envelope.")]
    recipient: Annotated[Recipient | None, described("Null for what concerns no recipient.")]
    delivery: Annotated[Delivery | None, described("Only for notifications.")]
    target: Annotated[Target | None, described("Only for team events.")]
    user_agent: Annotated[str | None, described("The actor's browser or program.")]
    data: Annotated[dict[str, Any], described("What the provider sent beyond the other fields.")]
    raw: Annotated[Any, described("The record as delivered; null without `include=raw`.")] = None


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
