"""The gateway's responses, generated from its OpenAPI document by `make client-models`."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Actor(BaseModel):
    """
    Who did it.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    email: str | None = Field(..., examples=['anna@team.example.com'])
    """
    The actor's e-mail address.
    """
    id: str | None = Field(..., examples=['cbd6f05c-e325-4b77-bc71-4eef58c5eacc'])
    """
    The provider's id of the actor.
    """
    kind: str = Field(..., examples=['user', 'recipient', 'system'])
    """
    What kind of actor it was.
    """
    name: str | None = Field(..., examples=['Taktikal.Core'])
    """
    The actor's name; for a system, what the provider calls it.
    """


class Delivery(BaseModel):
    """
    What became of a notification.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    channel: str | None = Field(..., examples=['sms', 'email'])
    """
    How it was sent.
    """
    purpose: str | None = Field(
        ..., examples=['invitation', 'confirmation', 'sender_notice']
    )
    """
    What it was for.
    """
    status: str | None = Field(..., examples=['sent', 'delivered', 'opened', 'failed'])
    """
    How far it came.
    """


class Envelope(BaseModel):
    """
    The envelope (signing process) that the event belongs to, as it is at present.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    flow_id: str | None = Field(..., examples=['2aaf201363f6'])
    """
    Id of the flow (template) that it was made from.
    """
    id: str = Field(..., examples=['sp3c475f6d619b34cf3e9097169e430f4f'])
    """
    The provider's id of the envelope.
    """
    name: str | None = Field(..., examples=['purchase-order-129.pdf'])
    """
    The envelope's or file's name.
    """
    owner: str | None = Field(..., examples=['freyja.demo@company.example.is'])
    """
    E-mail address of the user who started it; null where it was not sent.
    """
    sequence_id: str | None = Field(
        ..., examples=['sq61a8292f0714e938c1236131f7076765']
    )
    """
    Id of the signing sequence that it is part of.
    """
    status: str | None = Field(..., examples=['completed', 'active'])
    """
    The provider's status of the envelope.
    """
    workspace_id: str | None = Field(
        ..., examples=['bc1f8644-bacc-41d4-aab6-a19fdc20be20']
    )
    """
    Id of the workspace that it is in.
    """


class EnvelopeDurations(BaseModel):
    """
    How long the envelope took, in seconds, from its first event on.
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
    One value of the field that is counted by.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    key: str = Field(..., examples=['recipient.signed'])
    """
    The value.
    """
    value: int = Field(..., examples=[12])
    """
    How many events have it.
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
    Until when it is valid; null without an end.
    """
    kind: str = Field(..., examples=['key', 'token', 'none'])
    """
    How the caller is known.
    """
    name: str = Field(..., examples=['reporting'])
    """
    The key's name, or a token's subject.
    """
    rate: str | None = Field(..., examples=['600/minute'])
    """
    How often it may call; null without a limit.
    """
    scopes: list[str] = Field(..., examples=[['events:read', 'pii:read']])
    """
    What it may do.
    """
    sources: list[str]
    """
    The configured sources that it may read.
    """


class Message(BaseModel):
    """
    A reminder, or a message that did not arrive.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    channel: str | None = Field(..., examples=['sms', 'email'])
    """
    How it was sent.
    """
    event_id: str
    """
    The event's `id`.
    """
    occurred_at: AwareDatetime
    """
    When it happened.
    """


class PageInfo(BaseModel):
    """
    Where this page stands.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    has_more: bool = Field(..., examples=[True])
    """
    Whether anything is left beyond this page.
    """
    limit: int = Field(..., examples=[3])
    """
    The page's limit.
    """
    next_cursor: str | None = Field(
        ...,
        examples=['Ao8U338iDMYVOn-CtxLRv2P7E5s1xwWVrSDfNLwr7rmGEMhkfDEVmOEC9V0vGyiEasMZL0QN73XcKvxaXTH-xZcQuF-xfVpjRaimH31Tp6_heRRphiUtQRctlmzWNn6s8OupD4lxeySFdsdwSd4IHzLfaHFy8kd1O_-RjBH7QULx8JF3SwA63kT9rtRTOhULYxzxZf79E-kxEeMJe3vvWVlezwfnwMlbfCXxC1EIYUQDvcgeqmeAY6lu-aMRF7vxGsu-AZgLS_BofC8yUvsUrpwwg49YM4a-MS-VyyhymFdO3FTvBY35L4gAJMCjc1Ku0nWNWJK8vvJfHVfenPprqA6vybM'],
    )
    """
    Pass it as `cursor` for the next page; null when nothing is left.
    """
    order: str = Field(..., examples=['desc', 'asc'])
    """
    `desc` (newest first) or `asc`.
    """
    scanned_to: AwareDatetime | None
    """
    How far the search came, where the gateway filters and stopped short of a full page.
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
    What is wrong with it and what to do.
    """
    parameter: str
    """
    Its name.
    """


class ProblemSource(BaseModel):
    """
    One source that could not answer.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    code: str
    """
    What went wrong there.
    """
    detail: str
    """
    The same in words.
    """
    name: str | None
    """
    The source's name.
    """
    provider_request_id: str | None
    """
    The provider's id of the failed call, for its support.
    """
    retry_after: float | None
    """
    Seconds after which to try again: named by the provider, or until it is asked again.
    """


