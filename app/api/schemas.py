"""The shapes of the API's responses, in addition to those of `app.domain.event`. The responses and the OpenAPI document
use the same structs. Every field is always present, except for `unproven`, which the contract does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.event import Envelope, Event, Time, described
from app.feed.envelopes import ENDS, IN_PROGRESS, EnvelopeDurations, EnvelopeRecipient
from app.feed.model import Totals, ValueWarning
from app.providers.base import SourceHealth


class PageInfo(msgspec.Struct, frozen=True):
    """Position of this page in the walk."""

    limit: Annotated[int, described("The page's limit.")]
    order: Annotated[str, described("`desc` (newest first) or `asc`.", "desc", "asc")]
    has_more: Annotated[bool, described("Whether more events follow.")]
    next_cursor: Annotated[str | None, described("The `cursor` of the next page; null if no events follow.")]
    scanned_to: Annotated[
        Time | None, described("Time that the search reached, if it stopped before the page was full.")
    ]


class TimeWindow(msgspec.Struct, frozen=True):
    """The time window of the walk."""

    since: Annotated[Time, described("Its beginning, inclusive.")]
    until: Annotated[Time | None, described("Its end, exclusive, fixed by the first page; null while following.")]


class SourceStatus(msgspec.Struct, frozen=True):
    """State of one source in this call."""

    name: Annotated[str, described("The source's name.")]
    provider: Annotated[str, described("The vendor.")]
    status: Annotated[
        str,
        described(
            "`ok`, `skipped` (a filter does not apply), `forbidden` (a part is refused) or `failed`.",
            *("ok", "skipped", "forbidden", "failed"),
        ),
    ]
    reason: Annotated[str | None, described("The cause of any other status, and notes.")]
    complete_through: Annotated[
        Time | None, described("The response is complete up to this time; null for a failed or skipped source.")
    ]
    unproven: Annotated[
        bool | UnsetType,
        described(
            "True if events may be missing because the provider contradicts itself: `reason` contains how. Else absent."
        ),
    ] = UNSET


class EventPage(msgspec.Struct, frozen=True):
    """One page of events of all sources, in one order."""

    data: Annotated[Sequence[Event], described("The events; possibly none although `has_more` is true.")]
    page: Annotated[PageInfo, described("Position of this page in the walk.")]
    window: Annotated[TimeWindow, described("The time window, equal on every page of a walk.")]
    total: Annotated[
        Totals | None, described("The count; null without `include=total`, and if a source failed with `partial`.")
    ]
    warnings: Annotated[Sequence[ValueWarning], described("Values of filters that can match nothing.")]
    sources: Annotated[list[SourceStatus], described("State of each source.")]


class EnvelopeStory(msgspec.Struct, frozen=True):
    """One envelope: its recipients, what became of each, and all its events."""

    source: Annotated[str, described("Its source.")]
    provider: Annotated[str, described("The vendor of that source.")]
    envelope: Annotated[Envelope, described("The envelope at present.")]
    status: Annotated[
        str,
        described("Its end according to the events, or `in_progress`.", *(IN_PROGRESS, *dict.fromkeys(ENDS.values()))),
    ]
    recipients: Annotated[list[EnvelopeRecipient], described("In the order of their first events.")]
    durations: Annotated[EnvelopeDurations, described("Durations in seconds.")]
    events: Annotated[Sequence[Event], described("Its events, oldest first.")]
    has_more: Annotated[bool, described("Whether it has more than 10,000 events.")]
    complete_through: Annotated[Time | None, described("Time up to which no event is missing.")]
    sources: Annotated[list[SourceStatus], described("State of each source that was searched.")]


class TypeMapping(msgspec.Struct, frozen=True):
    """One value of a provider that is mapped to this type."""

    provider: Annotated[str, described("The vendor.")]
    provider_type: Annotated[str, described("The vendor's own value.")]
    category: Annotated[str, described("Its category.", "envelope", "team")]


class EventType(msgspec.Struct, frozen=True):
    """One type, and the values mapped to it."""

    type: Annotated[str, described("The type.")]
    mappings: Annotated[list[TypeMapping], described("The providers' values.")]


class ProviderInfo(msgspec.Struct, frozen=True):
    """A supported vendor."""

    name: Annotated[str, described("Its name in `provider`.")]
    title: Annotated[str, described("The vendor's own spelling.")]
    mapping_version: Annotated[str, described("Changes with the mapping.", "1")]


class EventTypes(msgspec.Struct, frozen=True):
    """All types. The list is open: types may be added."""

    data: Annotated[list[EventType], described("The types, sorted.")]
    providers: Annotated[list[ProviderInfo], described("The vendors with the versions of their mappings.")]


class SourceInfo(msgspec.Struct, frozen=True):
    """One configured account."""

    name: Annotated[str, described("Its name in the parameter `source`.")]
    provider: Annotated[str, described("The vendor.")]
    filters: Annotated[
        Mapping[str, str],
        described(
            "Who applies each parameter: `native` (the provider), `gateway`, or `not_applicable` (a response"
            " filtered by it omits this source).",
            {"since": "native", "type": "gateway", "workspace_id": "not_applicable"},
        ),
    ]
    settle: Annotated[float, described("Seconds by which new events are delayed for followers.")]
    health: Annotated[SourceHealth | None, described("State of its calls; null for a source without calls.")]
    details: Annotated[Mapping[str, Any], described("Settings in force, and observations about the account.")]


class Sources(msgspec.Struct, frozen=True):
    """The sources that the caller may read."""

    data: Annotated[list[SourceInfo], described("The sources, sorted by name.")]


class Me(msgspec.Struct, frozen=True):
    """The caller and its grants."""

    name: Annotated[str, described("The key's name, or a token's subject.", "reporting")]
    kind: Annotated[str, described("Kind of authentication.", "key", "token", "none")]
    scopes: Annotated[list[str], described("Its scopes.", ["events:read", "pii:read"])]
    sources: Annotated[list[str], described("The sources that it may read.")]
    rate: Annotated[str | None, described("Its rate limit; null without one.", "600/minute")]
    expires: Annotated[Time | None, described("Its expiry; null without one.")]


class Health(msgspec.Struct, frozen=True):
    """The state of this process."""

    status: Annotated[str, described("`ok`.", "ok")]


class ProblemParameter(msgspec.Struct, frozen=True):
    """One parameter at fault."""

    parameter: Annotated[str, described("Its name.")]
    message: Annotated[str, described("The fault and the remedy.")]


class ProblemSource(msgspec.Struct, frozen=True):
    """One failed source."""

    name: Annotated[str | None, described("The source's name.")]
    code: Annotated[str, described("The kind of failure.")]
    detail: Annotated[str, described("The failure in words.")]
    provider_request_id: Annotated[str | None, described("The provider's id of the failed call.")]
    retry_after: Annotated[float | None, described("Seconds to wait before a retry.")]


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457)."""

    type: Annotated[str, described("Stable URI reference of the kind of error.")]
    title: Annotated[str, described("The kind of error in words.")]
    status: Annotated[int, described("The HTTP status.")]
    detail: Annotated[str, described("This case, and the remedy.")]
    instance: Annotated[str, described("The path that was called.")]
    code: Annotated[str, described("Stable word for the kind of error.")]
    request_id: Annotated[str, described("Id of this call in the gateway's log.")]
    errors: Annotated[list[ProblemParameter], described("The parameters at fault, if any.")]
    sources: Annotated[list[ProblemSource], described("The sources that failed, if any.")]


class PublicKey(msgspec.Struct, frozen=True):
    """A JSON Web Key of an Ed25519 key (RFC 8037)."""

    kty: Annotated[str, described("`OKP`.")]
    crv: Annotated[str, described("`Ed25519`.")]
    x: Annotated[str, described("The key, in base64url.")]
    kid: Annotated[str, described("Its id, as in the header of a signature.")]
    use: Annotated[str, described("`sig`.")]
    alg: Annotated[str, described("`EdDSA`.")]


class PublicKeys(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: Annotated[list[PublicKey], described("The signing key; none if the gateway has none.")]
