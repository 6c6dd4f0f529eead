"""From a query to the state of a walk: filters, window, sources, and position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from app.domain.caller import Caller
from app.domain.errors import CursorMismatch, Forbidden, InvalidCursor, ParameterError
from app.domain.parameters import DEFAULT_LIMIT
from app.domain.position import Position, is_beyond, later_position
from app.domain.query import FILTERS, PAGING, EventQuery, Query, Window
from app.domain.times import format_seconds, to_micros
from app.paging.cursor import StreamState, WalkState
from app.providers.base import Source

_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = to_micros(datetime(1, 1, 1, tzinfo=UTC))
_BEGINNING = 0  #: 1970: no electronic signature is older

#: The state of a walk, and by source that a filter excludes, the parameters that do not apply to it.
Plan = tuple[WalkState, Mapping[str, Sequence[str]]]


def first_plan(
    asked: EventQuery, caller: Caller, sources: Mapping[str, Source], *, now: int, default_window: int
) -> Plan:
    """Return the plan of a first page. Raises ParameterError, Forbidden."""
    query = Query(**asked.given((*PAGING, "since", "until")))
    window = _window(asked, query, now, default_window)
    chosen = _choose(query, caller, sources)
    foreign = _foreign(query, chosen, sources)
    vendors: dict[str, set[str]] = {}  # by parameter
    for name, parameters in foreign.items():
        for parameter in parameters if len(foreign) == len(chosen) or name in query.source else ():
            vendors.setdefault(parameter, set()).add(sources[name].provider)
    if vendors:
        what = "does not apply to {}; leave it out, or ask another source"
        errors = [(parameter, what.format(", ".join(sorted(found)))) for parameter, found in vendors.items()]
        raise ParameterError("filter_not_applicable", errors)
    until = now if window.until is None else window.until
    state = WalkState(
        query=query,
        since=window.since,
        until=window.until,
        limit=asked.limit or DEFAULT_LIMIT,
        include=tuple(sorted(asked.include or ())),
        partial=bool(asked.partial),
        position=(window.since,) if query.ascending else (until,),
        sources={name: {} for name in chosen if name not in foreign},
        ago=(_micros(asked.since), _micros(asked.until)),
    )
    return state, foreign


def next_plan(asked: EventQuery, caller: Caller, sources: Mapping[str, Source], state: WalkState) -> Plan:
    """Return the plan of the page after a cursor's. Raises CursorMismatch, InvalidCursor, Forbidden."""
    _check_match(asked, state)
    for name in state.sources:
        if name not in sources:
            raise InvalidCursor("the cursor is of a source that is no longer configured; start over without a cursor")
        if not caller.may_read(name):
            raise Forbidden("the cursor is of a source that this key does not grant")
    others = [
        name
        for name in sources
        if name not in state.sources and caller.may_read(name) and _is_chosen(state.query, sources[name])
    ]
    state = msgspec.structs.replace(
        state,
        limit=asked.limit or state.limit,
        include=state.include if asked.include is None else tuple(sorted(asked.include)),
        partial=state.partial if asked.partial is None else asked.partial,
        sources={name: state.sources[name] for name in sources if name in state.sources},
    )
    return state, _foreign(state.query, others, sources)


def begun_at(walk: WalkState, time: int) -> WalkState:
    """Return the walk, beginning with the events of the microsecond `time`, or at its position if that is later in the
    order. Only for a walk whose sources have one position."""
    ascending = walk.query.ascending
    # Descending, events of `time` itself are before the next microsecond.
    start: Position = (time,) if ascending else (time + 1,)
    sources: dict[str, dict[str, StreamState]] = {name: {} for name in walk.sources}
    for name, streams in walk.sources.items():
        for stream, state in streams.items():
            is_later = state.position is None or is_beyond(state.position, start, ascending)
            sources[name][stream] = state if is_later else msgspec.structs.replace(state, position=None)
    return msgspec.structs.replace(walk, position=later_position(walk.position, start, ascending), sources=sources)


def _micros(time: int | timedelta | None) -> int | None:
    """The µs of a duration; None for any other time."""
    return time // _MICROSECOND if isinstance(time, timedelta) else None


def _window(asked: EventQuery, query: Query, now: int, default_window: int) -> Window:
    since, end = (
        max(_EARLIEST, now - time // _MICROSECOND) if isinstance(time, timedelta) else time
        for time in (asked.since, asked.until)
    )
    until = now if end is None else end
    if since is None:
        since = min(_BEGINNING, until - default_window) if query.envelope_id else until - default_window
    since = max(since, _EARLIEST)
    if since >= until:
        if asked.since is None:
            raise ParameterError("invalid_window", [("until", f"must be later than {format_seconds(_EARLIEST)}")])
        written = "until" if end is not None else f"now ({format_seconds(now)}), because until was left out"
        raise ParameterError("invalid_window", [("since", f"must be earlier than {written}")])
    return Window(since, None if query.follow else until)


def _choose(query: Query, caller: Caller, sources: Mapping[str, Source]) -> list[str]:
    granted = [name for name in sources if caller.may_read(name)]
    there_are = f"there are {', '.join(granted) or 'none'}"
    for name in query.source:
        # Before anything else, because the caller must not learn whether an ungranted source exists.
        if not caller.may_read(name):
            message = f"this key does not grant a source of the name {name!r}; {there_are}"
            raise Forbidden(message, [("source", message)])
        if name not in sources:
            message = f"no source has the name {name!r}; {there_are}"
            raise ParameterError("invalid_parameter", [("source", message)])
    vendors = {sources[name].provider for name in granted}
    for vendor in query.provider:
        if vendor not in vendors:
            message = f"no source is of {vendor!r}; there are {', '.join(sorted(vendors)) or 'none'}"
            raise ParameterError("invalid_parameter", [("provider", message)])
    chosen = [name for name in granted if _is_chosen(query, sources[name])]
    if not chosen:
        if not granted:
            raise Forbidden("this key grants no source that is configured")
        if query.source_not:
            raise ParameterError("invalid_parameter", [("source.not", f"leaves no source; {there_are}")])
        raise ParameterError("invalid_parameter", [("source", "none of these sources is of that provider")])
    return chosen


def _is_chosen(query: Query, source: Source) -> bool:
    return (
        (not query.source or source.name in query.source)
        and (not query.provider or source.provider in query.provider)
        and source.name not in query.source_not
    )


def _foreign(query: Query, chosen: Iterable[str], sources: Mapping[str, Source]) -> dict[str, list[str]]:
    """Return the sources to whose providers a given parameter does not apply, with these parameters."""
    given = [name for name in FILTERS if getattr(query, name) not in (None, ())]
    foreign = {
        name: [one for one in given if sources[name].filters.get(one, "not_applicable") == "not_applicable"]
        for name in chosen
    }
    return {name: parameters for name, parameters in foreign.items() if parameters}


def _check_match(asked: EventQuery, state: WalkState) -> None:
    errors: list[tuple[str, str]] = []
    for name, value in asked.given(PAGING).items():
        if name in ("since", "until"):
            sealed, ago = getattr(state, name), state.ago[name == "until"]
            shown = "none" if sealed is None else format_seconds(sealed)
            if value != sealed and (ago is None or _micros(value) != ago):
                errors.append((name, f"differs from the cursor's ({shown}); leave it out or start over"))
        elif value != getattr(state.query, name):
            written = name.replace("_not", ".not")
            errors.append((written, "differs from the cursor's; leave it out, or start over without the cursor"))
    if errors:
        raise CursorMismatch(errors)
