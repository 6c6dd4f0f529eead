"""The report of one envelope: a self-contained HTML page for A4, with every event and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.api.exports import FORMATS
from app.domain.caller import Caller
from app.domain.event import Actor, Event, Recipient
from app.domain.times import format_seconds
from app.evidence.signing import SigningKey
from app.feed.envelopes import EnvelopeEvents, tell_story

_MASKED = (
    "Masked: the caller's key lacks pii:read. Phone numbers, national ids, addresses and what repeats them are"
    " shown as ***."
)
_PSEUDONYMS = " Names and e-mail addresses are replaced by pseudonyms."


def render_report(
    found: EnvelopeEvents,
    events: Sequence[Event],
    recipients: Sequence[Recipient],
    caller: Caller,
    *,
    retrieved_at: int,
    pseudonymized: bool,
    signing_key: SigningKey | None,
) -> bytes:
    """Return the page in UTF-8. `events` and `recipients` are masked for the caller; `retrieved_at` in µs."""
    story = tell_story(events, recipients)
    envelope = story.envelope
    lines = FORMATS["ndjson"].lines(events)
    sha256 = hashlib.sha256(lines).hexdigest()
    retrieved = format_seconds(retrieved_at)
    until = None if found.window.until is None else format_seconds(found.window.until)
    filters = {
        "envelope_id": envelope.id, "source": found.source, "order": "asc",
        "since": format_seconds(found.window.since), "until": until,
    }  # fmt: skip
    claims = {"sha256": sha256, "count": len(events), "filters": filters, "as_of": retrieved}
    masked = not caller.may("pii:read")
    page = _ENVIRONMENT.get_template("envelope_report.html").render(
        story=story,
        notices=_notices(found, masked, pseudonymized),
        events=events,
        found=found,
        caller=caller,
        retrieved=retrieved,
        filters=filters,
        complete_through=None if found.complete_through is None else format_seconds(found.complete_through),
        visible=_MASKED if masked else "Everything that the provider sent, unmasked.",
        version=version("audit-gateway"),
        sha256=sha256,
        signature=None if signing_key is None else signing_key.sign(msgspec.json.encode(claims)),
        ndjson=lines.decode(),
    )
    return page.encode(errors="replace")


def _notices(found: EnvelopeEvents, masked: bool, pseudonymized: bool) -> list[str]:
    """Return notes on masked and missing content."""
    notices = [_MASKED + (_PSEUDONYMS if pseudonymized else "")] if masked else []
    for status in found.sources:
        if status.name == found.source and status.bad_records:
            notices.append(
                f"Unreadable: {status.bad_records.total()} records of {status.name} that have no valid content."
            )
        if status.name == found.source and status.status == "forbidden":
            notices.append(f"Incomplete: {status.name} refuses a part: {status.reason}")
    if found.has_more:
        notices.append("Incomplete: the envelope has more events than one report holds.")
    return notices


def _utc(time: str) -> str:
    return time.replace("T", " ").removesuffix("Z")


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


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_ENVIRONMENT.filters |= {
    "utc": _utc,
    "person": _person,
    "duration": _duration,
    "css_string": _css_string,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
}
