"""The query parameters of `GET /events`, described for the OpenAPI document.

`app.feed.PARAMETERS` says what is accepted; this table says it in words. A test holds the two to the same names. No
schema has a `default`: Swagger UI and some generated clients send defaults along, and beside a cursor those would
contradict the filters sealed in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.feed.model import DEFAULT_LIMIT, MAX_LIMIT
from app.feed.parameters import MAX_CURSOR, MAX_ENVELOPE_IDS, MAX_LENGTH, MAX_VALUES

Json = dict[str, Any]

_TIME = "An RFC 3339 date-time with an offset (in a URL, write `+` as `%2B`), or a date, which is midnight UTC."


def _text(description: str, *examples: str, longest: int | None = MAX_LENGTH) -> Json:
    schema = _string(longest)
    return _parameter(description, schema | ({"examples": list(examples)} if examples else {}))


def _string(longest: int | None = MAX_LENGTH) -> Json:
    """Of at most so many characters; None: of any number."""
    return {"type": "string", "minLength": 1} | ({} if longest is None else {"maxLength": longest})


def _choice(description: str, *values: str) -> Json:
    return _parameter(description, {"type": "string", "examples": list(values), "pattern": f"^({'|'.join(values)})$"})


def _flag(description: str) -> Json:
    return _parameter(description, {"type": "boolean"})


def _list(description: str, *examples: str, repeated: str = "any of the values matches", **limits: Any) -> Json:
    items = _string()
    if examples:
        items["examples"] = list(examples)
    parameter = _parameter(
        f"{description} May be repeated: {repeated}.",
        {"type": "array", "items": items, "maxItems": MAX_VALUES} | limits,
    )
    return parameter | {"style": "form", "explode": True}


def _parameter(description: str, schema: Json) -> Json:
    return {"in": "query", "required": False, "description": description, "schema": schema}


DESCRIBED: Mapping[str, Json] = {
    "since": _text(
        f"Only events at or after this time. {_TIME} Default: `GATEWAY_DEFAULT_WINDOW` (if unset, 30"
        " days) before `until`; with `envelope_id`, the beginning.",
        "2026-05-01T00:00:00Z", "2026-05-01",
    ),
    "until": _text(
        f"Only events before this time. {_TIME} Default: now, which all further pages keep.",
        "2026-06-01T00:00:00Z", "2026-06-01",
    ),
    "source": _list("Only these sources, by the names that `GET /sources` lists."),
    "provider": _list("Only sources of these vendors."),
    "category": _list("Only this part of the accounts.", "envelope", "team"),
    "type": _list(
        "Only these types: exact, or a prefix ending in `.*`. `GET /event-types` lists them.",
        "recipient.signed", "recipient.*",
    ),
    "provider_type": _list("Only these values of the provider's own status or event type, exactly."),
    "envelope_id": _list("Only the events of these envelopes.", maxItems=MAX_ENVELOPE_IDS),
    "workspace_id": _text("Only events of this workspace."),
    "flow_id": _text("Only events of envelopes made from this flow (template)."),
    "flow_type": _text("Only events of envelopes of this type of flow."),
    "envelope_status": _choice(
        "Only events of envelopes whose status is now this one.", "completed", "active", "inactive"
    ),
    "owner": _text("Only events of envelopes that this user (e-mail address) started."),
    "actor": _text("Only what this one (e-mail address, in any letter case) did."),
    "recipient": _text("Only events of the recipient with this id or e-mail address."),
    "q": _text(
        "Free text, in any letter case: as the provider searches its own records, or, where it cannot, in what the"
        " gateway shows of them. `GET /sources` tells which.",
        "lease",
    ),
    "order": _choice("`desc` (default): newest first. `asc`: its exact reverse.", "desc", "asc"),
    "limit": _parameter(
        f"How many events a page may have, {DEFAULT_LIMIT} by default. May change from page to page. Where the gateway"
        " filters, a page may have fewer, or none, and more may follow: only `has_more` tells.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    "cursor": _text(
        "The `next_cursor` of an earlier page: goes on right behind it. Filters may then be left out; one"
        " that differs from the cursor's is an error.",
        longest=MAX_CURSOR,
    ),
    "include": _list(
        "`raw`: each event's record as the provider delivered it; needs the scope `raw:read`."
        " `total`: how many there are, as far as the providers say so.",
        "raw", "total", repeated="all that is asked for comes",
    ),
    "partial": _flag("`true`: a source that fails does not fail the call; it is named in `sources`."),
    "follow": _flag(
        "`true`, with `order=asc` and without `until`: `next_cursor` is always there, and asking again later"
        " goes on with what has come since."
    ),
}  # fmt: skip

INCLUDE_RAW: Json = {
    "name": "include",
    **_list(
        "`raw`: the record as the provider delivered it; needs the scope `raw:read`.",
        "raw",
        repeated="once is enough",
    ),
}


EXACT: Json = {"name": "exact", **_flag("`true`: events are counted one by one where no cheaper way exists.")}

#: What a count has no use for: how its answer would be cut into pages.
NOT_COUNTED = ("order", "limit", "cursor", "include", "partial", "follow")


def event_parameters() -> list[Json]:
    """The OpenAPI parameters of `GET /events`."""
    return [{"name": name, **described} for name, described in DESCRIBED.items()]


def count_parameters() -> list[Json]:
    """The OpenAPI parameters of `GET /events/count`: the same filters."""
    return [parameter for parameter in event_parameters() if parameter["name"] not in NOT_COUNTED] + [EXACT]


FORMAT: Json = {
    "name": "format",
    **_choice(
        "`ndjson` (default): one event a line, as in `GET /events`, and a last line that says whether all came. `csv`:"
        " RFC 4180. `ocsf`: Entity Management (3004) of OCSF 1.7. `cloudevents`: CloudEvents 1.0. `ecs`: Elastic Common"
        " Schema 8. The last three are NDJSON, too.",
        "ndjson", "csv", "ocsf", "cloudevents", "ecs",
    ),
}  # fmt: skip

AFTER: Json = {
    "name": "after",
    **_text(
        "The `id` of the last event that came whole, where a connection broke: goes on right behind it. Beside it, send"
        " the same filters with the same `since`, or the `Export-Cursor` as `cursor`.",
        longest=None,
    ),
}

#: What an export has no use for: it has no pages, and is complete or says that it is not.
NOT_EXPORTED = ("limit", "partial", "follow")

#: What is settled for a stream: it goes upwards, from now on, for ever.
NOT_STREAMED = ("until", "order", "limit", "partial", "follow")


def export_parameters() -> list[Json]:
    """The OpenAPI parameters of `GET /events/export`."""
    filters = [parameter for parameter in event_parameters() if parameter["name"] not in NOT_EXPORTED]
    return [FORMAT, *(_only_raw(parameter) for parameter in filters), AFTER]


def stream_parameters() -> list[Json]:
    """The OpenAPI parameters of `GET /events/stream`."""
    since = _text(f"Begin with the events at or after this time. {_TIME} Default: now. Of no effect when resuming.")
    header = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": (
            "The `id` of the last event that came: goes on right behind it. It goes before `cursor`; empty is as good"
            " as none."
        ),
        "schema": {"type": "string"},
    }
    filters = [parameter for parameter in event_parameters() if parameter["name"] not in NOT_STREAMED]
    described = [{"name": "since", **since} if one["name"] == "since" else _only_raw(one) for one in filters]
    return [*described, header]


def _only_raw(parameter: Json) -> Json:
    return INCLUDE_RAW if parameter["name"] == "include" else parameter
