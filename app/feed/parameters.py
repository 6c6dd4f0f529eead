"""The query parameters of `GET /events`: the one place that knows which there are and what each must look like.

Callers over HTTP and in the terminal come through here, so that both get the same errors. What a parameter *means* is
the feed's business; here each is only valid on its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from app.domain.errors import InvalidCursor, ParameterError
from app.domain.times import parse_rfc3339
from app.feed.model import MAX_LIMIT, Asked

MAX_ENVELOPE_IDS = 50
MAX_VALUES = 100
MAX_LENGTH = 320  #: characters of one value; the longest e-mail address there can be
MAX_FILTERS = 16_000  #: bytes of all filters of a call
MAX_CURSOR = 32_000  #: characters; it holds the filters, and where each of at most a hundred streams stands


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter. `read` turns text into the normalized value or raises ValueError with the remedy."""

    name: str
    read: Callable[[str], Any]
    repeats: bool = False
    most: int = MAX_VALUES


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; leave the parameter out to not filter")
    if len(value) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    return value


def _type(value: str) -> str:
    _text(value)
    stem = value[:-2] if value.endswith(".*") else value
    if not stem or "*" in stem:
        raise ValueError("must be a type such as recipient.signed, or a prefix ending in .* such as recipient.*")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return read


def _boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= MAX_LIMIT):
        raise ValueError(f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("since", parse_rfc3339),
        Parameter("until", parse_rfc3339),
        Parameter("source", _text, repeats=True),
        Parameter("provider", _text, repeats=True),
        Parameter("category", _text, repeats=True),
        Parameter("type", _type, repeats=True),
        Parameter("provider_type", _text, repeats=True),
        Parameter("envelope_id", _text, repeats=True, most=MAX_ENVELOPE_IDS),
        Parameter("workspace_id", _text),
        Parameter("flow_id", _text),
        Parameter("flow_type", _text),
        Parameter("envelope_status", _one_of("completed", "active", "inactive")),
        Parameter("owner", _text),
        Parameter("actor", _text),
        Parameter("recipient", _text),
        Parameter("q", _text),
        Parameter("order", _one_of("desc", "asc")),
        Parameter("limit", _limit),
        Parameter("cursor", str),
        Parameter("include", _one_of("raw", "total"), repeats=True),
        Parameter("partial", _boolean),
        Parameter("follow", _boolean),
    )
}

#: What other APIs call ours by, without case, hyphens and underscores.
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
    }.items()
    for elsewhere in names.split()
}

_NEAR = 0.7  #: of difflib's ratio; words at 0.5 have little but letters in common (`sort` and `source`)

_NOT_FILTERS = ("limit", "cursor", "include", "partial")


def parse_parameters(pairs: Iterable[tuple[str, str]], offered: Collection[str] = PARAMETERS) -> Asked:
    """The call that (name, text) pairs ask for, in the order they were written. `offered`: the names that the caller
    of this call may choose from, to hint at the nearest one.

    Raises ParameterError (`unknown_parameter`, `invalid_parameter`, `invalid_window`) naming every parameter at fault,
    InvalidCursor for a cursor that cannot be one by its length.
    """
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    if unknown := [(name, _unknown(name, offered)) for name in texts if name not in PARAMETERS]:
        raise ParameterError("unknown_parameter", unknown)
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, written in texts.items():
        try:
            values[name] = _read(PARAMETERS[name], written)
        except ValueError as error:
            errors.append((name, str(error)))
    if errors:
        raise ParameterError("invalid_parameter", errors)
    given = {name: value for name, value in values.items() if name not in _NOT_FILTERS}
    _check_size({name: texts[name] for name in given})
    _check_together(given, values)
    cursor = values.get("cursor")
    if cursor is not None and not 0 < len(cursor) <= MAX_CURSOR:
        raise InvalidCursor("must be a next_cursor exactly as an earlier page gave it; leave it out to start over")
    include = values.get("include")
    return Asked(
        given=given,
        limit=values.get("limit"),
        include=None if include is None else frozenset(include),
        partial=values.get("partial"),
        cursor=cursor,
    )


def _read(parameter: Parameter, written: list[str]) -> Any:
    if parameter.repeats:
        if len(written) > parameter.most:
            raise ValueError(f"may be repeated at most {parameter.most} times; it was given {len(written)} times")
        return tuple(sorted({parameter.read(text) for text in written}))
    if len(written) > 1:
        raise ValueError("may be given only once")
    return parameter.read(written[0])


def _unknown(name: str, offered: Collection[str]) -> str:
    lower = name.lower()
    meant = _ELSEWHERE.get(lower.replace("_", "").replace("-", ""))
    near = [meant] if meant in offered else difflib.get_close_matches(lower, offered, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(offered)}"
    return f"is not a parameter of this call; {hint}"


def _check_size(filters: dict[str, list[str]]) -> None:
    """A cursor holds the filters, and must fit into a URL."""
    sizes = {name: sum(len(text.encode(errors="replace")) for text in written) for name, written in filters.items()}
    if sum(sizes.values()) > MAX_FILTERS:
        longest = max(sizes, key=lambda name: sizes[name])
        remedy = f"all filters together may have {MAX_FILTERS:,} bytes; ask in several calls"
        raise ParameterError("invalid_parameter", [(longest, f"is too long: {remedy}")])


def _check_together(given: dict[str, Any], values: dict[str, Any]) -> None:
    since, until = given.get("since"), given.get("until")
    if since is not None and until is not None and since >= until:
        raise ParameterError("invalid_window", [("since", "must be earlier than until")])
    if given.get("follow"):
        # With a cursor, order may be left out; the cursor then says asc, or the feed finds the mismatch.
        if given.get("order", "asc" if "cursor" in values else "desc") != "asc":
            raise ParameterError("invalid_parameter", [("follow", "needs order=asc: what comes next is at the end")])
        if until is not None:
            raise ParameterError("invalid_parameter", [("follow", "cannot go with until: a follower has no end")])
