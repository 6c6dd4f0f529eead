"""The API's filters as flags with the same names, and what a shell may complete them with.

`--envelope-id` and `--envelope_id` are the same flag. A test holds this table to `app.feed.PARAMETERS`, which is not
imported here: `--help` must not wait for the engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import typer

#: (parameter, text) as they were written.
Filters: TypeAlias = tuple[tuple[str, str], ...]

Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Read the sources of this TOML file from here, whatever GATEWAY_URL says."),
]
Order = Annotated[
    str | None,
    typer.Option(metavar="asc|desc", help="Oldest or newest first.", autocompletion=lambda: ["asc", "desc"]),
]
Partial = Annotated[bool, typer.Option("--partial", help="Go on without a source that fails; the exit code is then 1.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="raw", help="raw: with each event's record as the provider sent it.", autocompletion=lambda: ["raw"]
    ),
]


class Filter(msgspec.Struct, frozen=True):
    """One filter. `values` gives what there may be, for completion; it may be slow and may raise."""

    name: str
    help: str
    metavar: str = "TEXT"
    repeats: bool = False
    values: Callable[[], Iterable[str]] | None = None

    def parameter(self) -> inspect.Parameter:
        kind: Any = list[str] if self.repeats else str
        option = typer.Option(
            metavar=self.metavar,
            help=self.help + (" May be repeated." if self.repeats else ""),
            rich_help_panel="Filters",
            autocompletion=None if self.values is None else _completer(self.values),
        )
        annotation = Annotated[kind | None, option]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _completer(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        try:
            return [value for value in values() if value.startswith(incomplete)]
        except Exception:  # a shell that completes is no place for complaints
            return []

    return complete


def known_types() -> list[str]:
    """What `--type` may be, as far as the providers that are installed here know. Takes a while; may raise."""
    types = {row.type for provider in _providers().values() for row in provider.mapping}
    return sorted({"unknown"} | types | {f"{type_.partition('.')[0]}.*" for type_ in types})


def _categories() -> list[str]:
    return sorted({row.category for provider in _providers().values() for row in provider.mapping})


def _provider_types() -> list[str]:
    return sorted({row.provider_type for provider in _providers().values() for row in provider.mapping})


def _providers() -> dict[str, Any]:
    from app.environment import read_environment
    from app.providers.registry import find_providers, provider_paths

    return dict(find_providers(provider_paths(read_environment())))


def _sources() -> list[str]:
    from app.cli.client import connected

    with connected(None) as client:
        return [str(source["name"]) for source in client.sources()]


_TIME = "7d, 2h, 30m, today, yesterday, a date or an RFC 3339 time; all UTC."

FILTERS = (
    Filter("since", f"Only events at or after this time: {_TIME} Default: 30 days ago.", "TIME"),
    Filter("until", f"Only events before this time: {_TIME} Default: now.", "TIME"),
    Filter("source", "Only this source.", "NAME", True, _sources),
    Filter("provider", "Only sources of this vendor.", "NAME", True, lambda: _providers()),
    Filter("category", "Only this part of the accounts, such as envelope.", "NAME", True, _categories),
    Filter("type", "Only this type, such as recipient.signed, or 'recipient.*'.", "TYPE", True, known_types),
    Filter("provider_type", "Only this value of the provider's own.", "TEXT", True, _provider_types),
    Filter("envelope_id", "Only events of this envelope.", "ID", True),
    Filter("workspace_id", "Only events of this workspace.", "ID"),
    Filter("flow_id", "Only events of envelopes made from this flow.", "ID"),
    Filter("flow_type", "Only events of envelopes of this type of flow.", "TYPE"),
    Filter(
        "envelope_status",
        "Only events of envelopes that are now completed, active or inactive.",
        "STATUS",
        values=lambda: ["completed", "active", "inactive"],
    ),
    Filter("owner", "Only events of envelopes that this user started.", "E-MAIL"),
    Filter("actor", "Only what this one did.", "E-MAIL"),
    Filter("recipient", "Only events of this recipient.", "ID|E-MAIL"),
    Filter("q", "Free text, as each provider searches.", "TEXT"),
)


def filtered(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes all filters as flags, and hands them to `function` as `filters`."""
    own = [
        parameter
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.name != "filters"
    ]
    parameters = [*own, *(known.parameter() for known in FILTERS)]

    def command(**values: Any) -> None:
        given: list[tuple[str, str]] = []
        for known in FILTERS:
            written = values.pop(known.name)
            texts = [] if written is None else written if known.repeats else [written]
            given += [(known.name, text) for text in texts]
        function(filters=tuple(given), **values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    # What typer reads the flags from.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def included(names: Collection[str]) -> list[tuple[str, str]]:
    """`--include` as the API takes it. Raises Failure for `total`, too, which would show nowhere here."""
    from app.cli.failures import USAGE, Failure

    if set(names) - {"raw"}:
        raise Failure("--include must be raw; totals are given by audit-gateway count", USAGE)
    return [("include", "raw")] if names else []


def to_send(filters: Filters, now: int) -> list[tuple[str, str]]:
    """The filters as the API takes them. `now` in µs. Raises Failure for a time that nobody understands."""
    from app.cli.failures import USAGE, Failure, flag
    from app.cli.relative_time import to_rfc3339

    pairs = []
    for name, text in filters:
        if name in ("since", "until"):
            try:
                text = to_rfc3339(text, now)
            except ValueError as error:
                raise Failure(f"{flag(name)} {error}", USAGE) from None
        pairs.append((name, text))
    return pairs
