"""The parameters of a call: the types of their values, and `read_query`, which reads them from (name, text) pairs.

It is strict, because an ignored parameter would widen the answer. Callers over HTTP and in the terminal pass through
it, so that both get the same errors. Each parameter is checked by itself; the feed decides what they mean together.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from app.domain.errors import InvalidCursor, ParameterError
from app.domain.times import parse_moment

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_EXPORT_LIMIT = 1_000_000
MAX_ENVELOPE_IDS = 50
MAX_VALUES = 100
MAX_LENGTH = 320  #: characters of one value; the longest e-mail address has as many
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
    stem = value.removesuffix(".*")
    if not stem or "*" in stem:
        raise ValueError("must be a type such as recipient.signed, or a prefix ending in .* such as recipient.*")
    return value


def _is_blank(character: str) -> bool:
    return unicodedata.category(character) in _BLANK


def _flag(value: Any) -> Any:
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value in ("true", True)


def _limit(value: Any, most: int) -> int:
    """A caller's text; an `int` is the gateway's own, and may be larger: exports read larger pages."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
        if not 1 <= value <= most:
            raise ValueError(f"must be a whole number from 1 to {most}")
    return int(value)


def _few(value: Any) -> Any:
    """Count the values before a set drops equal ones."""
    if value is not None and len(value) > MAX_VALUES:
        raise ValueError(f"may be repeated at most {MAX_VALUES} times; it was given {len(value)} times")
    return value


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    """Sort the values, so that equal queries compare as equal: in a cursor, and as the key of a cache."""
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

Words = Annotated[tuple[Word, ...], _Many, _Sorted]
Texts = Annotated[tuple[Text, ...], _Many, _Sorted]
Addresses = Annotated[tuple[Address, ...], _Many, _Sorted]
Categories = Annotated[tuple[Annotated[_Category, Field(examples=["envelope", "team"])], ...], _Many, _Sorted]
CategoriesNot = Annotated[tuple[Annotated[_Category, Field(examples=["team"])], ...], _Many, _Sorted]
Types = Annotated[tuple[Annotated[_Type, Field(examples=["recipient.signed", "recipient.*"])], ...], _Many, _Sorted]
TypesNot = Annotated[tuple[Annotated[_Type, Field(examples=["envelope.*"])], ...], _Many, _Sorted]
EnvelopeIds = Annotated[tuple[_EnvelopeId, ...], Field(max_length=MAX_ENVELOPE_IDS), _Sorted]

Included = Literal["raw", "total"]
Include = frozenset[Included]
Includes = Annotated[Include | None, _Many, _Few]
Raw = Annotated[frozenset[Literal["raw"]] | None, _Many, _Few]
Order = Literal["asc", "desc"]
Limit = Annotated[
    Annotated[int, BeforeValidator(partial(_limit, most=MAX_LIMIT))] | None,
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
]
ExportLimit = Annotated[
    Annotated[int, BeforeValidator(partial(_limit, most=MAX_EXPORT_LIMIT))] | None,
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_EXPORT_LIMIT}),
]
Cursor = Annotated[str | None, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CURSOR})]
RecipientKey = Annotated[Address, AfterValidator(_id)]


