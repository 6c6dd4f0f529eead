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
        examples=['Ad8OILoGcXNNzjOe9ESJnwAQzauk8IQVZuu_ihlz_EvRBGfyL0VUtztRoIWQ5z30tjNfKqOrTGh212vj25VKDoU4UIUpgD804BkJD-8qlY-D1b6kivUllidv3WSOalOeAwnZee3EGGvEmvNpelGqwxvoZhsc0CafnBnynUZqEpPZLZ86TRdWO5ZUMfT2vRDvtnexANR1qY3xsDLQx77qLxtBdNzwvKZxHsN4vtAD0_VP12TsnFP1rrlNuPdCU3rGYdndFJEDdaCS6xwYefyhiIfXsYczknSq28JRNcOGdPJAUpz-IonfAKo'],
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
    id: str | None = Field(..., examples=['si5ac796820233722ed431f562fa2c41a5'])
    """
    The provider's id of the recipient.
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
    Settings in force, and what was learnt of the account.
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
    What one source has to say to a count.
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
    relation: str = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    How it relates to the truth: `eq`, `gte` (a lower bound; 0 says nothing) or `estimate`.
    """
    unit: str = Field(..., examples=['events', 'envelopes'])
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


class Totals(BaseModel):
    """
    How many there are, per source, and in all where all sources count the same.
    """

    model_config = ConfigDict(
        extra='allow',
    )
    relation: str | None = Field(..., examples=['eq', 'gte', 'estimate'])
    """
    How the sum relates to the truth: `eq`, `gte` or `estimate`.
    """
    sources: list[SourceTotal]
    """
    Each source's own.
    """
    unit: str | None = Field(..., examples=['events', 'envelopes'])
    """
    What is counted.
    """
    value: int | None
    """
    The sum; null unless all units agree.
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
        ..., examples=['DOCUMENT_SIGNED', 'SigneeSigned', 'SignedDocument']
    )
    """
    The vendor's own value.
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
        examples=['Signee signed. ProcessKey: sp3c475f6d619b34cf3e9097169e430f4f. Signee key: si5ac796820233722ed431f562fa2c41a5'],
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
        ..., examples=['DOCUMENT_SIGNED', 'SigneeSigned', 'SignedDocument']
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
    window: TimeWindow
    """
    The time window that is read; the same on every page of a walk.
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
