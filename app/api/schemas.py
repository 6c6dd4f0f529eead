"""The shapes of the API's responses, beside those of `app.domain.event`. They are sent as they stand here, and the
OpenAPI document is made from them. Nullable fields are declared so, and every field is always present.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from app.domain.event import Envelope, Event, Time, described
from app.feed.envelopes import ENDS, IN_PROGRESS, EnvelopeDurations, EnvelopeRecipient
from app.feed.model import Totals, ValueWarning


class PageInfo(msgspec.Struct, frozen=True):
    """Where this page stands."""

    limit: Annotated[int, described("The page's limit.")]
    order: Annotated[str, described("`desc` (newest first) or `asc`.", "desc", "asc")]
    has_more: Annotated[bool, described("Whether anything is left beyond this page.")]
    next_cursor: Annotated[str | None, described("Pass it as `cursor` for the next page; null when nothing is left.")]
    scanned_to: Annotated[
        Time | None, described("How far the search came, where the gateway filters and stopped short of a full page.")
    ]


class TimeWindow(msgspec.Struct, frozen=True):
    """The time window that is read."""

    since: Annotated[Time, described("Its beginning: events at this very time are part of it.")]
    until: Annotated[
        Time | None,
        described("Its end: events at this very time are no part of it. The first page pins it; null while following."),
    ]


class SourceStatus(msgspec.Struct, frozen=True):
    """How one source fared in this call."""

    name: Annotated[str, described("The source's name.")]
    provider: Annotated[str, described("Its vendor.")]
    status: Annotated[
        str,
        described(
            "`ok`, `skipped` (a filter does not apply), `forbidden` (a part is refused) or `failed`.",
            *("ok", "skipped", "forbidden", "failed"),
        ),
    ]
    reason: Annotated[str | None, described("Why it is not `ok`.")]
    complete_through: Annotated[
        Time | None, described("The answer is complete up to this time; null for a failed or skipped source.")
    ]


class EventPage(msgspec.Struct, frozen=True):
    """One page of events of all sources, in one order."""

    data: Annotated[
        Sequence[Event], described("The events. Few or none do not mean that nothing follows: `has_more` does.")
    ]
    page: Annotated[PageInfo, described("Where this page stands, and how to go on.")]
    window: Annotated[TimeWindow, described("The time window that is read; the same on every page of a walk.")]
    total: Annotated[
        Totals | None,
        described("How many there are; null without `include=total`, and where with `partial` a source failed."),
    ]
    warnings: Annotated[Sequence[ValueWarning], described("Values of filters that can match nothing.")]
    sources: Annotated[list[SourceStatus], described("How each source fared.")]


class EnvelopeStory(msgspec.Struct, frozen=True):
    """One envelope: its recipients, what became of each, and all its events."""

    source: Annotated[str, described("The source that it is in.")]
    provider: Annotated[str, described("The vendor of that source.")]
    envelope: Annotated[Envelope, described("The envelope, as it is at present.")]
    status: Annotated[
        str,
        described(
            "How it ended according to its events; `in_progress` until then.",
            *(IN_PROGRESS, *dict.fromkeys(ENDS.values())),
        ),
    ]
    recipients: Annotated[list[EnvelopeRecipient], described("In the order in which the events name them.")]
    durations: Annotated[EnvelopeDurations, described("How long it took, in seconds.")]
    events: Annotated[Sequence[Event], described("Its events, oldest first.")]
    has_more: Annotated[bool, described("Whether it has more events than one answer holds (10,000).")]
    complete_through: Annotated[Time | None, described("Up to this time no event is missing.")]
    sources: Annotated[list[SourceStatus], described("How each source fared that was searched for it.")]


class TypeMapping(msgspec.Struct, frozen=True):
    """One value of a provider that becomes this type."""

    provider: Annotated[str, described("The vendor.")]
    provider_type: Annotated[str, described("The vendor's own value.")]
    category: Annotated[str, described("The part of an account that it occurs in.", "envelope", "team")]


class EventType(msgspec.Struct, frozen=True):
    """One type, and where it comes from."""

    type: Annotated[str, described("The type, as events carry it.")]
    mappings: Annotated[list[TypeMapping], described("The providers' values that become it.")]


class ProviderInfo(msgspec.Struct, frozen=True):
    """A vendor that the gateway can read."""

    name: Annotated[str, described("As in `provider`.")]
    title: Annotated[str, described("As the vendor writes it.")]
    mapping_version: Annotated[str, described("Changes whenever this provider's mapping does.", "1")]


class EventTypes(msgspec.Struct, frozen=True):
    """All types that there are. The list is open: more may come."""

    data: Annotated[list[EventType], described("The types, sorted.")]
    providers: Annotated[list[ProviderInfo], described("The vendors, and the version of each one's mapping.")]


class SourceHealth(msgspec.Struct, frozen=True):
    """How the calls to a source fare, as this process of the gateway sees it."""

    circuit: Annotated[
        str,
        described(
            "`closed` (it is asked), `open` (it failed and is left alone) or `half_open` (one call at a time).",
            *("closed", "open", "half_open"),
        ),
    ]
    since: Annotated[Time, described("Since when the circuit is in this state.")]
    consecutive_failures: Annotated[int, described("Calls that failed, since the last that did not.")]
    retry_at: Annotated[Time | None, described("While the circuit is open: when the source is asked again.")]
    paused_until: Annotated[Time | None, described("Until when the provider asked to be left alone.")]
    in_flight: Annotated[int, described("Calls under way.")]
    waiting: Annotated[int, described("Calls that wait for their turn.")]


class SourceInfo(msgspec.Struct, frozen=True):
    """One configured account."""

    name: Annotated[str, described("Its name, as in the parameter `source`.")]
    provider: Annotated[str, described("Its vendor.")]
    filters: Annotated[
        Mapping[str, str],
        described(
            "Who judges each parameter: `native` (the provider), `gateway`, or `not_applicable` (this source"
            " is left out of an answer that filters by it).",
            {"since": "native", "type": "gateway", "workspace_id": "not_applicable"},
        ),
    ]
    settle: Annotated[float, described("Seconds for which young events are held back from followers.")]
    health: Annotated[SourceHealth | None, described("How its calls fare; null for a source that makes none.")]
    details: Annotated[Mapping[str, Any], described("Settings in force, and observations about the account.")]


class Sources(msgspec.Struct, frozen=True):
    """The sources that the caller may read."""

    data: Annotated[list[SourceInfo], described("The sources, sorted by name.")]


class Me(msgspec.Struct, frozen=True):
    """The caller and its grants."""

    name: Annotated[str, described("The key's name, or a token's subject.", "reporting")]
    kind: Annotated[str, described("How the caller is known.", "key", "token", "none")]
    scopes: Annotated[list[str], described("What it may do.", ["events:read", "pii:read"])]
    sources: Annotated[list[str], described("The configured sources that it may read.")]
    rate: Annotated[str | None, described("How often it may call; null without a limit.", "600/minute")]
    expires: Annotated[Time | None, described("Until when it is valid; null without an end.")]


class Health(msgspec.Struct, frozen=True):
    """The state of this process."""

    status: Annotated[str, described("`ok`.", "ok")]


class ProblemParameter(msgspec.Struct, frozen=True):
    """One parameter at fault."""

    parameter: Annotated[str, described("Its name.")]
    message: Annotated[str, described("What is wrong with it and what to do.")]


class ProblemSource(msgspec.Struct, frozen=True):
    """One source that could not answer."""

    name: Annotated[str | None, described("The source's name.")]
    code: Annotated[str, described("What went wrong there.")]
    detail: Annotated[str, described("The same in words.")]
    provider_request_id: Annotated[str | None, described("The provider's id of the failed call, for its support.")]
    retry_after: Annotated[
        float | None, described("Seconds after which to try again: named by the provider, or until it is asked again.")
    ]


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457)."""

    type: Annotated[str, described("A stable URI reference of the kind of error.")]
    title: Annotated[str, described("The kind of error in words.")]
    status: Annotated[int, described("The HTTP status.")]
    detail: Annotated[str, described("What happened in this case, and the remedy.")]
    instance: Annotated[str, described("The path that was called.")]
    code: Annotated[str, described("The kind of error as a stable word.")]
    request_id: Annotated[str, described("Names this call in the gateway's log.")]
    errors: Annotated[list[ProblemParameter], described("The parameters at fault, if any.")]
    sources: Annotated[list[ProblemSource], described("The sources that failed, if any.")]
