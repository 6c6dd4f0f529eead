"""`GET /events/export`: all matching events in one response, in a format of the caller's choice."""

from __future__ import annotations

from codecs import BOM_UTF8
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from app.api.auth import EventReader, require_raw
from app.api.export_stream import MANIFEST_PATH, Export
from app.api.exports import FORMATS
from app.api.openapi import ANSWER_HEADERS, answers, header
from app.api.rendering import ClosingStream
from app.api.routing import LONGEST_HEADER, NoQuery, new_router
from app.domain.caller import Caller
from app.domain.errors import CursorMismatch, NotFound, ParameterError
from app.domain.query import EventQuery, ExportQuery
from app.domain.times import to_datetime
from app.feed.service import Feed

router = new_router(tags=["events"])

_HEADERS: dict[str, Any] = {
    "Export-Cursor": header(
        "The beginning of this export, with its filters and window. After a cut, send it as `cursor`, with the id of"
        f" the last complete event as `after`. Absent if longer than {LONGEST_HEADER} characters: then send the same"
        " filters with the same `since` and `until`."
    ),
    "Export-Manifest": header(
        "With a signing key, except for `ndjson` and `after`: the path of the export's signed manifest (a compact"
        " JWS), available for an hour after the end of the export."
    ),
    "Content-Disposition": header("A file name with the window: `attachment; filename=…`."),
    **ANSWER_HEADERS,
}

_LINKS: dict[str, Any] = {
    "SameWindow": {
        "operationId": "export_events",
        "description": "The same export with the same window; with `after`, the rest of a cut one.",
        "parameters": {"cursor": "$response.header.Export-Cursor"},
    }
}


@router.get(
    "/events/export",
    summary="Export events",
    response_class=Response,
    responses=answers(
        "events",
        'The events, one a line. With `format=ndjson` the last line is `{"cursor": …, "complete": …}`. If'
        " `complete` is false, `reason` is the cause (`limit`, `deadline`, `stopping`, `unreadable_records`,"
        " `unproven` or a problem's code), and `cursor` continues; at the end, this is about all parts of a resumed"
        " export, but with `after` only about the events after that one. Optional members, by source: `bad_records`,"
        " the number of unreadable records left out; `forbidden`, why the provider refuses a part of the account;"
        " `notes`, why events may be missing, as in `sources` of `GET /events`. In the other formats, a response that"
        " ends normally is complete; one that is incomplete, unproven or lacks unreadable records is cut, which an HTTP"
        " client reports as an error.",
        headers=_HEADERS,
        links=_LINKS,
        content={media: {"schema": {"type": "string"}} for media in ("application/x-ndjson", "text/csv")},
    ),
)
async def export_events(request: Request, caller: EventReader, query: Annotated[ExportQuery, Query()]) -> Response:
    """All matching events in one streamed response of any length.

    The filters and the order are those of `GET /events`. To resume a cut export without loss or duplicates, send
    `cursor` from its last line. If the connection broke before that, repeat the call with `after`, the id of the last
    complete event."""
    if query.after is not None and query.cursor is None and not {"since", "envelope_id"} & query.model_fields_set:
        message = "needs the Export-Cursor or the since of the export that it continues: the default since moves"
        raise ParameterError("invalid_parameter", [("after", message)])
    if request.scope["http_version"] == "1.0" and not FORMATS[query.format].has_last_line:
        # Its responses end with the connection, so a cut one looks complete.
        raise ParameterError("invalid_parameter", [("format", "needs HTTP/1.1; with HTTP/1.0 only ndjson")])
    with ExitStack() as held:
        held.enter_context(request.app.state.export_slots.take(caller))
        return await _begin(request, caller, query, held)


async def _begin(request: Request, caller: Caller, query: ExportQuery, held: ExitStack) -> Response:
    """Return the response after reading its first page; it takes over `held`."""
    feed: Feed = request.app.state.feed
    at = None
    if query.after is not None:
        try:
            at = (await feed.event(query.after, caller)).key[0]
        except NotFound:
            message = "must be the id of the last complete event; there is no such event"
            raise ParameterError("invalid_parameter", [("after", message)]) from None
    start = feed.start(EventQuery.of(query, limit=None), caller, at=at)
    if start.query.follow:
        raise CursorMismatch([("cursor", "is a follower's, which has no end; read it with GET /events/stream")])
    if "raw" in start.include:
        require_raw(caller, by_cursor=query.include is None)
    export = Export(request, caller, query, start)
    page, form = await export.first(at), export.form
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    ends = (end for end in (start.window.since, start.window.until) if end is not None)
    window = "_".join(f"{to_datetime(end):%Y%m%dT%H%M%SZ}" for end in ends)
    headers["Content-Disposition"] = f'attachment; filename="audit-events_{window}.{form.extension}"'
    if len(start.cursor) <= LONGEST_HEADER:
        headers["Export-Cursor"] = start.cursor
    if export.manifest_id is not None:
        headers["Export-Manifest"] = f"{request.scope.get('root_path', '')}{MANIFEST_PATH}{export.manifest_id}"
    first = (BOM_UTF8 if query.bom and form.name == "csv" else b"") + form.header
    body = export.body(page, header=first if query.after is None else b"")
    return ClosingStream(body, media_type=form.media_type, headers=headers, held=held.pop_all())


@router.get(
    f"{MANIFEST_PATH}{{manifest_id}}",
    summary="Read an export's signed manifest",
    response_class=PlainTextResponse,
    responses=answers("manifest", "A JWS.", content={"application/jose": {"schema": {"type": "string"}}}),
)
async def get_manifest(
    request: Request,
    manifest_id: Annotated[str, Path(description="The end of the path in the export's header `Export-Manifest`.")],
    caller: EventReader,
    _: NoQuery,
) -> Response:
    """The manifest of one of the caller's exports."""
    manifest = await request.app.state.manifests.get(manifest_id, caller)
    if manifest is None:
        raise NotFound("there is no such manifest: the export is not complete, or ended more than an hour ago")
    return Response(manifest, media_type="application/jose", headers={"Cache-Control": "no-store"})
