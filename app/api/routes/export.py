"""`GET /events/export`: all matching events in one response, in a format of the caller's choice."""

from __future__ import annotations

import time
from codecs import BOM_UTF8
from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.responses import Response

from app.api.auth import require_raw, require_still, requires
from app.api.export_stream import DEADLINE, STOPPING, Export
from app.api.exports import FORMATS, Format
from app.api.manifests import PATH, Manifests
from app.api.openapi import answer_headers, problems
from app.api.request_log import request_log
from app.api.routing import LONGEST_HEADER, new_router
from app.api.streaming import ClosingStream, accepts_gzip
from app.domain.caller import Caller
from app.domain.errors import CursorMismatch, NotFound, ParameterError
from app.domain.query import EventQuery, ExportQuery, Filters
from app.domain.times import format_seconds, to_datetime
from app.evidence.manifest import digest_of
from app.feed import Feed, WalkStart

router = new_router(tags=["events"])

_HEADERS: dict[str, Any] = {
    "Export-Cursor": {
        "description": (
            "This export's beginning, with its filters and its window. After a cut, send it as `cursor`, with the last"
            " event that came as `after`. Left out where it would be longer than"
            f" {LONGEST_HEADER} characters: then send the same filters with the same `since` and `until`."
        ),
        "schema": {"type": "string"},
    },
    "Export-Manifest": {
        "description": (
            "With a signing key, and but for `ndjson` and `after`: the path of this export's signed manifest (a compact"
            " JWS), which is there for an hour after the export has ended."
        ),
        "schema": {"type": "string"},
    },
    "Content-Disposition": {
        "description": "A file name with the window: `attachment; filename=…`.",
        "schema": {"type": "string"},
    },
    **answer_headers(),
}

_LINKS: dict[str, Any] = {
    "SameWindow": {
        "operationId": "export_events",
        "description": "The same export with the same window; with `after`, what a cut has left of it.",
        "parameters": {"cursor": "$response.header.Export-Cursor"},
    },
}


@router.get(
    "/events/export",
    summary="Export events",
    response_class=Response,
    responses={
        200: {
            "description": (
                'The events, one a line. With `format=ndjson` the last line is `{"cursor": …, "complete": …}`:'
                " where `complete` is false, `reason` says why (`deadline`, `stopping`, or a problem's code), and"
                " `cursor` goes on; `bad_records`, if it is there, counts by source the unreadable records that"
                " are left out; `forbidden`, if it is there, names the sources of which a provider does not show"
                " everything to the credentials it was given, and why. In the other formats an answer that ends in"
                " order is complete; one that cannot be completed, or lacks unreadable records, is cut off, which an"
                " HTTP client reports as an error."
            ),
            "headers": _HEADERS,
            "links": _LINKS,
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **problems("events"),
    },
)
async def export_events(
    request: Request,
    caller: Annotated[Caller, Depends(requires("events:read"))],
    query: Annotated[ExportQuery, Query()],
) -> Response:
    """Everything that the filters select, as one answer that is sent while it is read: any number of events.

    The filters and the order are those of `GET /events`. An export that was cut goes on without loss or double: send
    `cursor` from its last line; or, where the connection broke before that, the same call with `after`, the id of the
    last event that came whole."""
    form, after = FORMATS[query.format], query.after
    asked = EventQuery.of(query, limit=None)
    if after is not None and asked.cursor is None and not {"since", "envelope_id"} & query.model_fields_set:
        message = "needs the Export-Cursor or the since of the export that it goes on with: the default since moves"
        raise ParameterError("invalid_parameter", [("after", message)])
    if request.scope["http_version"] == "1.0" and not form.tells_its_end:
        # Its answers end with the connection, so that a cut one looks complete.
        raise ParameterError("invalid_parameter", [("format", "needs HTTP/1.1; with HTTP/1.0 only ndjson")])
    with ExitStack() as held:
        held.enter_context(request.app.state.export_slots.take(caller))
        return await _begin(request, caller, query, asked, held)


async def _begin(request: Request, caller: Caller, query: ExportQuery, asked: EventQuery, held: ExitStack) -> Response:
    """The answer, its first page read, which holds what `held` did."""
    form, after = FORMATS[query.format], query.after
    feed: Feed = request.app.state.feed
    at = None if after is None else await _time_of(feed, after, caller)
    start = feed.start(asked, caller, at=at)
    if start.query.follow:
        raise CursorMismatch([("cursor", "is a follower's, who has no end; read it with GET /events/stream")])
    if "raw" in start.include:
        require_raw(caller, by_cursor=asked.include is None)
    manifest_id = None
    if request.app.state.signing_key is not None and not form.tells_its_end and after is None:
        manifest_id = Manifests.new_id()
    export = _export(request, caller, start, form, query, manifest_id)
    page = await export.first(after, at)
    gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{_file_name(start, form)}"',
        "Vary": "Accept-Encoding",
        "X-Accel-Buffering": "no",
    }
    if len(start.cursor) <= LONGEST_HEADER:
        headers["Export-Cursor"] = start.cursor
    if manifest_id is not None:
        headers["Export-Manifest"] = f"{request.scope.get('root_path', '')}{PATH}{manifest_id}"
    if gzip:
        headers["Content-Encoding"] = "gzip"
    header = (BOM_UTF8 if query.bom and form.name == "csv" else b"") + form.header
    body = export.body(page, gzip=gzip, header=header if after is None else b"")
    return ClosingStream(body, media_type=form.media_type, headers=headers, held=held.pop_all())


