"""The gateway's responses, generated from its OpenAPI document by `make client-models`."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Actor(BaseModel):
    """
    The person or system that acted.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    email: str | None
    """
    The actor's e-mail address.
    """
    id: str | None
    """
    The provider's id of the actor.
    """
    kind: str = Field(..., examples=['user', 'recipient', 'system'])
    """
    Kind of the actor.
    """
    name: str | None
    """
    The actor's name, or the system's.
    """


class Delivery(BaseModel):
    """
    Delivery of a notification.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    channel: str | None = Field(..., examples=['sms', 'email'])
    """
    The channel.
    """
    purpose: str | None = Field(
        ..., examples=['invitation', 'confirmation', 'sender_notice']
    )
    """
    Its purpose.
    """
    status: str | None = Field(..., examples=['sent', 'delivered', 'opened', 'failed'])
    """
    State of the delivery.
    """


class Envelope(BaseModel):
    """
    The envelope (signing process) of the event, at present.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    flow_id: str | None
    """
    Id of its flow (template).
    """
    id: str
    """
    The provider's id of the envelope.
    """
    name: str | None
    """
    The envelope's or file's name.
    """
    owner: str | None
    """
    E-mail address of the user who started it; null if the provider did not send it.
    """
    sequence_id: str | None
    """
    Id of its signing sequence.
    """
    status: str | None = Field(..., examples=['completed', 'active'])
    """
    The provider's status of the envelope.
    """
    workspace_id: str | None
    """
    Id of its workspace.
    """


class EnvelopeDurations(BaseModel):
    """
    Durations of the envelope in seconds, from its first event.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    to_end: float | None
    """
    To its end; null while it is in progress.
    """
    to_first_signature: float | None
    """
    To the first signature; null where there is none.
    """
    total: float
    """
    To its end, or to the last event so far.
    """


class Group(BaseModel):
    """
    Count of one value of the field `by`.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    key: str = Field(..., examples=['recipient.signed'])
    """
    The field's value.
    """
    value: int = Field(..., examples=[12])
    """
    Number of events.
    """


class Health(BaseModel):
    """
    The state of this process.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    status: str = Field(..., examples=['ok'])
    """
    `ok`.
    """


class Me(BaseModel):
    """
    The caller and its grants.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    expires: AwareDatetime | None
    """
    Its expiry; null without one.
    """
    kind: str = Field(..., examples=['key', 'token', 'none'])
    """
    Kind of authentication.
    """
    name: str = Field(..., examples=['reporting'])
    """
    The key's name, or a token's subject.
    """
    rate: str | None = Field(..., examples=['600/minute'])
    """
    Its rate limit; null without one.
    """
    scopes: list[str] = Field(..., examples=[['events:read', 'pii:read']])
    """
    Its scopes.
    """
    sources: list[str]
    """
    The sources that it may read.
    """


class Message(BaseModel):
    """
    A reminder, or an undelivered message.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    channel: str | None = Field(..., examples=['sms', 'email'])
    """
    The channel.
    """
    event_id: str
    """
    The event's `id`.
    """
    occurred_at: AwareDatetime
    """
    Time of the event.
    """


class PageInfo(BaseModel):
    """
    Position of this page in the walk.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    has_more: bool
    """
    Whether more events follow.
    """
    limit: int
    """
    The page's limit.
    """
    next_cursor: str | None
    """
    The `cursor` of the next page; null if no events follow.
    """
    order: str = Field(..., examples=['desc', 'asc'])
    """
    `desc` (newest first) or `asc`.
    """
    scanned_to: AwareDatetime | None
    """
    Time that the search reached, if it stopped before the page was full.
    """


class ProblemParameter(BaseModel):
    """
    One parameter at fault.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    message: str
    """
    The fault and the remedy.
    """
    parameter: str
    """
    Its name.
    """


class ProblemSource(BaseModel):
    """
    One failed source.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    code: str
    """
    The kind of failure.
    """
    detail: str
    """
    The failure in words.
    """
    name: str | None
    """
    The source's name.
    """
    provider_request_id: str | None
    """
    The provider's id of the failed call.
    """
    retry_after: float | None
    """
    Seconds to wait before a retry.
    """