class ProviderInfo(BaseModel):
    """
    A vendor that the gateway can read.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    mapping_version: str = Field(..., examples=['1'])
    """
    Changes whenever this provider's mapping does.
    """
    name: str
    """
    As in `provider`.
    """
    title: str
    """
    As the vendor writes it.
    """


class ProviderTotal(BaseModel):
    """
    What the provider itself counts, which may be something else.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    How it relates to the truth: `eq`, `gte` (a lower bound) or `estimate`.
    """
    unit: str = Field(..., examples=['events', 'envelopes'])
    """
    What it counts.
    """
    value: int = Field(..., examples=[617])
    """
    The provider's count.
    """


class Recipient(BaseModel):
    """
    The person the event is about.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    email: str | None = Field(..., examples=['salka.testdottir97@example.is'])
    """
    The recipient's e-mail address.
    """
    id: str | None = Field(..., examples=['rcp_36246f3294dfb0d055bcf83dc5006de5'])
    """
    The provider's id of the recipient, or `rcp_` and a digest where that id is a secret.
    """
    name: str | None = Field(..., examples=['Salka Testdottir'])
    """
    The recipient's name.
    """
    national_id: str | None = Field(..., examples=['999999-9797'])
    """
    National id number; `***` without the scope `pii:read`.
    """
    phone: str | None = Field(..., examples=['5559797'])
    """
    Phone number; `***` without the scope `pii:read`.
    """
    signature_type: str | None = Field(..., examples=['simple'])
    """
    How the recipient signs.
    """


class RecipientDurations(BaseModel):
    """
    How long a recipient took, in seconds; null where either end has not happened.
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
    How the calls to a source fare, as this process of the gateway sees it.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    circuit: str = Field(..., examples=['closed', 'open', 'half_open'])
    """
    `closed` (it is asked), `open` (it failed and is left alone) or `half_open` (one call at a time).
    """
    consecutive_failures: int = Field(..., examples=[0])
    """
    Calls that failed, since the last that did not.
    """
    in_flight: int = Field(..., examples=[0])
    """
    Calls under way.
    """
    paused_until: AwareDatetime | None
    """
    Until when the provider asked to be left alone.
    """
    retry_at: AwareDatetime | None
    """
    While the circuit is open: when the source is asked again.
    """
    since: AwareDatetime = Field(..., examples=['2026-06-01T12:00:00.000000Z'])
    """
    Since when the circuit is in this state.
    """
    waiting: int = Field(..., examples=[0])
    """
    Calls that wait for their turn.
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
    Who judges each parameter: `native` (the provider), `gateway`, or `not_applicable` (this source is left out of an answer that filters by it).
    """
    health: SourceHealth | None
    """
    How its calls fare; null for a source that makes none.
    """
    name: str = Field(..., examples=['subnoto'])
    """
    Its name, as in the parameter `source`.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    Its vendor.
    """
    settle: float = Field(..., examples=[30.0])
    """
    Seconds for which young events are held back from followers.
    """


class SourceStatus(BaseModel):
    """
    How one source fared in this call.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    complete_through: AwareDatetime | None = Field(
        ..., examples=['2026-05-19T18:20:00Z']
    )
    """
    The answer is complete up to this time; null for a failed or skipped source.
    """
    name: str = Field(..., examples=['subnoto'])
    """
    The source's name.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    Its vendor.
    """
    reason: str | None
    """
    Why it is not `ok`.
    """
    status: str = Field(..., examples=['ok', 'skipped', 'forbidden', 'failed'])
    """
    `ok`, `skipped` (a filter does not apply), `forbidden` (a part is refused) or `failed`.
    """


class SourceTotal(BaseModel):
    """
    How many events one source has.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    as_of: AwareDatetime = Field(..., examples=['2026-06-01T12:00:00Z'])
    """
    When it was true.
    """
    cached: bool = Field(..., examples=[False])
    """
    Whether it was counted for an earlier call.
    """
    name: str = Field(..., examples=['subnoto'])
    """
    The source's name.
    """
    provider_total: ProviderTotal | None
    """
    Null where the provider has none for these filters.
    """
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    How it relates to the truth: `eq`, `gte` (a lower bound) or `estimate`.
    """
    scanned_to: AwareDatetime | None
    """
    How far back the count came, where it stopped at its budget.
    """
    unit: str = Field(..., examples=['events'])
    """
    What is counted.
    """
    value: int = Field(..., examples=[617])
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
    The object of a team event, as far as the provider names it.
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
    What it is.
    """
    name: str | None
    """
    A person's name or an object's title.
    """


class TimeWindow(BaseModel):
    """
    The time window that is read.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    since: AwareDatetime = Field(..., examples=['2026-05-01T00:00:00Z'])
    """
    Its beginning: events at this very time are part of it.
    """
    until: AwareDatetime | None = Field(..., examples=['2026-05-19T18:20:00Z'])
    """
    Its end: events at this very time are no part of it. The first page pins it; null while following.
    """


