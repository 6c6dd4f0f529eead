"""One envelope: all its events, its status, what became of each recipient, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from app.domain.caller import Caller
from app.domain.errors import NotFound, ParameterError, SourceFailed, SourcesFailed
from app.domain.event import Envelope, Event, Recipient, Record, Time, described
from app.domain.parameters import MAX_LIMIT
from app.domain.query import EventQuery, Window
from app.domain.times import SECOND, parse_rfc3339
from app.feed.model import Page, SourceStatus
from app.feed.service import Feed

MOST_PAGES = 10  #: of MAX_LIMIT events


class EnvelopeEvents(msgspec.Struct, frozen=True):
    """`source` has the envelope; `sources` are the states of all sources, over all pages. `complete_through` in µs: no
    earlier event is missing; `has_more`: the envelope has more than MOST_PAGES pages of events."""

    source: str
    provider: str
    records: Sequence[Record]
    sources: Sequence[SourceStatus]
    window: Window
    complete_through: int | None
    has_more: bool


async def read_envelope(feed: Feed, query: EventQuery, caller: Caller) -> EnvelopeEvents:
    """Return the events of the one envelope that `query` selects. Raises CallerError, SourcesFailed; NotFound if no
    source has the envelope; ParameterError if several have."""
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
        if unread := [status for status in statuses if status.bad_records]:
            raise SourcesFailed(
                [SourceFailed("none of the envelope's records can be read", source=s.name) for s in unread]
            )
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
    """Return the last page's statuses with the calls, records, unreadable records and reasons of all pages."""
    statuses = pages[-1].sources
    for page in pages[:-1]:
        for status, earlier in zip(statuses, page.sources, strict=True):
            status.calls += earlier.calls
            status.records += earlier.records
            status.bad_records |= earlier.bad_records
            status.unproven |= earlier.unproven
            if earlier.reason is not None and earlier.reason not in (status.reason or ""):
                status.reason = "; ".join(filter(None, (earlier.reason, status.reason)))
    return statuses


#: Types of events that end an envelope, and its status afterwards.
ENDS = {
    "envelope.completed": "completed",
    "envelope.declined": "declined",
    "envelope.canceled": "canceled",
    "envelope.expired": "expired",
}
IN_PROGRESS = "in_progress"

#: Types whose first event sets a time of the recipient.
_MOMENTS = {
    "recipient.invited": "invited_at",
    "envelope.viewed": "viewed_at",
    "recipient.identity_verified": "verified_at",
    "recipient.signed": "signed_at",
    "envelope.declined": "declined_at",
}
#: The same for messages, as long as they are about signing.
_MESSAGES = {"notification.delivered": "delivered_at", "notification.opened": "opened_at"}
_OTHER_PURPOSES = ("confirmation", "sender_notice")

#: A recipient's state is the last of these that was reached; `declined` goes before all.
_STATES = {
    "invited_at": "invited",
    "delivered_at": "delivered",
    "opened_at": "opened",
    "viewed_at": "viewed",
    "verified_at": "verified",
    "signed_at": "signed",
}
_DETAILS = ("id", "name", "email", "phone", "national_id", "signature_type")
_MASK = "***"


class Message(msgspec.Struct, frozen=True):
    """A reminder, or an undelivered message."""

    event_id: Annotated[str, described("The event's `id`.")]
    occurred_at: Annotated[Time, described("Time of the event.")]
    channel: Annotated[str | None, described("The channel.", "sms", "email")]


class RecipientDurations(msgspec.Struct, frozen=True):
    """Durations of one recipient in seconds; null until both events have happened."""

    invited_to_viewed: Annotated[float | None, described("From the invitation to the first view.")] = None
    invited_to_signed: Annotated[float | None, described("From the invitation to the signature.")] = None
    viewed_to_signed: Annotated[float | None, described("From the first view to the signature.")] = None


class EnvelopeRecipient(Recipient, gc=True):
    """Progress of one recipient. Times are of the first such event, or null."""

    state: Annotated[
        str,
        described("State of the recipient.", "added", "not_reached", *_STATES.values(), "declined"),
    ] = "added"
    invited_at: Annotated[Time | None, described("When the recipient was invited to sign.")] = None
    delivered_at: Annotated[Time | None, described("When a message about signing was delivered.")] = None
    opened_at: Annotated[Time | None, described("When a message about signing, not the document, was opened.")] = None
    viewed_at: Annotated[Time | None, described("When the recipient viewed the envelope.")] = None
    verified_at: Annotated[Time | None, described("When the recipient's identity was verified.")] = None
    signed_at: Annotated[Time | None, described("When the recipient signed.")] = None
    declined_at: Annotated[Time | None, described("When the recipient declined.")] = None
    failures: Annotated[list[Message], described("Undelivered messages.")] = msgspec.field(default_factory=list)
    reminders: Annotated[list[Message], described("Sent reminders.")] = msgspec.field(default_factory=list)
    durations: Annotated[RecipientDurations, described("Durations in seconds.")] = RecipientDurations()


