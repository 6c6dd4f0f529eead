"""The query parameters, each written once: FastAPI reads these models from a URL, OpenAPI describes them, the command
line derives its flags from them, a provider receives them, and a cursor carries them (contract, section 3).

`read_query` reads (name, text) pairs; `tests/filters/test_parameters.py` holds what it accepts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal, get_args

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from app.domain.times import parse_moment

Order = Literal["asc", "desc"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_ENVELOPE_IDS = 50
MAX_VALUES = 100
MAX_LENGTH = 320  #: characters of one value; the longest e-mail address there can be
MAX_CURSOR = 32_000  #: characters

_BLANK = {"Zs", "Cf"}  #: Unicode categories: spaces of every width, and characters without any
_BRACES = "{}[]()<>\"'"


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; leave the parameter out to not filter")
    if len(value) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    return value


def _word(value: str) -> str:
    """A value without blanks around it."""
    if _is_blank(value[0]) or _is_blank(value[-1]):
        raise ValueError("must not have blanks around it")
    return value


def _single(value: str, name: str) -> str:
    """A word that cannot have a comma in it."""
    if "," in _word(value):
        raise ValueError(f"must be one value, without a comma; for several, repeat it: {name}=a&{name}=b")
    return value


def _id(value: str) -> str:
    if _word(value)[0] in _BRACES or value[-1] in _BRACES:
        raise ValueError("must be the id alone, without braces or quotes around it")
    return value


def _address(value: str) -> str:
    if "@" in value and any(map(_is_blank, value)):
        raise ValueError("must not have a blank in an e-mail address; in a URL write + as %2B")
    return value


def _type(value: str) -> str:
    stem = value[:-2] if value.endswith(".*") else value
    if not stem or "*" in stem:
        raise ValueError("must be a type such as recipient.signed, or a prefix ending in .* such as recipient.*")
    return value


def _is_blank(character: str) -> bool:
    return unicodedata.category(character) in _BLANK


def _flag(value: Any) -> Any:
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value in ("true", True)


def _limit(value: Any) -> int:
    """A caller's text; an `int` is the gateway's own, and may be larger: exports read larger pages."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
        if not 1 <= value <= MAX_LIMIT:
            raise ValueError(f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


def _few(value: Any) -> Any:
    """A set is counted before it is one."""
    if value is not None and len(value) > MAX_VALUES:
        raise ValueError(f"may be repeated at most {MAX_VALUES} times; it was given {len(value)} times")
    return value


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    """Equal questions are equal values: a cursor's match, and the key of a cache."""
    return tuple(sorted(set(values)))


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}

Moment = Annotated[int | timedelta | None, PlainValidator(parse_moment), WithJsonSchema(_TEXT)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, AfterValidator(_text), WithJsonSchema(_TEXT)]
Word = Annotated[Text, AfterValidator(_word)]
Id = Annotated[Text, AfterValidator(_id)]
Address = Annotated[Text, AfterValidator(_address)]
_Sorted = AfterValidator(_sorted)
_Many = Field(max_length=MAX_VALUES)
_Few = BeforeValidator(_few)
_Category = Annotated[Text, AfterValidator(partial(_single, name="category"))]
_Type = Annotated[Text, AfterValidator(partial(_single, name="type")), AfterValidator(_type)]
_EnvelopeId = Annotated[Text, AfterValidator(partial(_single, name="envelope_id")), AfterValidator(_id)]

_TIME = (
    "An RFC 3339 date-time with an offset (in a URL, write `+` as `%2B`), a date, which is midnight UTC, or a duration"
    " back from now: `PT12H`, `P7D`, `12h`, `7d`, `4w`."
)
_OR = "May be repeated: any of the values matches."
_NOT = "May be repeated: none of the values may match."


