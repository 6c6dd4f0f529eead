"""The types of query parameters: what a value must look like, and how it is described. Pure."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

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