class EnvelopeDurations(msgspec.Struct, frozen=True):
    """Durations of the envelope in seconds, from its first event."""

    total: Annotated[float, described("To its end, or to the last event so far.")]
    to_first_signature: Annotated[float | None, described("To the first signature; null where there is none.")]
    to_end: Annotated[float | None, described("To its end; null while it is in progress.")]


class Story(msgspec.Struct, frozen=True):
    """`status`: the end of the envelope, or `in_progress`."""

    envelope: Envelope
    status: str
    recipients: list[EnvelopeRecipient]
    durations: EnvelopeDurations


def build_story(events: Sequence[Event], known: Sequence[Recipient] = ()) -> Story:
    """Return the story of one envelope's events (oldest first, at least one). `known`: all its recipients, which no
    event needs to contain."""
    recipients = _recipients(events, known)
    end = next((event for event in reversed(events) if event.type in ENDS), None)
    first, last = events[0].occurred_at, (end or events[-1]).occurred_at
    signed = next((event.occurred_at for event in events if event.type == "recipient.signed"), None)
    return Story(
        _envelope(events),
        ENDS[end.type] if end else IN_PROGRESS,
        recipients,
        EnvelopeDurations(total := _seconds(first, last), _between(first, signed), total if end else None),
    )


def _envelope(events: Sequence[Event]) -> Envelope:
    """Return the envelope with the latest value of each field, because an event may lack some."""
    found: dict[str, Any] = {"id": ""}
    for event in events:
        for name, value in msgspec.structs.asdict(event.envelope).items() if event.envelope else ():
            if value is not None:
                found[name] = value
    return Envelope(**found)


def _recipients(events: Sequence[Event], known: Sequence[Recipient]) -> list[EnvelopeRecipient]:
    """Return the recipients in the order of their first events."""
    people: list[EnvelopeRecipient] = []
    for event in events:
        for person in _named(event):
            _note(_entry(people, person), event)
    for recipient in known:
        if _is_somebody(person := msgspec.structs.asdict(recipient)):
            _entry(people, person)
    for one in people:
        one.state = _state(one)
        invited, viewed, signed = one.invited_at, one.viewed_at, one.signed_at
        one.durations = RecipientDurations(
            _between(invited, viewed), _between(invited, signed), _between(viewed, signed)
        )
    return people


def _entry(people: list[EnvelopeRecipient], person: dict[str, Any]) -> EnvelopeRecipient:
    """Return the person's entry, which may be new, with the given details."""
    found = next((one for one in people if _is_same(one, person)), None)
    if found is None:
        people.append(found := EnvelopeRecipient())
    for name in _DETAILS:
        if value := person.get(name):
            setattr(found, name, value)
    return found


def _named(event: Event) -> Iterator[dict[str, Any]]:
    """Yield the recipients that an event concerns."""
    if event.type == "envelope.sent":  # may name all of them at once, and then nothing invites them one by one
        listed = event.data.get("recipients")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict):
                person = {name: text for name in _DETAILS if isinstance(text := one.get(name), str)}
                if _is_somebody(person):
                    yield person
    elif event.type == "envelope.completed":
        return  # of all recipients, even where the provider names the last one who signed
    elif event.recipient is not None:
        yield msgspec.structs.asdict(event.recipient)
    elif event.actor.kind == "recipient" and _is_somebody(actor := msgspec.structs.asdict(event.actor)):
        yield actor


def _is_somebody(person: dict[str, Any]) -> bool:
    return any(person.get(name) for name in ("id", "email", "name"))


def _is_same(known: EnvelopeRecipient, person: dict[str, Any]) -> bool:
    """Compare by id if both have one, because two recipients may share an address; then by address, then by name.
    Masked values identify no recipient."""
    for name in ("id", "email", "name"):
        ours, theirs = getattr(known, name), person.get(name)
        if ours and theirs and _MASK not in ours + theirs:
            return bool(ours.casefold() == theirs.casefold())
    return False


def _note(person: EnvelopeRecipient, event: Event) -> None:
    """Record the first time of each kind. Messages after the signature have other purposes."""
    delivery, moment = event.delivery, _MOMENTS.get(event.type)
    channel = delivery.channel if delivery else None
    is_other = person.signed_at is not None or (delivery is not None and delivery.purpose in _OTHER_PURPOSES)
    if event.type == "envelope.sent":
        moment = "invited_at"
    elif event.type in _MESSAGES and not is_other:
        moment = _MESSAGES[event.type]
    elif event.type == "recipient.reminded":
        person.reminders.append(Message(event.id, event.occurred_at, channel))
    elif event.type == "notification.failed":
        person.failures.append(Message(event.id, event.occurred_at, channel))
    if moment and getattr(person, moment) is None:
        setattr(person, moment, event.occurred_at)


def _state(person: EnvelopeRecipient) -> str:
    if person.declined_at:
        return "declined"
    reached = [state for moment, state in _STATES.items() if getattr(person, moment)]
    state = reached[-1] if reached else "added"
    return "not_reached" if person.failures and state in ("added", "invited") else state


def _between(start: str | None, end: str | None) -> float | None:
    return None if start is None or end is None else _seconds(start, end)


def _seconds(start: str, end: str) -> float:
    return (parse_rfc3339(end) - parse_rfc3339(start)) / SECOND
