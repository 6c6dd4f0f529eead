"""The filters of `GET /events` as flags, derived from the query model, with the values that a shell may complete."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from app.cli.failures import USAGE, Failure, flag
from app.cli.relative_time import to_rfc3339
from app.domain.parameters import parameter_names
from app.domain.query import EventQuery, GroupBy, TimeRange, choices
from app.domain.query import Filters as FilterParameters

#: (parameter, text) as they were written.
Filters: TypeAlias = tuple[tuple[str, str], ...]


def words(*known: str) -> Callable[[str], list[str]]:
    """Complete with these words. Other text is accepted, too: a newer gateway may know more than this command."""
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


Config = Annotated[Path | None, typer.Option(help="Read the sources of this TOML file directly; ignores GATEWAY_URL.")]
Order = Annotated[
    str | None,
    typer.Option(metavar="TEXT", autocompletion=words("asc", "desc"), help="desc (newest first, the default) or asc."),
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Continue without a source that fails; the exit code is then 1.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT", autocompletion=words("raw"), help="raw: add each event's record as the provider delivered it."
    ),
]
By = Annotated[
    str | None,
    typer.Option(autocompletion=words(*choices(GroupBy)), help=f"Also count by {', '.join(choices(GroupBy))}."),
]

_TIME = "A duration back from now (7d, 12h, P7D), today, yesterday, a date or an RFC 3339 time; UTC."
_TIMES = {
    "since": f"Only events at or after this time. {_TIME} Default: 30 days ago.",
    "until": f"Only events before this time. {_TIME} Default: now.",
}


def _types() -> Iterable[str]:
    types = {row.type for row in _mapping()}
    return {"unknown"} | types | {f"{name.partition('.')[0]}.*" for name in types}


def _mapping() -> list[Any]:
    return [row for provider in _providers().values() for row in provider.mapping]


def _providers() -> Mapping[str, Any]:
    from app.config import read_environment
    from app.providers.registry import find_providers, provider_paths

    return find_providers(provider_paths(read_environment()))


def _sources() -> Iterable[str]:
    from app.cli.client import connected

    with connected(None) as client:
        return [str(source["name"]) for source in client.sources()]


#: Values to complete, by the parameter without `.not`. Each may be slow, and may raise.
_VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "source": _sources,
    "provider": _providers,
    "category": lambda: {row.category for row in _mapping()},
    "type": _types,
    "provider_type": lambda: {row.provider_type for row in _mapping()},
}


def _completer(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        try:
            return sorted(value for value in values() if value.startswith(incomplete))
        except Exception:  # an error message would end up in the completed line
            return []

    return complete


def _option(field: str, parameter: str, repeats: bool) -> inspect.Parameter:
    info = EventQuery.model_fields[field]
    base = parameter.removesuffix(".not")
    known = choices(info.annotation)
    text = (info.description or "").replace("`GET /sources`", "audit-gateway sources")
    text += f" One of {', '.join(known)}." if known else ""
    option = typer.Option(
        *([flag(parameter), flag(f"not_{base}")] if base != parameter else [flag(parameter)]),
        help=_TIMES.get(parameter) or text.replace("`", ""),
        metavar="TIME" if field in _TIMES else "TEXT",
        autocompletion=_completer(_VALUES.get(base, lambda: known)),
    )
    kind: Any = list[str] if repeats else str
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


#: The API's name of each filter, by the model's field.
FILTERS = {
    field: EventQuery.model_fields[field].alias or field
    for field in (*TimeRange.model_fields, *FilterParameters.model_fields)
}


def filtered(function: Callable[..., None]) -> Callable[..., None]:
    """A command with a flag for each filter, which `function` receives together as `filters`."""
    repeats = parameter_names(EventQuery)
    own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.name != "filters"]
    parameters = [*own, *(_option(field, name, repeats[name]) for field, name in FILTERS.items())]

    def command(**values: Any) -> None:
        given: list[tuple[str, str]] = []
        for field, name in FILTERS.items():
            written = values.pop(field) or ()
            given += [(name, text) for text in ([written] if isinstance(written, str) else written)]
        function(filters=tuple(given), **values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    # What typer reads the flags from.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def included(names: Collection[str]) -> list[tuple[str, str]]:
    """`--include` as the API takes it. Raises Failure for `total`, too, which no output of a command has."""
    if set(names) - {"raw"}:
        raise Failure("--include must be raw; totals are given by audit-gateway count", USAGE)
    return [("include", "raw")] if names else []


def to_send(filters: Sequence[tuple[str, str]], now: int) -> list[tuple[str, str]]:
    """The filters as the API takes them. `now` in µs. Raises Failure for a time that cannot be read."""
    pairs = []
    for name, text in filters:
        if name in ("since", "until"):
            try:
                text = to_rfc3339(text, now)
            except ValueError as error:
                raise Failure(f"{flag(name)} {error}", USAGE) from None
        pairs.append((name, text))
    return pairs