class ProviderInfo(BaseModel):
    """
    A supported vendor.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    mapping_version: str = Field(..., examples=['1'])
    """
    Changes with the mapping.
    """
    name: str
    """
    Its name in `provider`.
    """
    title: str
    """
    The vendor's own spelling.
    """


class ProviderTotal(BaseModel):
    """
    The provider's own count, possibly of other units.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    Whether the count is exact: `eq`, `gte` (a lower bound) or `estimate`.
    """
    unit: str = Field(..., examples=['events', 'envelopes'])
    """
    The counted unit.
    """
    value: int
    """
    The provider's count.
    """


class PublicKey(BaseModel):
    """
    A JSON Web Key of an Ed25519 key (RFC 8037).
    """

    model_config = ConfigDict(
        extra='allow',
    )
    alg: str
    """
    `EdDSA`.
    """
    crv: str
    """
    `Ed25519`.
    """
    kid: str
    """
    Its id, as in the header of a signature.
    """
    kty: str
    """
    `OKP`.
    """
    use: str
    """
    `sig`.
    """
    x: str
    """
    The key, in base64url.
    """


class PublicKeys(BaseModel):
    """
    A JSON Web Key Set (RFC 7517).
    """

    model_config = ConfigDict(
        extra='allow',
    )
    keys: list[PublicKey]
    """
    The signing key; none if the gateway has none.
    """


class Recipient(BaseModel):
    """
    The recipient that the event concerns.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    email: str | None
    """
    The recipient's e-mail address.
    """
    id: str | None
    """
    The provider's id of the recipient, or `rcp_` and a digest where that id is a secret.
    """
    name: str | None
    """
    The recipient's name.
    """
    national_id: str | None
    """
    National id number; `***` without the scope `pii:read`.
    """
    phone: str | None
    """
    Phone number; `***` without the scope `pii:read`.
    """
    signature_type: str | None
    """
    Type of signature.
    """


class RecipientDurations(BaseModel):
    """
    Durations of one recipient in seconds; null until both events have happened.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    invited_to_signed: float | None
    """
    From the invitation to the signature.
    """
    invited_to_viewed: float | None
    """
    From the invitation to the first view.
    """
    viewed_to_signed: float | None
    """
    From the first view to the signature.
    """


class SourceHealth(BaseModel):
    """
    State of the calls to a source, in this process of the gateway.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    circuit: str = Field(..., examples=['closed', 'open', 'half_open'])
    """
    `closed` (calls pass), `open` (no calls until `retry_at`) or `half_open` (one trial call at a time).
    """
    consecutive_failures: int
    """
    Failed calls since the last successful one.
    """
    in_flight: int
    """
    Running calls.
    """
    paused_until: AwareDatetime | None
    """
    End of a pause that the provider demanded.
    """
    retry_at: AwareDatetime | None
    """
    While the circuit is open: time of the next call.
    """
    since: AwareDatetime
    """
    When the circuit entered this state.
    """
    waiting: int
    """
    Queued calls.
    """


class SourceInfo(BaseModel):
    """
    One configured account.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    details: dict[str, Any]
    """
    Settings in force, and observations about the account.
    """
    filters: dict[str, str] = Field(
        ...,
        examples=[{'since': 'native', 'type': 'gateway', 'workspace_id': 'not_applicable'}],
    )
    """
    Who applies each parameter: `native` (the provider), `gateway`, or `not_applicable` (a response filtered by it omits this source).
    """
    health: SourceHealth | None
    """
    State of its calls; null for a source without calls.
    """
    name: str
    """
    Its name in the parameter `source`.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor.
    """
    settle: float
    """
    Seconds by which new events are delayed for followers.
    """


class SourceStatus(BaseModel):
    """
    State of one source in this call.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    complete_through: AwareDatetime | None
    """
    The response is complete up to this time; null for a failed or skipped source.
    """
    name: str
    """
    The source's name.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor.
    """
    reason: str | None
    """
    The cause of any other status, and notes.
    """
    status: str = Field(..., examples=['ok', 'skipped', 'forbidden', 'failed'])
    """
    `ok`, `skipped` (a filter does not apply), `forbidden` (a part is refused) or `failed`.
    """
    unproven: bool | None = None
    """
    True if events may be missing because the provider contradicts itself: `reason` contains how. Else absent.
    """


