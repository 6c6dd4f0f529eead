"""The report of one envelope: a self-contained HTML page for A4, with every event and what proves their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.api.exports import FORMATS
from app.domain.caller import Caller
from app.domain.event import Actor, Event, Recipient
from app.domain.times import format_seconds
from app.evidence.signing import SigningKey
from app.feed.envelope_reader import EnvelopeEvents
from app.feed.envelope_story import EnvelopeRecipient, tell_story

_MOMENTS = {
    "invited_at": "Invited", "delivered_at": "Message delivered", "opened_at": "Message opened",
    "viewed_at": "Viewed", "verified_at": "Identity verified", "signed_at": "Signed", "declined_at": "Declined",
}  # fmt: skip
_DETAILS = {
    "id": "Recipient id", "name": "Name", "email": "E-mail", "phone": "Phone", "national_id": "National id",
    "signature_type": "Signature type",
}  # fmt: skip
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
    """The page, in UTF-8. `events` and `recipients` are what the caller may see; `retrieved_at` in µs."""
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
        envelope=envelope,
        notices=_notices(found, masked, pseudonymized),
        facts=[
            ("Status", story.status.replace("_", " ")),
            ("Status at the provider", envelope.status),
            ("Envelope id", envelope.id),
            ("Name", envelope.name),
            ("Owner", envelope.owner),
            ("Flow id", envelope.flow_id),
            ("Workspace id", envelope.workspace_id),
            ("Sequence id", envelope.sequence_id),
            ("First event", f"{_utc(events[0].occurred_at)} UTC"),
            ("Last event", f"{_utc(events[-1].occurred_at)} UTC"),
            ("Duration", _duration(story.durations.total)),
        ],
        recipients=[_recipient(person) for person in story.recipients],
        events=events,
        origin=[
            ("Retrieved", f"{_utc(retrieved)} UTC"),
            ("By", f"{caller.name} ({caller.kind})"),
            ("From", f"source {found.source}, provider {found.provider}"),
            ("Filters", ", ".join(f"{name}={value}" for name, value in filters.items() if value)),
            ("Complete through", None if found.complete_through is None else format_seconds(found.complete_through)),
            ("Visible to the caller", _MASKED if masked else "Everything that the provider sent, unmasked."),
            ("Made by", f"audit-gateway {version('audit-gateway')}"),
        ],
        sha256=sha256,
        signature=None if signing_key is None else signing_key.sign(msgspec.json.encode(claims)),
        ndjson=lines.decode(),
    )
    return page.encode(errors="replace")


def _notices(found: EnvelopeEvents, masked: bool, pseudonymized: bool) -> list[str]:
    """What the report does not show."""
    notices = [_MASKED + (_PSEUDONYMS if pseudonymized else "")] if masked else []
    for status in found.sources:
        if status.name == found.source and status.bad_records:
            notices.append(f"Unreadable: {status.bad_records} records of {status.name} that have no valid content.")
        if status.name == found.source and status.status == "forbidden":
            notices.append(f"Incomplete: {status.name} refuses a part: {status.reason}")
    if found.has_more:
        notices.append("Incomplete: the envelope has more events than one report holds.")
    return notices


def _recipient(person: EnvelopeRecipient) -> dict[str, Any]:
    facts = [(label, getattr(person, name)) for name, label in _DETAILS.items()]
    facts.append(("State", person.state.replace("_", " ")))
    for name, label in _MOMENTS.items():
        if moment := getattr(person, name):
            facts.append((label, f"{_utc(moment)} UTC"))
    for label, messages in (("Failed messages", person.failures), ("Reminders", person.reminders)):
        facts.append(
            (label, "; ".join(f"{_utc(one.occurred_at)} UTC ({one.channel or 'unknown'})" for one in messages))
        )
    facts.append(("Invitation to signature", _duration(person.durations.invited_to_signed)))
    return {"name": person.name, "email": person.email, "id": person.id, "facts": facts}


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
    """A CSS string in which nothing but letters and digits of ASCII stands for itself: no HTML to escape."""
    plain = (char if char.isascii() and char.isalnum() else f"\\{ord(char):x} " for char in text)
    return Markup(f'"{"".join(plain)}"')


_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
_ENVIRONMENT.filters |= {
    "utc": _utc,
    "person": _person,
    "css_string": _css_string,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
}
