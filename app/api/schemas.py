"""The shapes of responses with events, totals, envelopes and problems, for the OpenAPI document.

Types, statuses and codes are open strings with examples, never enumerations: a client generated today must not break
on a provider's status of tomorrow. Nullable fields are declared so, and every field is always present.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Schema(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True, defer_build=True)


class Actor(Schema):
    """Who did it."""

    kind: str = Field(description="What kind of actor it was.", examples=["user", "recipient", "system"])
    id: str | None = Field(description="The provider's id of the actor.")
    name: str | None = Field(description="The actor's name; for a system, what the provider calls it.")
    email: str | None = Field(description="The actor's e-mail address.")


class Envelope(Schema):
    """The envelope (signing process) that the event belongs to, as it is at present."""

    id: str = Field(description="The provider's id of the envelope.")
    name: str | None = Field(description="The envelope's or file's name.")
    status: str | None = Field(description="The provider's status of the envelope.", examples=["completed", "active"])
    owner: str | None = Field(description="E-mail address of the user who started it; null where it was not sent.")
    flow_id: str | None = Field(description="Id of the flow (template) that it was made from.")
    workspace_id: str | None = Field(description="Id of the workspace that it is in.")
    sequence_id: str | None = Field(description="Id of the signing sequence that it is part of.")


class Recipient(Schema):
    """The person the event is about."""

    id: str | None = Field(
        description="The provider's id of the recipient, or `rcp_` and a digest where that id is a secret."
    )
    name: str | None = Field(description="The recipient's name.")
    email: str | None = Field(description="The recipient's e-mail address.")
    phone: str | None = Field(description="Phone number; `***` without the scope `pii:read`.")
    national_id: str | None = Field(description="National id number; `***` without the scope `pii:read`.")
    signature_type: str | None = Field(description="How the recipient signs.")


class Delivery(Schema):
    """What became of a notification."""

    channel: str | None = Field(description="How it was sent.", examples=["sms", "email"])
    status: str | None = Field(description="How far it came.", examples=["sent", "delivered", "opened", "failed"])
    purpose: str | None = Field(
        description="What it was for.", examples=["invitation", "confirmation", "sender_notice"]
    )


class Target(Schema):
    """The object of a team event, as far as the provider names it."""

    kind: str = Field(description="What it is.", examples=["member", "invitation", "api_key", "webhook", "sso_config"])
    id: str | None = Field(description="The provider's id.")
    name: str | None = Field(description="A person's name or an object's title.")
    email: str | None = Field(description="A member's or an invited person's e-mail address.")


class Event(Schema):
    """One audit event, in one vocabulary for all providers."""

    id: str = Field(description="Opaque and unique; the same for the same record in every query and on every replica.")
    source: str = Field(description="The name of the configured account that it comes from.")
    provider: str = Field(description="The vendor of that account.")
    type: str = Field(
        description="What happened, as `object.past_participle`; `unknown` where there is no mapping.",
        examples=["recipient.signed", "envelope.completed", "unknown"],
    )
    category: str = Field(description="The part of the account that it concerns.", examples=["envelope", "team"])
    outcome: str | None = Field(
        description="`failure` for a failed delivery or a denied grant; null where the type is `unknown`.",
        examples=["success", "failure"],
    )
    provider_type: str = Field(
        description="The provider's own status or event type, as it was sent; private values in it are masked."
    )
    provider_id: str | None = Field(description="The provider's own id of the record, where it has one.")
    occurred_at: datetime = Field(description="When it happened, in UTC with six digits.")
    description: str | None = Field(description="The provider's own text.")
    actor: Actor = Field(description="Who did it: a person, or a system.")
    envelope: Envelope | None = Field(description="Null for what concerns no envelope.")
    recipient: Recipient | None = Field(description="Null for what concerns no recipient.")
    delivery: Delivery | None = Field(description="Only for notifications.")
    target: Target | None = Field(description="Only for team events.")
    user_agent: str | None = Field(description="The actor's browser or program.")
    data: dict[str, Any] = Field(description="What the provider sent beyond the other fields.")
    raw: Any = Field(description="The record as delivered; null without `include=raw`.")


class PageInfo(Schema):
    """Where this page stands."""

    limit: int = Field(description="The page's limit.")
    order: str = Field(description="`desc` (newest first) or `asc`.", examples=["desc", "asc"])
    has_more: bool = Field(description="Whether anything is left beyond this page.")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null when nothing is left.")
    scanned_to: datetime | None = Field(
        description="How far the search came, where the gateway filters and stopped short of a full page."
    )


class TimeWindow(Schema):
    """The time window that is read."""

    since: datetime = Field(description="Its beginning: events at this very time are part of it.")
    until: datetime | None = Field(
        description="Its end: events at this very time are no part of it. The first page pins it; null while following."
    )


class SourceStatus(Schema):
    """How one source fared in this call."""

    name: str = Field(description="The source's name.")
    provider: str = Field(description="Its vendor.")
    status: str = Field(
        description="`ok`, `skipped` (a filter does not apply), `forbidden` (a part is refused) or `failed`.",
        examples=["ok", "skipped", "forbidden", "failed"],
    )
    reason: str | None = Field(description="Why it is not `ok`.")
    complete_through: datetime | None = Field(
        description="The answer is complete up to this time; null for a failed or skipped source."
    )


class ValueWarning(Schema):
    """A filter's value that can match nothing."""

    parameter: str = Field(description="The parameter.", examples=["type"])
    value: str = Field(description="Its value.", examples=["recipient.singed"])
    message: str = Field(
        description="Why it matches nothing.",
        examples=["recipient.singed is not a known type; did you mean recipient.signed?"],
    )
    nearest: str | None = Field(description="The nearest known value.", examples=["recipient.signed"])