class Parameters(BaseModel):
    """What every set of parameters has in common: unknown names are an error, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    def given(self, without: Collection[str] = ()) -> dict[str, Any]:
        """The parameters that were written, by field name."""
        return {name: getattr(self, name) for name in self.model_fields_set if name not in without}


class TimeRange(Parameters):
    """The time window. µs since the epoch; a `timedelta` is that long before the walk begins."""

    since: Annotated[
        Moment,
        Field(
            description=f"Only events at or after this time. {_TIME} Default: `GATEWAY_DEFAULT_WINDOW` (if unset, 30"
            " days) before `until`; with `envelope_id`, the beginning.",
            examples=["2026-05-01T00:00:00Z", "2026-05-01", "P7D"],
        ),
    ] = None
    until: Annotated[
        Moment,
        Field(
            description=f"Only events before this time. {_TIME} Default: now. All pages keep the first page's.",
            examples=["2026-06-01T00:00:00Z", "2026-06-01", "12h"],
        ),
    ] = None


class Filters(Parameters):
    """The filters of contract section 3. Absent is None or an empty tuple; a tuple's members are OR, fields are AND."""

    source: Annotated[
        tuple[Word, ...], _Many, _Sorted,
        Field(description=f"Only these sources, by the names that `GET /sources` lists. {_OR}"),
    ] = ()  # fmt: skip
    provider: Annotated[
        tuple[Word, ...], _Many, _Sorted, Field(description=f"Only sources of these vendors. {_OR}")
    ] = ()  # fmt: skip
    category: Annotated[
        tuple[Annotated[_Category, Field(examples=["envelope", "team"])], ...], _Many, _Sorted,
        Field(description=f"Only this part of the accounts. {_OR}"),
    ] = ()  # fmt: skip
    type: Annotated[
        tuple[Annotated[_Type, Field(examples=["recipient.signed", "recipient.*"])], ...], _Many, _Sorted,
        Field(
            description="Only these types: exact, or a prefix ending in `.*`. `GET /event-types` lists them."
            f" {_OR}",
        ),
    ] = ()  # fmt: skip
    provider_type: Annotated[
        tuple[Text, ...], _Many, _Sorted,
        Field(description=f"Only these values of the provider's own status or event type, exactly. {_OR}"),
    ] = ()  # fmt: skip
    envelope_id: Annotated[
        tuple[_EnvelopeId, ...], Field(max_length=MAX_ENVELOPE_IDS), _Sorted,
        Field(description=f"Only the events of these envelopes. {_OR}"),
    ] = ()  # fmt: skip
    workspace_id: Annotated[Id | None, Field(description="Only events of this workspace.")] = None
    flow_id: Annotated[Id | None, Field(description="Only events of envelopes made from this flow (template).")] = None
    flow_type: Annotated[Text | None, Field(description="Only events of envelopes of this type of flow.")] = None
    envelope_status: Annotated[
        Literal["completed", "active", "inactive"] | None,
        Field(description="Only events of envelopes whose status is now this one."),
    ] = None
    owner: Annotated[
        Address | None, Field(description="Only events of envelopes that this user (e-mail address) started.")
    ] = None
    actor: Annotated[
        Address | None, Field(description="Only what this person (e-mail address, in any letter case) did.")
    ] = None
    recipient: Annotated[
        Annotated[Address, AfterValidator(_id)] | None,
        Field(description="Only events of the recipient with this id or e-mail address."),
    ] = None
    person: Annotated[
        Address | None,
        Field(
            description="Everything by or about one person: events whose actor, recipient, target or envelope's owner"
            " has this e-mail address, or a name that contains it; in any letter case.",
            examples=["anna@example.com", "Jones"],
        ),
    ] = None
    q: Annotated[
        Text | None,
        Field(
            description="Free text, in any letter case: as the provider searches its own records, or, where it cannot,"
            " in what the gateway shows of them. `GET /sources` lists which.",
            examples=["lease"],
        ),
    ] = None
    type_not: Annotated[
        tuple[Annotated[_Type, Field(examples=["envelope.*"])], ...], _Many, _Sorted,
        Field(alias="type.not", description=f"Not these types; values as in `type`. {_NOT}"),
    ] = ()  # fmt: skip
    provider_type_not: Annotated[
        tuple[Text, ...], _Many, _Sorted,
        Field(alias="provider_type.not", description=f"Not these values of the provider's own. {_NOT}"),
    ] = ()  # fmt: skip
    category_not: Annotated[
        tuple[Annotated[_Category, Field(examples=["team"])], ...], _Many, _Sorted,
        Field(alias="category.not", description=f"Not these parts of the accounts. {_NOT}"),
    ] = ()  # fmt: skip
    source_not: Annotated[
        tuple[Word, ...], _Many, _Sorted, Field(alias="source.not", description=f"Not these sources. {_NOT}")
    ] = ()  # fmt: skip
    actor_not: Annotated[
        tuple[Address, ...], _Many, _Sorted,
        Field(alias="actor.not", description=f"Not what these people (e-mail addresses) did. {_NOT}"),
    ] = ()  # fmt: skip


_ORDER = Field(description="`desc` (default): newest first. `asc`: its exact reverse.")


class Query(Filters):
    """What a walk reads, free of paging: the part of a call that providers see and cursors keep."""

    order: Annotated[Order, _ORDER] = "desc"
    follow: Annotated[
        Flag,
        Field(
            description="`true`, with `order=asc` and without `until`: `next_cursor` is always there, and asking again"
            " later continues with what has come since. Default: `false`."
        ),
    ] = False

    @property
    def ascending(self) -> bool:
        return self.order == "asc"


Included = Literal["raw", "total"]
Include = frozenset[Included]
_RAW = "`raw`: each event's record as the provider delivered it; needs the scope `raw:read`."
_CURSOR_SCHEMA = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CURSOR})


