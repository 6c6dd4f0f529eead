"""Read all events of one envelope, from the first to the last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.domain.caller import Caller
from app.domain.errors import NotFound, ParameterError
from app.domain.event import Record
from app.domain.parameter_types import MAX_LIMIT
from app.domain.query import EventQuery, Window
from app.feed.model import Page, SourceStatus
from app.feed.service import Feed

MOST_PAGES = 10  #: of MAX_LIMIT events


class EnvelopeEvents(msgspec.Struct, frozen=True):
    """`source` is where the envelope is; `sources` is how each source fared, over all pages. `complete_through` in µs:
    up to then no event is missing; `has_more`: the envelope has more than MOST_PAGES pages of events."""

    source: str
    provider: str
    records: Sequence[Record]
    sources: Sequence[SourceStatus]
    window: Window
    complete_through: int | None
    has_more: bool


async def read_envelope(feed: Feed, query: EventQuery, caller: Caller) -> EnvelopeEvents:
    """The events of the one envelope that `query` selects. Raises CallerError, SourcesFailed; NotFound where no source
    has the envelope; ParameterError where several have."""
    asked = EventQuery.of(query, order="asc", limit=MAX_LIMIT)
    page = await feed.page(asked, caller)
    pages = [page]
    while page.next_cursor is not None and len(pages) < MOST_PAGES:
        page = await feed.page(EventQuery(cursor=page.next_cursor), caller)
        pages.append(page)
    records = [record for one in pages for record in one.records]
    names = sorted({record.key[1] for record in records})
    statuses = _merged(pages)
    if not names:
        refused = [status.name for status in statuses if status.status == "forbidden"]
        hidden = f"; the provider refuses this part of {', '.join(refused)}" if refused else ""
        raise NotFound(f"no source has an envelope with this id{hidden}")
    if len(names) > 1:
        message = f"must be named: {' and '.join(names)} have an envelope with this id"
        raise ParameterError("invalid_parameter", [("source", message)])
    (status,) = (status for status in statuses if status.name == names[0])
    complete = status.complete_through
    if page.has_more and complete is not None:
        complete = min(complete, records[-1].key[0])
    return EnvelopeEvents(status.name, status.provider, records, statuses, page.window, complete, page.has_more)


def _merged(pages: Sequence[Page]) -> list[SourceStatus]:
    """The last page's statuses, with what all of them cost and could not read (twice, at a page's edge)."""
    statuses = pages[-1].sources
    for page in pages[:-1]:
        for status, earlier in zip(statuses, page.sources, strict=True):
            status.calls += earlier.calls
            status.records += earlier.records
            status.bad_records += earlier.bad_records
    return statuses
