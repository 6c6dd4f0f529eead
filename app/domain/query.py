"""The query parameters, each written once: FastAPI reads these models from a URL, OpenAPI describes them, the command
line derives its flags from them, a provider receives them, and a cursor carries them (contract, section 3).

`read_query` reads (name, text) pairs; `tests/filters/test_parameters.py` holds what it accepts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, WithJsonSchema

from app.domain import parameters as kinds
from app.domain.parameters import Parameters
from app.domain.times import format_seconds

GroupBy = Literal["type", "provider_type", "category", "source", "actor", "day"]

_TIME = (
    "An RFC 3339 date-time with an offset (in a URL, write `+` as `%2B`), a date, which is midnight UTC, or a duration"
    " back from now: `PT12H`, `P7D`, `12h`, `7d`, `4w`."
)
_OR = "May be repeated: any of the values matches."
_NOT = "May be repeated: none of the values may match."
_ORDER = "`desc` (default): newest first. `asc`: its exact reverse."
_RAW = "`raw`: each event's record as the provider delivered it; needs the scope `raw:read`."


def _field(default: Any, description: str, **more: Any) -> Any:
    return Field(default=default, description=description, **more)


class TimeRange(Parameters):
    """The time window. µs since the epoch; a `timedelta` is that long before the walk begins."""

    since: kinds.Moment = _field(
        None,
        f"Only events at or after this time. {_TIME} Default: `GATEWAY_DEFAULT_WINDOW` (if unset, 30 days) before"
        " `until`; with `envelope_id`, the beginning.",
        examples=["2026-05-01T00:00:00Z", "2026-05-01", "P7D"],
    )
    until: kinds.Moment = _field(
        None,
        f"Only events before this time. {_TIME} Default: now. The first page pins it.",
        examples=["2026-06-01T00:00:00Z", "2026-06-01", "12h"],
    )


class Filters(Parameters):
    """The filters of contract section 3. Absent is None or an empty tuple; a tuple's members are OR, fields are AND."""

    source: kinds.Words = _field((), f"Only these sources, by the names that `GET /sources` lists. {_OR}")
    provider: kinds.Words = _field((), f"Only sources of these vendors. {_OR}")
    category: kinds.Categories = _field((), f"Only this part of the accounts. {_OR}")
    type: kinds.Types = _field(
        (), f"Only these types: exact, or a prefix ending in `.*`. `GET /event-types` lists them. {_OR}"
    )
    provider_type: kinds.Texts = _field((), f"Only these values of the provider's status or event type, exactly. {_OR}")
    envelope_id: kinds.EnvelopeIds = _field((), f"Only the events of these envelopes. {_OR}")
    workspace_id: kinds.Id | None = _field(None, "Only events of this workspace.")
    flow_id: kinds.Id | None = _field(None, "Only events of envelopes made from this flow (template).")
    flow_type: kinds.Text | None = _field(None, "Only events of envelopes of this type of flow.")
    envelope_status: Literal["completed", "active", "inactive"] | None = _field(
        None, "Only events of envelopes whose status is now this one."
    )
    owner: kinds.Address | None = _field(None, "Only events of envelopes that this user (e-mail address) started.")
    actor: kinds.Address | None = _field(None, "Only what this person (e-mail address, in any letter case) did.")
    recipient: kinds.RecipientKey | None = _field(None, "Only events of the recipient with this id or e-mail address.")
    person: kinds.Address | None = _field(
        None,
        "Everything by or about one person: events whose actor, recipient, target or envelope's owner has this e-mail"
        " address, or a name that contains it; in any letter case.",
        examples=["anna@example.com", "Jones"],
    )
    q: kinds.Text | None = _field(
        None,
        "Free text, in any letter case: by the provider's own search or, without one, in the visible texts of the"
        " event. `GET /sources` lists which.",
        examples=["lease"],
    )
    type_not: kinds.TypesNot = _field((), f"Not these types; values as in `type`. {_NOT}", alias="type.not")
    provider_type_not: kinds.Texts = _field((), f"Not these values of the provider. {_NOT}", alias="provider_type.not")
    category_not: kinds.CategoriesNot = _field((), f"Not these parts of the accounts. {_NOT}", alias="category.not")
    source_not: kinds.Words = _field((), f"Not these sources. {_NOT}", alias="source.not")
    actor_not: kinds.Addresses = _field((), f"Not what these people (e-mail addresses) did. {_NOT}", alias="actor.not")


class Query(Filters):
    """What a walk reads, free of paging: the part of a call that providers see and cursors keep."""

    order: kinds.Order = _field("desc", _ORDER)
    follow: kinds.Flag = _field(
        False,
        "`true`, with `order=asc` and without `until`: `next_cursor` is always present, and later requests return the"
        " new events. Default: `false`.",
    )

    @property
    def ascending(self) -> bool:
        return self.order == "asc"


#: Parameters of a page; all others must equal those of a cursor in the same call.
PAGING = ("limit", "cursor", "include", "partial")


