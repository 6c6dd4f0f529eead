"""`GET /envelopes/{envelope_id}` and its report."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import HTMLResponse, Response

from app.api.auth import EventReader
from app.api.envelope_report import render_report
from app.api.openapi import answers
from app.api.rendering import envelope_body, json_response
from app.api.request_log import note_sources, request_log
from app.api.routing import new_router
from app.api.schemas import EnvelopeStory
from app.domain.caller import Caller
from app.domain.event import Event, Recipient
from app.domain.parameters import read_query
from app.domain.query import EnvelopeQuery, EventQuery
from app.feed.envelopes import EnvelopeEvents, read_envelope
from app.privacy.redaction import Redactor

router = new_router(tags=["envelopes"])

#: The page needs only its own style.
_REPORT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

EnvelopeId = Annotated[str, Path(description="An envelope's `id`.")]


@router.get(
    "/envelopes/{envelope_id}",
    summary="Read one envelope",
    responses=answers("envelope", "The envelope.", EnvelopeStory),
)
async def get_envelope(
    request: Request, envelope_id: EnvelopeId, caller: EventReader, query: Annotated[EnvelopeQuery, Query()]
) -> Response:
    """One envelope with the progress of each recipient, and all its events from the first on."""
    return json_response(envelope_body(*await _read(request, envelope_id, query, caller)))


@router.get(
    "/envelopes/{envelope_id}/report",
    response_class=HTMLResponse,
    summary="Report on one envelope",
    responses=answers("envelope", "The report, a self-contained page in HTML for A4."),
)
async def get_envelope_report(
    request: Request, envelope_id: EnvelopeId, caller: EventReader, query: Annotated[EnvelopeQuery, Query()]
) -> Response:
    """The envelope as a page to print and archive: every event, caller, time and filters of the retrieval, masked and
    unreadable content, the SHA-256 of the events as NDJSON, and a signature if a signing key is set."""
    found, events, recipients = await _read(request, envelope_id, query, caller)
    state = request.app.state
    page = render_report(
        found,
        events,
        recipients,
        caller,
        retrieved_at=state.feed.now(),
        pseudonymized=state.pseudonyms is not None,
        signing_key=state.signing_key,
    )
    return Response(page, media_type="text/html; charset=utf-8", headers=_REPORT_HEADERS)


async def _read(
    request: Request, envelope_id: str, query: EnvelopeQuery, caller: Caller
) -> tuple[EnvelopeEvents, list[Event], list[Recipient]]:
    """Return the envelope, and its events and recipients masked for the caller."""
    pairs = [("envelope_id", envelope_id)]
    if query.source is not None:
        pairs.append(("source", query.source))
    found = await read_envelope(request.app.state.feed, read_query(EventQuery, pairs), caller)
    log = request_log(request)
    note_sources(log, found.sources)
    log.deliver({found.source: len(found.records)})
    redactor = Redactor(private=caller.may("pii:read"), pseudonyms=request.app.state.pseudonyms)
    return found, list(map(redactor.event, found.records)), redactor.recipients(found.records[-1])