class Parameters(BaseModel):
    """Base of all queries: unknown names are an error, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    def given(self, without: Collection[str] = ()) -> dict[str, Any]:
        """The parameters that the caller wrote, by field name."""
        return {name: getattr(self, name) for name in self.model_fields_set if name not in without}


MAX_FILTERS = 16_000  #: bytes of all filters of a call: a cursor holds them, and must fit into a URL

#: What other APIs call these parameters, without case, hyphens and underscores.
_ELSEWHERE = {
    elsewhere: ours
    for ours, names in {
        "order": "sort sortby sortorder direction ordering",
        "since": "from start startdate starttime begin after datefrom createdafter",
        "until": "to end enddate endtime before dateto createdbefore",
        "q": "search query text term",
        "cursor": "page pagetoken nexttoken offset skip token",
        "limit": "perpage pagesize take size count top max",
        "actor": "user email",
        "type": "event eventtype action",
        "envelope_id": "document documentid process processkey",
        "by": "groupby group",
    }.items()
    for elsewhere in names.split()
}

_NEAR = 0.7  #: of difflib's ratio; words at 0.5 have little but letters in common (`sort` and `source`)
_NOT_FILTERS = ("limit", "cursor", "include", "partial", "format", "after", "exact", "by")

Model = TypeVar("Model", bound=Parameters)


def read_query(model: type[Model], pairs: Iterable[tuple[str, str]]) -> Model:
    """The parameters of a call, in the order they were written.

    Raises ParameterError (`unknown_parameter`, `invalid_parameter`, `invalid_window`) naming every parameter at fault,
    InvalidCursor for a cursor that cannot be one by its length.
    """
    repeats = parameter_names(model)
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    if "" in texts:
        raise ParameterError("unknown_parameter", [("query", "has a value without a parameter's name; leave it out")])
    if unknown := [(name, _unknown(name, repeats)) for name in texts if name not in repeats]:
        raise ParameterError("unknown_parameter", unknown)
    errors = {name: "may be given only once" for name, all_ in texts.items() if len(all_) > 1 and not repeats[name]}
    try:
        query = model.model_validate({name: all_ if repeats[name] else all_[0] for name, all_ in texts.items()})
    except ValidationError as error:
        errors = _messages(model, error) | errors
    if errors:
        raise ParameterError("invalid_parameter", list(errors.items()))
    _check_size({name: all_ for name, all_ in texts.items() if name not in _NOT_FILTERS})
    _check_together(query)
    cursor = texts.get("cursor")
    if cursor is not None and not 0 < len(cursor[0]) <= MAX_CURSOR:
        raise InvalidCursor("must be the unchanged next_cursor of an earlier page; leave it out to start over")
    return query


@cache
def parameter_names(model: type[Parameters]) -> Mapping[str, bool]:
    """Each parameter's name in a URL, and whether it may be repeated."""
    return {field.alias or name: _repeats(field.annotation) for name, field in model.model_fields.items()}


def _repeats(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, frozenset) or any(map(_repeats, get_args(annotation)))


def _messages(model: type[Parameters], error: ValidationError) -> dict[str, str]:
    """The first fault of each parameter, in the gateway's own words: pydantic's quote the value."""
    found: dict[str, str] = {}
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for one in error.errors(include_url=False, include_input=False):
        name, kind, context = str(one["loc"][0]), one["type"], one.get("ctx", {})
        if kind == "value_error":
            message = str(context["error"])
        elif kind == "literal_error":
            message = f"must be one of {', '.join(choices(fields[name].annotation))}"
        elif kind == "too_long":
            most, given = context["max_length"], context["actual_length"]
            message = f"may be repeated at most {most} times; it was given {given} times"
        else:
            message = f"is not valid ({kind})"
        found.setdefault(name, message)
    return found


def _unknown(name: str, offered: Collection[str]) -> str:
    if not offered:
        return "is not a parameter of this call; it takes none"
    lower = name.lower()
    meant = _ELSEWHERE.get(lower.replace("_", "").replace("-", ""))
    near = [meant] if meant in offered else difflib.get_close_matches(lower, offered, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(offered)}"
    return f"is not a parameter of this call; {hint}"


def _check_size(filters: Mapping[str, list[str]]) -> None:
    sizes = {name: sum(len(text.encode(errors="replace")) for text in written) for name, written in filters.items()}
    if sum(sizes.values()) > MAX_FILTERS:
        longest = max(sizes, key=lambda name: sizes[name])
        remedy = f"all filters together may have {MAX_FILTERS:,} bytes; ask in several calls"
        raise ParameterError("invalid_parameter", [(longest, f"is too long: {remedy}")])


def _check_together(query: Parameters) -> None:
    given = query.given()
    since, until = given.get("since"), given.get("until")
    if isinstance(since, int) and isinstance(until, int) and since >= until:
        raise ParameterError("invalid_window", [("since", "must be earlier than until")])
    if given.get("follow"):
        # With a cursor, order may be left out; the cursor then states asc, or the feed finds the mismatch.
        if given.get("order", "asc" if "cursor" in given else "desc") != "asc":
            raise ParameterError("invalid_parameter", [("follow", "needs order=asc: what comes next is at the end")])
        if until is not None:
            raise ParameterError("invalid_parameter", [("follow", "cannot go with until: a follower has no end")])


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that a parameter of this annotation may be; none where any text will do."""
    found: list[str] = []
    for part in get_args(annotation):
        found += [part] if isinstance(part, str) else choices(part)
    return tuple(found)
