"""Pseudonyms in the place of people, all through an event."""

from __future__ import annotations

from copy import copy
from typing import Any

from app.domain.event import Event
from app.privacy.masking import MASK, MaskFunction, distinct
from app.privacy.person_fields import is_person_name
from app.privacy.pseudonyms import Pseudonyms


def pseudonymize_event(event: Event, disguise: MaskFunction, pseudonyms: Pseudonyms) -> None:
    """Put pseudonyms for names and e-mail addresses in every field of `event`, which is the caller's own copy.

    The same person has the same pseudonym everywhere, so that events can still be joined by it. `disguise` finds
    people in texts; a field that is a person's becomes one pseudonym whole.
    """

    def person(text: str | None) -> str | None:
        return pseudonyms.of(text) if text and text != MASK else text

    actor = event.actor = copy(event.actor)
    actor.email = person(actor.email)
    # A system's name is no person's.
    actor.name = person(actor.name) if actor.kind != "system" else actor.name and disguise(actor.name)
    actor.id = actor.id and disguise(actor.id)
    if event.envelope is not None:
        envelope = event.envelope = copy(event.envelope)
        envelope.owner = person(envelope.owner)
        envelope.name = envelope.name and disguise(envelope.name)
    if event.recipient is not None:
        recipient = event.recipient = copy(event.recipient)
        recipient.name, recipient.email = person(recipient.name), person(recipient.email)
        recipient.id = recipient.id and disguise(recipient.id)
    event.description = event.description and disguise(event.description)
    event.user_agent = event.user_agent and disguise(event.user_agent)
    event.data = _disguised(event.data, disguise, pseudonyms, False)
    event.raw = _disguised(event.raw, disguise, pseudonyms, False)


def _disguised(value: Any, disguise: MaskFunction, pseudonyms: Pseudonyms, is_person: bool) -> Any:
    if isinstance(value, str):
        if not value or value == MASK:
            return value
        return pseudonyms.of(value) if is_person else disguise(value)
    if isinstance(value, dict):
        names = distinct([disguise(str(name)) for name in value])
        items = [_disguised(item, disguise, pseudonyms, is_person_name(str(name))) for name, item in value.items()]
        return dict(zip(names, items, strict=True))
    if isinstance(value, (list, tuple)):
        return [_disguised(item, disguise, pseudonyms, is_person) for item in value]
    return value