class SourceTotal(BaseModel):
    """
    Count of one source.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    as_of: AwareDatetime
    """
    Time of the count.
    """
    cached: bool
    """
    Whether the count, or the total beside it, was cached.
    """
    name: str
    """
    The source's name.
    """
    provider_total: ProviderTotal | None
    """
    Null if the provider has none for these filters.
    """
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    Whether the count is exact: `eq`, `gte` (a lower bound) or `estimate`.
    """
    scanned_to: AwareDatetime | None
    """
    Time that the count reached, if it stopped at its budget.
    """
    unit: str = Field(..., examples=['events'])
    """
    The counted unit.
    """
    value: int
    """
    The count.
    """


class Sources(BaseModel):
    """
    The sources that the caller may read.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    data: list[SourceInfo]
    """
    The sources, sorted by name.
    """


class Target(BaseModel):
    """
    The object of a team event, as named by the provider.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    email: str | None
    """
    A member's or an invited person's e-mail address.
    """
    id: str | None
    """
    The provider's id.
    """
    kind: str = Field(
        ..., examples=['member', 'invitation', 'api_key', 'webhook', 'sso_config']
    )
    """
    Kind of the object.
    """
    name: str | None
    """
    A person's name or an object's title.
    """


class TimeWindow(BaseModel):
    """
    The time window of the walk.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    since: AwareDatetime
    """
    Its beginning, inclusive.
    """
    until: AwareDatetime | None
    """
    Its end, exclusive, fixed by the first page; null while following.
    """


class TypeMapping(BaseModel):
    """
    One value of a provider that is mapped to this type.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    category: str = Field(..., examples=['envelope', 'team'])
    """
    Its category.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor.
    """
    provider_type: str = Field(
        ...,
        examples=['DOCUMENT_SIGNED', 'ENVELOPE_SIGNED', 'SigneeSigned', 'SignedDocument'],
    )
    """
    The vendor's own value.
    """


class ValueWarning(BaseModel):
    """
    A filter's value that can match nothing.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    message: str = Field(
        ...,
        examples=['recipient.singed is not a known type; did you mean recipient.signed?'],
    )
    """
    Why it matches nothing.
    """
    nearest: str | None = Field(..., examples=['recipient.signed'])
    """
    The nearest known value.
    """
    parameter: str = Field(..., examples=['type'])
    """
    The parameter.
    """
    value: str = Field(..., examples=['recipient.singed'])
    """
    Its value.
    """


class EnvelopeRecipient(BaseModel):
    """
    Progress of one recipient. Times are of the first such event, or null.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    declined_at: AwareDatetime | None
    """
    When the recipient declined.
    """
    delivered_at: AwareDatetime | None
    """
    When a message about signing was delivered.
    """
    durations: RecipientDurations
    """
    Durations in seconds.
    """
    email: str | None
    """
    The recipient's e-mail address.
    """
    failures: list[Message]
    """
    Undelivered messages.
    """
    id: str | None
    """
    The provider's id of the recipient, or `rcp_` and a digest where that id is a secret.
    """
    invited_at: AwareDatetime | None
    """
    When the recipient was invited to sign.
    """
    name: str | None
    """
    The recipient's name.
    """
    national_id: str | None
    """
    National id number; `***` without the scope `pii:read`.
    """
    opened_at: AwareDatetime | None
    """
    When a message about signing, not the document, was opened.
    """
    phone: str | None
    """
    Phone number; `***` without the scope `pii:read`.
    """
    reminders: list[Message]
    """
    Sent reminders.
    """
    signature_type: str | None
    """
    Type of signature.
    """
    signed_at: AwareDatetime | None
    """
    When the recipient signed.
    """
    state: str = Field(
        ...,
        examples=['added', 'not_reached', 'invited', 'delivered', 'opened', 'viewed', 'verified', 'signed', 'declined'],
    )
    """
    State of the recipient.
    """
    verified_at: AwareDatetime | None
    """
    When the recipient's identity was verified.
    """
    viewed_at: AwareDatetime | None
    """
    When the recipient viewed the envelope.
    """