@router.get(f"{PATH}{{manifest_id}}", include_in_schema=False)
async def get_manifest(
    request: Request, manifest_id: str, caller: Annotated[Caller, Depends(requires("events:read"))]
) -> Response:
    """The manifest of an export that this caller made."""
    manifest = await request.app.state.manifests.get(manifest_id, caller)
    if manifest is None:
        raise NotFound("there is no such manifest: the export has not ended whole, or ended more than an hour ago")
    return Response(manifest, media_type="application/jose", headers={"Cache-Control": "no-store"})


async def _time_of(feed: Feed, event_id: str, caller: Caller) -> int:
    """When that event happened, in µs. Raises ParameterError, SourcesFailed."""
    try:
        return (await feed.event(event_id, caller)).key[0]
    except NotFound:
        message = "must be the id of the last event that came whole; there is no such event"
        raise ParameterError("invalid_parameter", [("after", message)]) from None


def _export(
    request: Request, caller: Caller, start: WalkStart, form: Format, query: ExportQuery, manifest_id: str | None
) -> Export:
    state = request.app.state
    deadline = time.monotonic() + state.export_deadline

    def must_end() -> str | None:
        return DEADLINE if time.monotonic() >= deadline else None if state.ready else STOPPING

    # What is shown is decided by what the key granted at the beginning: all of that must last.
    scopes = (caller.scopes & {"events:read", "pii:read"}) | ({"raw:read"} if "raw" in start.include else set())

    async def recheck() -> None:
        await require_still(request, scopes, start.sources)

    return Export(
        feed=state.feed,
        caller=caller,
        start=start,
        form=form,
        log=request_log(request),
        recheck=recheck,
        must_end=must_end,
        pseudonyms=state.pseudonyms,
        limit=query.limit,
        skips_unreadable=query.unreadable == "skip",
        signing_key=state.signing_key,
        deposit=None if manifest_id is None else partial(state.manifests.put, manifest_id, caller),
        described={
            "window": {
                "since": format_seconds(start.window.since),
                "until": None if start.window.until is None else format_seconds(start.window.until),
            },
            "filters": _filters(start.query),
            "order": start.query.order,
            "resumed_from": digest_of(query.cursor if query.after is None else f"{query.cursor} {query.after}"),
        },
    )


def _filters(query: Filters) -> dict[str, Any]:
    """The filters as they were given, for the manifest."""
    given = query.given(without=("order", "follow"))
    return {
        name: sorted(value) if isinstance(value, (tuple, frozenset, list)) else value for name, value in given.items()
    }


def _file_name(start: WalkStart, form: Format) -> str:
    ends = (end for end in (start.window.since, start.window.until) if end is not None)
    window = "_".join(f"{to_datetime(end):%Y%m%dT%H%M%SZ}" for end in ends)
    return f"audit-events_{window}.{form.extension}"
