"""Read the query parameters of a call from (name, text) pairs, strictly: an ignored parameter would widen the answer.

Callers over HTTP and in the terminal pass through here, so that both get the same errors. Each
parameter is checked by itself; the feed decides what they mean together.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ValidationError

from app.domain.errors import InvalidCursor, ParameterError
from app.domain.parameter_types import MAX_CURSOR
from app.domain.query import Parameters, choices

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
