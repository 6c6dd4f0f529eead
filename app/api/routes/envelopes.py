"""`GET /envelopes/{envelope_id}` and its report, a self-contained HTML page for A4 with all events and their digest."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import Path as PathParameter
from fastapi import Query, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.datastructures import State
from starlette.responses import HTMLResponse, Response

from app.api.auth import EventReader
from app.api.exports import FORMATS
from app.api.openapi import answers
from app.api.rendering import envelope_body, json_response
from app.api.request_log import note_sources, request_log
from app.api.routing import new_router
from app.api.schemas import EnvelopeStory
from app.domain.caller import Caller
from app.domain.event import Actor, Event, Recipient
from app.domain.parameters import read_query
from app.domain.query import EnvelopeQuery, EventQuery
from app.domain.times import format_seconds
from app.evidence import SigningKey
from app.feed.envelopes import EnvelopeEvents, build_story, read_envelope
from app.privacy.redaction import Redactor
from app.providers.http.concurrency import in_slices

router = new_router(tags=["envelopes"])

#: Embeddings, overrides and isolates.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: The page needs only its own style.
_REPORT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_MASKED = (
    "Masked: the caller's key lacks pii:read. Phone numbers, national ids, addresses and what repeats them are shown as"
    " ***."
)
_PSEUDONYMS = " Names and e-mail addresses are replaced by pseudonyms."

EnvelopeId = Annotated[str, PathParameter(description="An envelope's `id`.")]


@router.get(
    "/envelopes/{envelope_id}",
    summary="Read one envelope",
    responses=answers("envelope", "The envelope.", EnvelopeStory),
)
async def get_envelope(
    request: Request, envelope_id: EnvelopeId, caller: EventReader, query: Annotated[EnvelopeQuery, Query()]
) -> Response:
    """One envelope with the progress of each recipient, and all its events from the first on."""
    found = await _read(request, envelope_id, query, caller)
    return json_response(await asyncio.to_thread(envelope_body, *found))


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
    page = await asyncio.to_thread(_render_report, found, events, recipients, caller, request.app.state)
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
    redactor = Redactor(private="pii:read" in caller.scopes, pseudonyms=request.app.state.pseudonyms)
    events = [redactor.event(record) async for some in in_slices(found.records) for record in some]
    return found, events, redactor.recipients(found.records[-1])


def _render_report(
    found: EnvelopeEvents, events: Sequence[Event], recipients: Sequence[Recipient], caller: Caller, state: State
) -> bytes:
    """Return the page in UTF-8. `events` and `recipients` are masked for the caller; `state`: of the application."""
    story = build_story(events, recipients)
    envelope = story.envelope
    lines = FORMATS["ndjson"].lines(events)
    sha256 = hashlib.sha256(lines).hexdigest()
    retrieved = format_seconds(state.feed.now())
    key: SigningKey | None = state.signing_key
    filters = {"envelope_id": envelope.id, "source": found.source, "order": "asc", **found.window.shown()}
    claims = {"sha256": sha256, "count": len(events), "filters": filters, "as_of": retrieved}
    masked = "pii:read" not in caller.scopes
    notices = [_MASKED + (_PSEUDONYMS if state.pseudonyms is not None else "")] if masked else []
    status = next(status for status in found.sources if status.name == found.source)
    if bad := status.bad_records.total():
        notices.append(f"Unreadable: {bad} records of {status.name} that have no valid content.")
    if status.status == "forbidden":
        notices.append(f"Incomplete: {status.name} refuses a part: {status.reason}")
    elif status.reason is not None:
        notices.append(f"Note on {status.name}: {status.reason}")
    if found.has_more:
        notices.append("Incomplete: the envelope has more events than one report holds.")
    page = _ENVIRONMENT.get_template("envelope_report.html").render(
        story=story, notices=notices, events=events, found=found,
        caller=caller, retrieved=retrieved, filters=filters, version=version("audit-gateway"), sha256=sha256,
        complete_through=None if found.complete_through is None else format_seconds(found.complete_through),
        visible=_MASKED if masked else "Everything that the provider sent, unmasked.",
        signature=None if key is None else key.sign(msgspec.json.encode(claims)),
        ndjson=escape(lines.decode()),
    )  # fmt: skip
    return page.encode(errors="replace")


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return ("-" if seconds < 0 else "") + " ".join([*parts, f"{rest:.3f} s"])


def _person(person: Actor | Recipient) -> str:
    if person.name and person.email:
        return f"{person.name} <{person.email}>"
    fallback = person.kind if isinstance(person, Actor) else "unnamed"
    return person.name or person.email or person.id or fallback


def _css_string(text: str) -> Markup:
    """Return a CSS string with everything but ASCII letters and digits escaped, so without HTML."""
    plain = (char if char.isascii() and char.isalnum() else f"\\{ord(char):x} " for char in text)
    return Markup(f'"{"".join(plain)}"')


def _visible_directions(value: object) -> object:
    """Return a text with its signs of direction spelled out: they would show its letters in another order."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _DIRECTIONS.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)
    return value


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1]), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    finalize=_visible_directions,
)  # fmt: skip
_ENVIRONMENT.filters |= {
    "utc": lambda time: time.replace("T", " ").removesuffix("Z"), "person": _person, "duration": _duration,
    "css_string": _css_string, "json": lambda value: json.dumps(value, ensure_ascii=False),
}  # fmt: skip
