"""The event schema that all providers' records are mapped to (contract, section 2).

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
    """Return a field's description and examples for the OpenAPI document."""
    return msgspec.Meta(description=description, examples=list(examples) or None)


Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Actor(msgspec.Struct, gc=False):
    """The person or system that acted."""

    kind: Annotated[str, described("Kind of the actor.", "user", "recipient", "system")]
    id: Annotated[str | None, described("The provider's id of the actor.")] = None
    name: Annotated[str | None, described("The actor's name, or the system's.")] = None
    email: Annotated[str | None, described("The actor's e-mail address.")] = None


class Envelope(msgspec.Struct, gc=False):
    """The envelope (signing process) of the event, at present."""

    id: Annotated[str, described("The provider's id of the envelope.")]
    name: Annotated[str | None, described("The envelope's or file's name.")] = None
    status: Annotated[str | None, described("The provider's status of the envelope.", "completed", "active")] = None
    owner: Annotated[
        str | None, described("E-mail address of the user who started it; null if the provider did not send it.")
    ] = None
    flow_id: Annotated[str | None, described("Id of its flow (template).")] = None
    workspace_id: Annotated[str | None, described("Id of its workspace.")] = None
    sequence_id: Annotated[str | None, described("Id of its signing sequence.")] = None


class Recipient(msgspec.Struct, gc=False):
    """The recipient that the event concerns."""

    id: Annotated[
        str | None, described("The provider's id of the recipient, or `rcp_` and a digest where that id is a secret.")
    ] = None
    name: Annotated[str | None, described("The recipient's name.")] = None
    email: Annotated[str | None, described("The recipient's e-mail address.")] = None
    phone: Annotated[str | None, described("Phone number; `***` without the scope `pii:read`.")] = None
    national_id: Annotated[str | None, described("National id number; `***` without the scope `pii:read`.")] = None
    signature_type: Annotated[str | None, described("Type of signature.")] = None


class Delivery(msgspec.Struct, gc=False):
    """Delivery of a notification."""

    channel: Annotated[str | None, described("The channel.", "sms", "email")] = None
    status: Annotated[str | None, described("State of the delivery.", "sent", "delivered", "opened", "failed")] = None
    purpose: Annotated[str | None, described("Its purpose.", "invitation", "confirmation", "sender_notice")] = None


class Target(msgspec.Struct, gc=False):
    """The object of a team event, as named by the provider."""

    kind: Annotated[str, described("Kind of the object.", "member", "invitation", "api_key", "webhook", "sso_config")]
    id: Annotated[str | None, described("The provider's id.")] = None
    name: Annotated[str | None, described("A person's name or an object's title.")] = None
    email: Annotated[str | None, described("A member's or an invited person's e-mail address.")] = None


class Event(msgspec.Struct, gc=False):
    """One audit event, in one vocabulary for all providers."""

    id: Annotated[
        str, described("Opaque and unique; the same for the same record in every query and on every replica.")
    ]
    source: Annotated[str, described("Name of the configured account.")]
    provider: Annotated[str, described("The vendor of that account.")]
    type: Annotated[
        str,
        described(
            "Type of the event, as `object.past_participle`; `unknown` without a mapping.",
            "recipient.signed",
            "envelope.completed",
            "unknown",
        ),
    ]
    category: Annotated[str, described("Part of the account.", "envelope", "team")]
    outcome: Annotated[
        str | None,
        described(
            "`failure` for a failed delivery or a denied grant; null where the type is `unknown`.", "success", "failure"
        ),
    ]
    provider_type: Annotated[
        str, described("The provider's own status or event type, as it was sent; private values in it are masked.")
    ]
    provider_id: Annotated[str | None, described("The provider's own id of the record, if any.")]
    occurred_at: Annotated[Time, described("Time of the event, in UTC with six digits.")]
    description: Annotated[str | None, described("The provider's own text.")]
    actor: Annotated[Actor, described("The person or system that acted.")]
    envelope: Annotated[Envelope | None, described("The envelope, if any.")]
    recipient: Annotated[Recipient | None, described("The recipient, if any.")]
    delivery: Annotated[Delivery | None, described("Only for notifications.")]
    target: Annotated[Target | None, described("Only for team events.")]
    user_agent: Annotated[str | None, described("The actor's browser or program.")]
    data: Annotated[dict[str, Any], described("What the provider sent in addition to the other fields.")]
    raw: Annotated[Any, described("The record as delivered; null without `include=raw`.")] = None


class Record(Protocol):
    """One audit record of a provider, before it becomes an event."""

    @property
    def key(self) -> Key:
        """Its position in the gateway's order; see `app.domain.position`."""

    @property
    def provider_type(self) -> str:
        """The provider's own status or event type, unchanged."""

    @property
    def type(self) -> str:
        """The gateway's type, or `unknown`."""

    def event(self) -> Event:
        """Return the normalized event, unmasked and without `raw`. A new object on each call, because masking changes
        it; its parts and its data may be shared, and are copied before a change."""

    def raw(self) -> Any:
        """Return the record as delivered, without signing links."""

    def texts(self) -> Iterable[tuple[str, str]]:
        """Return the (name, text) pairs to search for `q` in the gateway, without signing links. `name` is the
        provider's name of the text, because a search must not match hidden texts such as phones. Records that share
        their texts, such as those of one envelope, return the same tuple, which is searched once for all of them.
        Likewise `person_values` and `private_values`."""

    def person_values(self) -> Iterable[str]:
        """Return names and e-mail addresses of all people in the event or its raw record, which
        GATEWAY_PSEUDONYMIZE replaces."""

    def private_values(self) -> Iterable[str]:
        """Return the values hidden from callers without `pii:read`: ids, phones, addresses."""

    def recipients(self) -> Sequence[Recipient]:
        """Return all recipients of the record's envelope, unmasked; empty if the provider did not send them."""

    @property
    def names_all_recipients(self) -> bool:
        """Whether `private_values` covers all recipients of the envelope. If not, every number that may be a phone or a
        national id is hidden from callers without `pii:read`."""

    def recipient_id(self, key: str) -> str:
        """Return the recipient id in events for the provider's own key of a recipient, possibly the key itself."""
