"""Pages and events as JSON bytes, directly from structs, because response models would cost more than the rest."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api import schemas
from app.domain.caller import Caller
from app.domain.event import Event, Recipient
from app.domain.times import format_seconds
from app.feed.envelopes import EnvelopeEvents, build_story
from app.feed.model import Page, SourceStatus
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor

MAX_PAGE = 16 * 1024 * 1024  #: bytes of a page's events; one event may be larger
_FIRST = 4  #: events rendered first; then as many as fill a part
_PART = 16 * 1024  #: bytes rendered before other requests are served: 2 ms, masked 4 ms, or one event
_FEW, _WHOLE = 200, 128 * 1024  #: events of a page, and bytes of it, that are rendered at once: a tenth cheaper
_LARGE = 1024 * 1024  #: bytes above which a page is not joined, because that takes its memory twice


async def render_page(page: Page, caller: Caller, pseudonyms: Pseudonyms | None = None) -> list[bytes]:
    """Return the body of `GET /events` in one or, for a large page, several parts, masked for `caller`; `pseudonyms` if
    people are masked, too. Cuts a page of more than MAX_PAGE bytes, which then has the cursor of its last event. Serves
    other requests in between."""
    redactor = Redactor(private="pii:read" in caller.scopes, raw="raw" in page.include, pseudonyms=pseudonyms)
    total, done, size, count = len(page.records), 0, 0, _FIRST
    parts, before, whole = list[bytes](), b'{"data":[', _WHOLE if total <= _FEW else 0
    while done < total:
        some = redactor.events(page.records[done : done + count])
        encoded = encode(some)[1:-1]
        if size + len(encoded) > MAX_PAGE:
            some, encoded = _as_fit(some, MAX_PAGE - size, at_least=0 if done else 1)
        done, size = done + len(some), size + len(encoded)
        if some:
            parts.append(before + encoded)
            before = b","
            # 32 small pages that alternate after each part displace one another from the processor's caches.
            if size > whole and len(encoded) >= _PART:
                await asyncio.sleep(0)
        if len(some) < count and done < total:
            page.cut_after(done - 1)
            total = done
        count = 2 * count if len(encoded) < _PART else max(1, count * _PART // len(encoded))
    rest = {
        "page": schemas.PageInfo(page.limit, page.order, page.has_more, page.next_cursor, _time(page.scanned_to)),
        "window": page.window.shown(),
        "total": page.total,
        "warnings": page.warnings,
        "sources": [_source(status) for status in page.sources],
    }
    parts.append((b"" if done else before) + b"]," + encode(rest)[1:])
    return parts if size >= _LARGE else [b"".join(parts)]


def _as_fit(events: Sequence[Event], most: int, at_least: int) -> tuple[list[Event], bytes]:
    """Return the first events that fit into `most` bytes."""
    encoded: list[bytes] = []
    for event in events:
        one = encode(event)
        most -= len(one) + 1
        if most < 0 and len(encoded) >= at_least:
            break
        encoded.append(one)
    return list(events[: len(encoded)]), b",".join(encoded)


def envelope_body(
    found: EnvelopeEvents, events: Sequence[Event], recipients: Sequence[Recipient]
) -> schemas.EnvelopeStory:
    """Return the body of `GET /envelopes/{envelope_id}`, derived only from `events` and `recipients`, which are masked
    for the caller."""
    return schemas.EnvelopeStory(
        source=found.source,
        provider=found.provider,
        **msgspec.structs.asdict(build_story(events, recipients)),
        events=events,
        has_more=found.has_more,
        complete_through=_time(found.complete_through),
        sources=[_source(status) for status in found.sources],
    )


def json_response(body: dict[str, Any] | msgspec.Struct, *, cache: str = "no-store") -> Response:
    """Return a JSON response with this `Cache-Control`."""
    return Response(encode(body), media_type="application/json", headers={"Cache-Control": cache})


def encode(body: dict[str, Any] | Sequence[Event] | msgspec.Struct) -> bytes:
    """Encode dictionaries, lists, scalars and structs with any content of a provider."""
    try:
        return one_line(msgspec.json.encode(body))
    except UnicodeEncodeError:
        # Half a surrogate pair: valid in JSON when escaped, but the fast encoder refuses it.
        return json.dumps(_plain(msgspec.to_builtins(body, str_keys=True)), separators=(",", ":")).encode()


def present(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


#: Unicode's line and paragraph separators, which JSON allows unescaped and line readers split at.
_SEPARATORS = {each.encode(): b"\\u%04x" % ord(each) for each in ("\u2028", "\u2029", "\x85")}


def one_line(encoded: bytes) -> bytes:
    """Return JSON with U+2028, U+2029 and U+0085 escaped."""
    if not encoded.isascii():
        for raw, escaped in _SEPARATORS.items():
            if raw[:1] in encoded:  # a search for one byte is twenty times as fast
                encoded = encoded.replace(raw, escaped)
    return encoded


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _time(micros: int | None) -> str | None:
    return None if micros is None else format_seconds(micros)


def _source(status: SourceStatus) -> schemas.SourceStatus:
    reasons = [] if status.error is None else [f"{status.error.code}: {status.error.detail}"]
    if status.reason is not None:
        reasons.append(status.reason)
    if status.bad_records:
        reasons.append(f"{status.bad_records.total()} records that cannot be read are left out")
    reason = "; ".join(reasons) or None
    through = _time(status.complete_through)
    return schemas.SourceStatus(status.name, status.provider, status.status, reason, through, status.unproven or UNSET)


class ClosingStream(StreamingResponse):
    """Starlette's response without its second task: `app.api.middleware` stops the work when the client disconnects.

    At any end of the response, its generator is closed with its calls."""

    def __init__(self, body: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._body):
            await self.stream_response(send)


class PartedResponse(Response):
    """A body in parts without copies; a large page in one piece would be in memory three times."""

    def __init__(self, parts: Sequence[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        self._parts = parts
        length = {"Content-Length": str(sum(map(len, parts)))}
        super().__init__(media_type=media_type, headers={**headers, **length})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for left, part in zip(reversed(range(len(self._parts))), self._parts, strict=True):
            await send({"type": "http.response.body", "body": part, "more_body": left > 0})