_RELATION = "How it relates to the truth: `eq`, `gte` (a lower bound) or `estimate`."
_RELATIONS = ["eq", "gte", "estimate"]


class ProviderTotal(Schema):
    """What the provider itself counts, which may be something else."""

    value: int = Field(description="The provider's count.")
    unit: str = Field(description="What it counts.", examples=["events", "envelopes"])
    relation: str = Field(description=_RELATION, examples=_RELATIONS)


class SourceTotal(Schema):
    """How many events one source has."""

    name: str = Field(description="The source's name.")
    value: int = Field(description="The count.")
    unit: str = Field(description="What is counted.", examples=["events"])
    relation: str = Field(description=_RELATION, examples=_RELATIONS)
    provider_total: ProviderTotal | None = Field(description="Null where the provider has none for these filters.")
    scanned_to: datetime | None = Field(description="How far back the count came, where it stopped at its budget.")
    as_of: datetime = Field(description="When it was true.")
    cached: bool = Field(description="Whether it was counted for an earlier call.")


class Group(Schema):
    """One value of the field that is counted by."""

    key: str = Field(description="The value.", examples=["recipient.signed"])
    value: int = Field(description="How many events have it.", examples=[12])


class Totals(Schema):
    """How many events there are, in all and per source."""

    value: int = Field(description="The sum.")
    unit: str = Field(description="What is counted.", examples=["events"])
    relation: str = Field(
        description="The weakest relation of all sources: `eq`, `gte` or `estimate`.", examples=_RELATIONS
    )
    groups: list[Group] | None = Field(description="With `by`: the largest first, days in order; null without.")
    warnings: list[ValueWarning] = Field(description="Values of filters that can match nothing.")
    sources: list[SourceTotal] = Field(description="Each source's own.")


class EventPage(Schema):
    """One page of events of all sources, in one order."""

    data: list[Event] = Field(description="The events. Few or none do not mean that nothing follows: `has_more` does.")
    page: PageInfo = Field(description="Where this page stands, and how to go on.")
    window: TimeWindow = Field(description="The time window that is read; the same on every page of a walk.")
    total: Totals | None = Field(
        description="How many there are; null without `include=total`, and where with `partial` a source failed."
    )
    warnings: list[ValueWarning] = Field(description="Values of filters that can match nothing.")
    sources: list[SourceStatus] = Field(description="How each source fared.")