class EventQuery(Query, TimeRange):
    """One call of `GET /events`, each parameter valid on its own. None: the cursor's value, or the default."""

    limit: Annotated[
        Annotated[int, BeforeValidator(_limit)] | None,
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
        Field(
            description=f"How many events a page may have, {DEFAULT_LIMIT} by default. May change from page to page."
            " Where the gateway filters, a page may have fewer, or none, and more may follow: see `has_more`."
        ),
    ] = None
    cursor: Annotated[
        str | None, _CURSOR_SCHEMA,
        Field(
            description="The `next_cursor` of an earlier page: continues right behind it. Filters may then be left"
            " out; one that differs from the cursor's is an error."
        ),
    ] = None  # fmt: skip
    include: Annotated[
        Include | None, _Many, _Few,
        Field(description=f"{_RAW} `total`: how many events there are. May be repeated: each value is included."),
    ] = None  # fmt: skip
    partial: Annotated[
        Flag | None,
        Field(
            description="`true`: a source that fails does not fail the call; it is named in `sources`."
            " Default: `false`."
        ),
    ] = None

    @classmethod
    def of(cls, parameters: Parameters, **changes: Any) -> EventQuery:
        """The call with the filters of another call's `parameters` and these `changes`, which are valid."""
        known = {name: value for name, value in parameters.given().items() if name in cls.model_fields}
        return cls(**known | changes)

    def filters(self) -> dict[str, Any]:
        """The filters that were written: what a cursor beside them must agree with."""
        return self.given(without=("limit", "cursor", "include", "partial"))


GroupBy = Literal["type", "provider_type", "category", "source", "actor", "day"]


class CountQuery(Filters, TimeRange):
    """One call of `GET /events/count`."""

    exact: Annotated[
        Flag, Field(description="`true`: read on until the request's deadline, if events must be counted by reading.")
    ] = False
    by: Annotated[
        GroupBy | None,
        Field(description="Count by this field, too: `groups` lists each of its values with its count."),
    ] = None


class ExportQuery(Filters, TimeRange):
    """One call of `GET /events/export`."""

    format: Annotated[
        Literal["ndjson", "csv", "ocsf", "cloudevents", "ecs"],
        Field(
            description="`ndjson` (default): one event a line, as in `GET /events`, and a last line that states"
            " whether all came. `csv`: RFC 4180. `ocsf`: Entity Management (3004) of OCSF 1.7. `cloudevents`:"
            " CloudEvents 1.0. `ecs`: Elastic Common Schema 8. The last three are NDJSON, too."
        ),
    ] = "ndjson"
    order: Annotated[Order, _ORDER] = "desc"
    cursor: Annotated[
        str | None, _CURSOR_SCHEMA,
        Field(description="The cursor of an export's last line, or its `Export-Cursor` beside `after`."),
    ] = None  # fmt: skip
    include: Annotated[frozenset[Literal["raw"]] | None, _Many, _Few, Field(description=_RAW)] = None
    after: Annotated[
        str | None, WithJsonSchema({"type": "string", "minLength": 1}),
        Field(
            description="The `id` of the last event that came whole, where a connection broke: continues right behind"
            " it. Beside it, send the same filters with the same `since`, or the `Export-Cursor` as `cursor`."
        ),
    ] = None  # fmt: skip

    limit: Annotated[
        int | None,
        Field(
            ge=1, le=1_000_000,
            description="Events in this answer, at most; default: all. The last line's `cursor` continues.",
        ),
    ] = None  # fmt: skip


class StreamQuery(Filters):
    """One call of `GET /events/stream`."""

    since: Annotated[
        Moment,
        Field(description=f"Begin with the events at or after this time. {_TIME} Default: now. Ignored on resuming."),
    ] = None
    cursor: Annotated[
        str | None, _CURSOR_SCHEMA, Field(description="The `id` of an earlier message: continues right behind it.")
    ] = None  # fmt: skip
    include: Annotated[frozenset[Literal["raw"]] | None, _Many, _Few, Field(description=_RAW)] = None


class SingleEventQuery(Parameters):
    """One call of `GET /events/{event_id}`."""

    include: Annotated[frozenset[Literal["raw"]] | None, _Many, _Few, Field(description=_RAW)] = None


class EnvelopeQuery(Parameters):
    """One call of `GET /envelopes/{envelope_id}`, or of its report."""

    source: Annotated[
        Word | None, Field(description="The source that the envelope is in; needed where several have its id.")
    ] = None


class NoParameters(Parameters):
    """A call without query parameters."""


class Window(msgspec.Struct, frozen=True):
    """Microseconds since the epoch; `since` inclusive, `until` exclusive (None only while following)."""

    since: int
    until: int | None


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


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that a parameter of this annotation may be; none where any text will do."""
    found: list[str] = []
    for part in get_args(annotation):
        found += [part] if isinstance(part, str) else choices(part)
    return tuple(found)