class EventQuery(Query, TimeRange):
    """One call of `GET /events`, each parameter valid on its own. None: the cursor's value, or the default."""

    limit: kinds.Limit = _field(
        None,
        f"How many events a page may have, {kinds.DEFAULT_LIMIT} by default. May change from page to page. Where the"
        " gateway filters, a page may have fewer, or none, and more may follow: see `has_more`.",
    )
    cursor: kinds.Cursor = _field(
        None,
        "The `next_cursor` of an earlier page: continues after it. Filters are then optional; one that differs from"
        " the cursor's is an error.",
    )
    include: kinds.Includes = _field(
        None, f"{_RAW} `total`: how many events there are. May be repeated: each value is included."
    )
    partial: kinds.Flag | None = _field(
        None, "`true`: a source that fails does not fail the call; it is named in `sources`. Default: `false`."
    )

    @classmethod
    def of(cls, parameters: Parameters, **changes: Any) -> EventQuery:
        """The call with the filters of another call's `parameters` and these `changes`, which are valid."""
        known = {name: value for name, value in parameters.given().items() if name in cls.model_fields}
        return cls(**known | changes)


class CountQuery(Filters, TimeRange):
    """One call of `GET /events/count`."""

    exact: kinds.Flag = _field(
        False, "`true`: read on until the request's deadline, if events must be counted by reading."
    )
    by: GroupBy | None = _field(None, "Count by this field, too: `groups` lists each of its values with its count.")


class ExportQuery(Filters, TimeRange):
    """One call of `GET /events/export`."""

    format: Literal["ndjson", "csv", "ocsf", "cloudevents", "ecs"] = _field(
        "ndjson",
        "`ndjson` (default): one event a line, as in `GET /events`, and a last line with the state of the export."
        " `csv`: RFC 4180. `ocsf`: Entity Management (3004) of OCSF 1.7. `cloudevents`: CloudEvents 1.0. `ecs`:"
        " Elastic Common Schema 8. The last three are NDJSON, too.",
    )
    order: kinds.Order = _field("desc", _ORDER)
    cursor: kinds.Cursor = _field(None, "The cursor of an export's last line, or its `Export-Cursor` beside `after`.")
    include: kinds.Raw = _field(None, _RAW)
    after: Annotated[str | None, WithJsonSchema({"type": "string", "minLength": 1})] = _field(
        None,
        "The `id` of the last complete event of a broken response: continues after it. Also send the same filters"
        " with the same `since`, or the `Export-Cursor` as `cursor`.",
    )
    limit: kinds.ExportLimit = _field(
        None,
        "Events in this response, at most; default: all. The last line's `cursor` continues or, in formats without"
        " one, `after`.",
    )
    bom: kinds.Flag = _field(
        False, "`true`: `csv` begins with a byte order mark, without which some spreadsheets garble letters."
    )
    unreadable: Literal["fail", "skip"] = _field(
        "fail",
        "At unreadable records, or where a provider contradicts itself, in formats without a last line: `fail`"
        " (default) cuts the response before that page, `skip` continues, and ends it normally.",
    )


class StreamQuery(Filters):
    """One call of `GET /events/stream`."""

    since: kinds.Moment = _field(
        None, f"Begin with the events at or after this time. {_TIME} Default: now. Ignored on resuming."
    )
    cursor: kinds.Cursor = _field(None, "The `id` of an earlier message: continues after it.")
    include: kinds.Raw = _field(None, _RAW)


class SingleEventQuery(Parameters):
    """One call of `GET /events/{event_id}`."""

    include: kinds.Raw = _field(None, _RAW)


class EnvelopeQuery(Parameters):
    """One call of `GET /envelopes/{envelope_id}`, or of its report."""

    source: kinds.Word | None = _field(None, "The source that the envelope is in; needed where several have its id.")


class NoParameters(Parameters):
    """A call without query parameters."""


class Window(msgspec.Struct, frozen=True):
    """Microseconds since the epoch; `since` inclusive, `until` exclusive (None only while following)."""

    since: int
    until: int | None

    def shown(self) -> dict[str, str | None]:
        """Return both ends as text."""
        until = None if self.until is None else format_seconds(self.until)
        return {"since": format_seconds(self.since), "until": until}


#: Filters that the gateway can judge on any event; a provider may do it, too.
GATEWAY_FILTERS = ("type", "provider_type", "actor", "recipient", "q")

#: Filters that the gateway alone judges, on every source's events.
OWN_FILTERS = ("person", "type_not", "provider_type_not", "category_not", "actor_not")

#: Filters that need a provider with the notion: one without it excludes its sources.
PROVIDER_FILTERS = ("workspace_id", "flow_id", "flow_type", "envelope_status", "owner")

#: Filters on what a source may join to its records.
JOINED_FILTERS = ("envelope_status", "owner", "recipient", "person")

#: Filters of which a provider may have no notion; the others work everywhere.
FILTERS = ("category", "envelope_id", *PROVIDER_FILTERS, *GATEWAY_FILTERS)


def matches_type(query: Query, type_: str, provider_type: str) -> bool:
    """Whether an event matches the query's filters by type."""
    if query.provider_type and provider_type not in query.provider_type:
        return False
    if query.provider_type_not and provider_type in query.provider_type_not:
        return False
    if query.type_not and any(covers(pattern, type_) for pattern in query.type_not):
        return False
    return not query.type or any(covers(pattern, type_) for pattern in query.type)


def may_hold(query: Query, category: str, types: Iterable[str]) -> bool:
    """Whether events of one category, of these types or `unknown`, can match the filters by category and type."""
    if (query.category and category not in query.category) or category in query.category_not:
        return False
    return not query.type or any(covers(pattern, type_) for type_ in (*types, "unknown") for pattern in query.type)


def covers(pattern: str, type_: str) -> bool:
    """Whether a value of `type` selects a type, or all types of another value."""
    # "recipient.*" takes what begins with "recipient.", so that "recipient.*" is not "recipients.added".
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else type_ == pattern