class Message(Schema):
    """A reminder, or a message that did not arrive."""

    event_id: str = Field(description="The event's `id`.")
    occurred_at: datetime = Field(description="When it happened.")
    channel: str | None = Field(description="How it was sent.", examples=["sms", "email"])


class RecipientDurations(Schema):
    """How long a recipient took, in seconds; null where either end has not happened."""

    invited_to_viewed: float | None = Field(description="From the invitation to the first view.")
    invited_to_signed: float | None = Field(description="From the invitation to the signature.")
    viewed_to_signed: float | None = Field(description="From the first view to the signature.")


class EnvelopeRecipient(Recipient):
    """What became of one recipient. A time is that of the first such event; null for what has not happened."""

    state: str = Field(
        description="How far the recipient came.",
        examples=["added", "not_reached", "invited", "delivered", "opened", "viewed", "verified", "signed", "declined"],
    )
    invited_at: datetime | None = Field(description="When the recipient was invited to sign.")
    delivered_at: datetime | None = Field(description="When a message about signing was delivered.")
    opened_at: datetime | None = Field(description="When a message about signing, not the document, was opened.")
    viewed_at: datetime | None = Field(description="When the recipient viewed the envelope.")
    verified_at: datetime | None = Field(description="When the recipient's identity was verified.")
    signed_at: datetime | None = Field(description="When the recipient signed.")
    declined_at: datetime | None = Field(description="When the recipient declined.")
    failures: list[Message] = Field(description="Messages that did not arrive.")
    reminders: list[Message] = Field(description="Reminders that were sent.")
    durations: RecipientDurations = Field(description="How long the recipient took, in seconds.")


class EnvelopeDurations(Schema):
    """How long the envelope took, in seconds, from its first event on."""

    total: float = Field(description="To its end, or to the last event so far.")
    to_first_signature: float | None = Field(description="To the first signature; null where there is none.")
    to_end: float | None = Field(description="To its end; null while it is in progress.")


class EnvelopeStory(Schema):
    """One envelope: its recipients, what became of each, and all its events."""

    source: str = Field(description="The source that it is in.")
    provider: str = Field(description="The vendor of that source.")
    envelope: Envelope = Field(description="The envelope, as it is at present.")
    status: str = Field(
        description="How it ended according to its events; `in_progress` until then.",
        examples=["in_progress", "completed", "declined", "canceled", "expired"],
    )
    recipients: list[EnvelopeRecipient] = Field(description="In the order in which the events name them.")
    durations: EnvelopeDurations = Field(description="How long it took, in seconds.")
    events: list[Event] = Field(description="Its events, oldest first.")
    has_more: bool = Field(description="Whether it has more events than one answer holds (10,000).")
    complete_through: datetime | None = Field(description="Up to this time no event is missing.")
    sources: list[SourceStatus] = Field(description="How each source fared that was searched for it.")


class ProblemParameter(Schema):
    """One parameter at fault."""

    parameter: str = Field(description="Its name.")
    message: str = Field(description="What is wrong with it and what to do.")


class ProblemSource(Schema):
    """One source that could not answer."""

    name: str | None = Field(description="The source's name.")
    code: str = Field(description="What went wrong there.")
    detail: str = Field(description="The same in words.")
    provider_request_id: str | None = Field(description="The provider's id of the failed call, for its support.")
    retry_after: float | None = Field(
        description="Seconds after which to try again: named by the provider, or until it is asked again."
    )


class Problem(Schema):
    """An error (RFC 9457)."""

    type: str = Field(description="A stable URI reference of the kind of error.")
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened in this case, and the remedy.")
    instance: str = Field(description="The path that was called.")
    code: str = Field(description="The kind of error as a stable word.")
    request_id: str = Field(description="Names this call in the gateway's log.")
    errors: list[ProblemParameter] = Field(description="The parameters at fault, if any.")
    sources: list[ProblemSource] = Field(description="The sources that failed, if any.")
