"""Commands with the filters of `GET /events` as flags, derived from the query model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from app.cli.failures import USAGE, Failure, flag, reported
from app.domain.parameters import choices, parameter_names
from app.domain.query import EventQuery, GroupBy, TimeRange
from app.domain.query import Filters as FilterParameters
from app.domain.times import DAY, format_micros, format_seconds, now_micros, parse_duration, parse_rfc3339

#: (parameter, text) in the user's spelling.
Filters: TypeAlias = tuple[tuple[str, str], ...]

Config = Annotated[Path | None, typer.Option(help="Read the sources of this TOML file directly; ignores GATEWAY_URL.")]
Order = Annotated[str | None, typer.Option(metavar="TEXT", help="desc (newest first, the default) or asc.")]
Partial = Annotated[
    bool, typer.Option("--partial", help="Continue without a source that fails; the exit code is then 1.")
]
Include = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="raw: add each event's record as the provider delivered it.")
]
By = Annotated[str | None, typer.Option(help=f"Also count by {', '.join(choices(GroupBy))}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]

_TIME = "A duration back from now (7d, 12h, P7D), today, yesterday, a date or an RFC 3339 time; UTC."
_TIMES = {
    "since": f"Only events at or after this time. {_TIME} Default: ",
    "until": f"Only events before this time. {_TIME} Default: now.",
}

_REMEDY = "write 7d, 2h, 30m, today, yesterday, a date such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z"

#: The API's name of each filter, by the model's field.
FILTERS = {
    field: EventQuery.model_fields[field].alias or field
    for field in (*TimeRange.model_fields, *FilterParameters.model_fields)
}


def command(
    function: Callable[..., int | None], *, broken_pipe: int = 0, begin: str = "30 days ago"
) -> Callable[..., None]:
    """Return a typer command that exits with the code of `function` and reports its errors.

    If `function` takes `filters`, the command has a flag for each filter. `begin`: the default of `--since`; a command
    that begins "now" has no end, and no `--until`. `broken_pipe`: see `reported`."""
    names = {field: name for field, name in FILTERS.items() if name != "until" or begin != "now"}
    signature = inspect.signature(function, eval_str=True)
    parameters = [one for one in signature.parameters.values() if one.name != "filters"]
    has_filters = "filters" in signature.parameters
    for field, name in names.items() if has_filters else ():
        info, base = EventQuery.model_fields[field], name.removesuffix(".not")
        known = choices(info.annotation)
        text = (info.description or "").replace("`GET /sources`", "audit-gateway sources")
        text += f" One of {', '.join(known)}." if known else ""
        option = typer.Option(
            flag(name),
            *([flag(f"not_{base}")] if base != name else []),
            help=_TIMES.get(name, text.replace("`", "")) + f"{begin}." * (name == "since"),
            metavar="TIME" if field in _TIMES else "TEXT",
        )
        kind: Any = list[str] | None if parameter_names(EventQuery)[name] else str | None
        annotation = Annotated[kind, option]
        parameters.append(inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))

    def run(**values: Any) -> None:
        if has_filters:
            given = {name: values.pop(field) for field, name in names.items()}
            # An empty text is an error of the API's; dropped here, it would widen the answer.
            texts = {name: [value] if isinstance(value, str) else value or () for name, value in given.items()}
            values["filters"] = tuple((name, text) for name, found in texts.items() for text in found)
        with reported(broken_pipe=broken_pipe, partial_helps=values.get("partial") is False):
            raise typer.Exit(function(**values) or 0)

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    # typer reads the flags from both.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def query_pairs(
    filters: Sequence[tuple[str, str]],
    *,
    order: str | None = None,
    partial: bool = False,
    follow: bool = False,
    include: Collection[str] | None = None,
) -> list[tuple[str, str]]:
    """Return a command's query in the API's form. Raises Failure for an invalid time, or an `include` that no command
    prints."""
    now, pairs = now_micros(), []
    for name, text in filters:
        if name in ("since", "until"):
            try:
                text = to_rfc3339(text, now)
            except ValueError as error:
                raise Failure(f"{flag(name)} {error}", USAGE) from None
        pairs.append((name, text))
    if set(include or ()) - {"raw"}:
        raise Failure("--include must be raw; totals are given by audit-gateway count", USAGE)
    pairs += [("order", order)] if order else []
    pairs += [("partial", "true")] if partial else []
    pairs += [("follow", "true")] if follow else []
    return pairs + ([("include", "raw")] if include else [])


def to_rfc3339(text: str, now: int) -> str:
    """Return a time in the API's form, in UTC: an RFC 3339 time or a date as it is; `now`, `today`, `yesterday` and the
    API's durations back from `now` (µs since the epoch) converted. Raises ValueError with the remedy."""
    plain = text.strip().lower()
    if plain == "now":
        return format_seconds(now)
    if plain in ("today", "yesterday"):
        return format_micros(now - (DAY if plain == "yesterday" else 0))[:10]
    try:
        if (duration := parse_duration(text)) is not None:
            return format_seconds(now - duration // timedelta(microseconds=1))
        parse_rfc3339(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_REMEDY}") from None
    return text