class TypeMapping(BaseModel):
    """
    One value of a provider that becomes this type.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    category: str = Field(..., examples=['envelope', 'team'])
    """
    The part of an account that it occurs in.
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
    What became of one recipient. A time is that of the first such event; null for what has not happened.
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
    How long the recipient took, in seconds.
    """
    email: str | None
    """
    The recipient's e-mail address.
    """
    failures: list[Message]
    """
    Messages that did not arrive.
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
    Reminders that were sent.
    """
    signature_type: str | None
    """
    How the recipient signs.
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
    How far the recipient came.
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
    Who did it: a person, or a system.
    """
    category: str = Field(..., examples=['envelope', 'team'])
    """
    The part of the account that it concerns.
    """
    data: dict[str, Any]
    """
    What the provider sent beyond the other fields.
    """
    delivery: Delivery | None
    """
    Only for notifications.
    """
    description: str | None = Field(
        ...,
        examples=['Signee signed. ProcessKey: sp3c475f6d619b34cf3e9097169e430f4f. Signee key: rcp_36246f3294dfb0d055bcf83dc5006de5'],
    )
    """
    The provider's own text.
    """
    envelope: Envelope | None
    """
    Null for what concerns no envelope.
    """
    id: str = Field(
        ...,
        examples=['Abo1Z1HNoPz5AJPZInNwM2M0NzVmNmQ2MTliMzRjZjNlOTA5NzE2OWU0MzBmNGbPAD813S7imbQN'],
    )
    """
    Opaque and unique; the same for the same record in every query and on every replica.
    """
    occurred_at: AwareDatetime = Field(..., examples=['2026-05-19T18:19:22.341829Z'])
    """
    When it happened, in UTC with six digits.
    """
    outcome: str | None = Field(..., examples=['success', 'failure'])
    """
    `failure` for a failed delivery or a denied grant; null where the type is `unknown`.
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor of that account.
    """
    provider_id: str | None = Field(..., examples=['13'])
    """
    The provider's own id of the record, where it has one.
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
    Null for what concerns no recipient.
    """
    source: str = Field(..., examples=['taktikal'])
    """
    The name of the configured account that it comes from.
    """
    target: Target | None
    """
    Only for team events.
    """
    type: str = Field(
        ..., examples=['recipient.signed', 'envelope.completed', 'unknown']
    )
    """
    What happened, as `object.past_participle`; `unknown` where there is no mapping.
    """
    user_agent: str | None = Field(
        ...,
        examples=['Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148'],
    )
    """
    The actor's browser or program.
    """


class EventType(BaseModel):
    """
    One type, and where it comes from.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    mappings: list[TypeMapping]
    """
    The providers' values that become it.
    """
    type: str
    """
    The type, as events carry it.
    """


class EventTypes(BaseModel):
    """
    All types that there are. The list is open: more may come.
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
    The vendors, and the version of each one's mapping.
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
    The kind of error as a stable word.
    """
    detail: str
    """
    What happened in this case, and the remedy.
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
    Names this call in the gateway's log.
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
    A stable URI reference of the kind of error.
    """


class Totals(BaseModel):
    """
    How many events there are, in all and per source.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    groups: list[Group] | None
    """
    With `by`: the largest first, days in order; null without.
    """
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    The weakest relation of all sources: `eq`, `gte` or `estimate`.
    """
    sources: list[SourceTotal]
    """
    Each source's own.
    """
    unit: str = Field(..., examples=['events'])
    """
    What is counted.
    """
    value: int = Field(..., examples=[1347])
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
    Up to this time no event is missing.
    """
    durations: EnvelopeDurations
    """
    How long it took, in seconds.
    """
    envelope: Envelope
    """
    The envelope, as it is at present.
    """
    events: list[Event]
    """
    Its events, oldest first.
    """
    has_more: bool
    """
    Whether it has more events than one answer holds (10,000).
    """
    provider: str = Field(..., examples=['subnoto', 'taktikal'])
    """
    The vendor of that source.
    """
    recipients: list[EnvelopeRecipient]
    """
    In the order in which the events name them.
    """
    source: str
    """
    The source that it is in.
    """
    sources: list[SourceStatus]
    """
    How each source fared that was searched for it.
    """
    status: str = Field(
        ..., examples=['in_progress', 'completed', 'declined', 'canceled', 'expired']
    )
    """
    How it ended according to its events; `in_progress` until then.
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
    The events. Few or none do not mean that nothing follows: `has_more` does.
    """
    page: PageInfo
    """
    Where this page stands, and how to go on.
    """
    sources: list[SourceStatus]
    """
    How each source fared.
    """
    total: Totals | None
    """
    How many there are; null without `include=total`, and where with `partial` a source failed.
    """
    warnings: list[ValueWarning]
    """
    Values of filters that can match nothing.
    """
    window: TimeWindow
    """
    The time window that is read; the same on every page of a walk.
    """