class Event(BaseModel):
    """
    One audit event, in one vocabulary for all providers.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    actor: Actor
    """
    The person or system that acted.
    """
    category: str = Field(..., examples=['envelope', 'team'])
    """
    Part of the account.
    """
    data: dict[str, Any]
    """
    What the provider sent in addition to the other fields.
    """
    delivery: Delivery | None
    """
    Only for notifications.
    """
    description: str | None
    """
    The provider's own text.
    """
    envelope: Envelope | None
    """
    The envelope, if any.
    """
    id: str
    """
    Opaque and unique; the same for the same record in every query and on every replica.
    """
    occurred_at: AwareDatetime
    """
    Time of the event, in UTC with six digits.
    """
    outcome: str | None = Field(..., examples=['success', 'failure'])
    """
    `failure` for a failed delivery or a denied grant; null where the type is `unknown`.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor of that account.
    """
    provider_id: str | None
    """
    The provider's own id of the record, if any.
    """
    provider_type: str = Field(
        ...,
        examples=['DOCUMENT_SIGNED', 'ENVELOPE_SIGNED', 'SigneeSigned', 'SignedDocument'],
    )
    """
    The provider's own status or event type, as it was sent; private values in it are masked.
    """
    raw: Any
    """
    The record as delivered; null without `include=raw`.
    """
    recipient: Recipient | None
    """
    The recipient, if any.
    """
    source: str
    """
    Name of the configured account.
    """
    target: Target | None
    """
    Only for team events.
    """
    type: str = Field(
        ..., examples=['recipient.signed', 'envelope.completed', 'unknown']
    )
    """
    Type of the event, as `object.past_participle`; `unknown` without a mapping.
    """
    user_agent: str | None
    """
    The actor's browser or program.
    """


class EventType(BaseModel):
    """
    One type, and the values mapped to it.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    mappings: list[TypeMapping]
    """
    The providers' values.
    """
    type: str
    """
    The type.
    """


class EventTypes(BaseModel):
    """
    All types. The list is open: types may be added.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    data: list[EventType]
    """
    The types, sorted.
    """
    providers: list[ProviderInfo]
    """
    The vendors with the versions of their mappings.
    """


class Problem(BaseModel):
    """
    An error (RFC 9457).
    """

    model_config = ConfigDict(
        extra='allow',
    )
    code: str
    """
    Stable word for the kind of error.
    """
    detail: str
    """
    This case, and the remedy.
    """
    errors: list[ProblemParameter]
    """
    The parameters at fault, if any.
    """
    instance: str
    """
    The path that was called.
    """
    request_id: str
    """
    Id of this call in the gateway's log.
    """
    sources: list[ProblemSource]
    """
    The sources that failed, if any.
    """
    status: int
    """
    The HTTP status.
    """
    title: str
    """
    The kind of error in words.
    """
    type: str
    """
    Stable URI reference of the kind of error.
    """


class Totals(BaseModel):
    """
    Counts of events, in total and by source.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    groups: list[Group] | None
    """
    With `by`: the largest first, days in order; else null.
    """
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    The weakest relation of all sources: `eq`, `gte` or `estimate`.
    """
    sources: list[SourceTotal]
    """
    The counts of the sources.
    """
    unit: str = Field(..., examples=['events'])
    """
    The counted unit.
    """
    value: int
    """
    The sum.
    """
    warnings: list[ValueWarning]
    """
    Values of filters that can match nothing.
    """


class EnvelopeStory(BaseModel):
    """
    One envelope: its recipients, what became of each, and all its events.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    complete_through: AwareDatetime | None
    """
    Time up to which no event is missing.
    """
    durations: EnvelopeDurations
    """
    Durations in seconds.
    """
    envelope: Envelope
    """
    The envelope at present.
    """
    events: list[Event]
    """
    Its events, oldest first.
    """
    has_more: bool
    """
    Whether it has more than 10,000 events.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor of that source.
    """
    recipients: list[EnvelopeRecipient]
    """
    In the order of their first events.
    """
    source: str
    """
    Its source.
    """
    sources: list[SourceStatus]
    """
    State of each source that was searched.
    """
    status: str = Field(
        ..., examples=['in_progress', 'completed', 'declined', 'canceled', 'expired']
    )
    """
    Its end according to the events, or `in_progress`.
    """


class EventPage(BaseModel):
    """
    One page of events of all sources, in one order.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    data: list[Event]
    """
    The events; possibly none although `has_more` is true.
    """
    page: PageInfo
    """
    Position of this page in the walk.
    """
    sources: list[SourceStatus]
    """
    State of each source.
    """
    total: Totals | None
    """
    The count; null without `include=total`, and if a source failed with `partial`.
    """
    warnings: list[ValueWarning]
    """
    Values of filters that can match nothing.
    """
    window: TimeWindow
    """
    The time window, equal on every page of a walk.
    """
