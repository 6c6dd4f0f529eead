"""What a caller may see of a record.

Without `pii:read`, private values are `***`. Signing links are never shown, to any caller. Filters are judged on the
same redacted event, so that no answer depends on hidden text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

from msgspec.structs import astuple, replace

from app.domain.event import Actor, Delivery, Envelope, Event, Recipient, Record, Target
from app.domain.filters import matches_text
from app.domain.text import Memoized, memoize
from app.privacy.links import Secrets, has_links, names_have_links, without_links
from app.privacy.masking import Mask
from app.privacy.person_fields import is_person_name, is_private_name, names_have_private, private_leaves
from app.privacy.pseudonyms import PersonMask, Pseudonyms
from app.privacy.replacer import MASK, any_object

#: Fields with ids; one that holds a private value is hidden whole.
_IDS = frozenset({"id", "sequence_id", "workspace_id"})
#: Fields that are not a vendor's text.
_OURS = frozenset({"kind", "purpose"})
_MAX_JUDGED = 1024  #: sets of texts whose judgement is remembered

Part = TypeVar("Part", Actor, Envelope, Recipient, Delivery, Target)


class Redactor:
    """Makes the events that one caller may see. One per response: records of one envelope share their masks.

    `private`: the caller has `pii:read`. `raw`: events have their `raw`. `pseudonyms`: what stands for people where
    callers without `pii:read` must not see them.
    """

    def __init__(self, *, private: bool, raw: bool = False, pseudonyms: Pseudonyms | None = None) -> None:
        self._private, self._raw = private, raw
        self._masks = {known: Memoized(partial(Mask, any_number=not known)) for known in (True, False)}
        self._people: Memoized[PersonMask] | None = None
        if pseudonyms is not None and not private:
            self._people = Memoized(partial(PersonMask, pseudonyms=pseudonyms))
        self._judged: dict[tuple[int, int], tuple[object, Mask | None, bool]] = {}

    def event(self, record: Record) -> Event:
        """The record's event."""
        event = record.event()
        if self._raw:
            event.raw = record.raw()
        # Most records have names of neither kind, which one look shows.
        is_suspect = any_object(event.data, _names_have_either) or any_object(event.raw, _names_have_either)
        if is_suspect and (has_links(event.data) or has_links(event.raw)):
            _take_links_out(event)
        if not self._private:
            self._hide(event, record, is_suspect)
        return event

    def _hide(self, event: Event, record: Record, private: bool) -> None:
        mask = self._mask_of(record, event, private)
        if private or mask.hides_in(event.data) or mask.hides_in(event.raw):
            event.data, event.raw = mask.values(event.data, event.raw)
        event.recipient = event.recipient and _without_numbers(event.recipient)
        # Without what is ours: an actor's and a target's kind, and the envelope's id.
        texts = [event.provider_type, event.provider_id, event.description, event.user_agent, *astuple(event.actor)[1:]]
        for part in (event.envelope, event.target):
            texts += astuple(part)[1:] if part is not None else ()
        for whole in (event.recipient, event.delivery):
            texts += astuple(whole) if whole is not None else ()
        if mask.hides(texts):
            _mask_fields(event, mask)
        if self._people is not None:
            _pseudonymize(event, self._people.of(record.person_values()))

    def recipients(self, record: Record) -> list[Recipient]:
        """All recipients of the record's envelope, as the caller may see them."""
        mask, found = None if self._private else self._mask_of(record, record.event()), []
        for recipient in record.recipients():
            if mask is not None:
                recipient = _masked(_without_numbers(recipient), mask)
                if self._people is not None:
                    recipient = _pseudonym_of(recipient, self._people.of(record.person_values()))
            found.append(recipient)
        return found

    def has_text(self, record: Record, wanted: str) -> bool:
        """Whether `q` is in one of the texts that the caller may see. Records that share their texts and their mask, as
        those of one envelope may, are judged once; a redactor has one `wanted`."""
        texts = record.texts()
        mask = None if self._private else self._mask_of(record, record.event())
        if not isinstance(texts, tuple):
            return matches_text(wanted, self._shown(record, texts, mask))
        key = id(texts), id(mask)
        if (judged := self._judged.get(key)) is None:
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            found = matches_text(wanted, self._shown(record, texts, mask))
            # With the texts and the mask, so that no others get their ids.
            judged = self._judged[key] = texts, mask, found
        return judged[2]

    def _shown(self, record: Record, texts: Iterable[tuple[str, str]], mask: Mask | None) -> Iterator[str]:
        people = None if self._people is None else self._people.of(record.person_values())
        for name, text in texts:
            if mask is None:
                yield text
            elif not is_private_name(name):
                shown = mask.text(text)
                if people is not None:
                    shown = people.person(shown) or "" if is_person_name(name) else people.text(shown)
                yield shown

    def _mask_of(self, record: Record, event: Event, private: bool = True) -> Mask:
        leaves = private_leaves([event.data, event.raw]) if private else ()
        return self._masks[record.names_all_recipients].of(record.private_values(), leaves)


@memoize
def _names_have_either(names: tuple[str, ...]) -> bool:
    return names_have_links(names) or names_have_private(names)


def visible_events(
    records: Iterable[Record], *, private: bool, raw: bool, pseudonyms: Pseudonyms | None = None
) -> Iterator[Event]:
    """The records' events as a caller may see them; see `Redactor`."""
    return map(Redactor(private=private, raw=raw, pseudonyms=pseudonyms).event, records)


def _mask_fields(event: Event, mask: Mask) -> None:
    event.actor = _masked(event.actor, mask)
    event.envelope = event.envelope and _masked(event.envelope, mask, keep="id")
    event.recipient = event.recipient and _masked(event.recipient, mask)
    event.delivery = event.delivery and _masked(event.delivery, mask)
    event.target = event.target and _masked(event.target, mask)
    event.provider_type = mask.text(event.provider_type)
    event.provider_id = event.provider_id and mask.identifier(event.provider_id, of_person=False)
    event.description = event.description and mask.text(event.description)
    event.user_agent = event.user_agent and mask.text(event.user_agent)


def _without_numbers(one: Recipient) -> Recipient:
    if not (one.phone or one.national_id):
        return one
    return replace(one, phone=one.phone and MASK, national_id=one.national_id and MASK)


def _pseudonym_of(recipient: Recipient, people: PersonMask) -> Recipient:
    key, name, email = recipient.id, people.person(recipient.name), people.person(recipient.email)
    return replace(recipient, id=key and people.text(key), name=name, email=email)


def _masked(part: Part, mask: Mask, keep: str = "") -> Part:
    """The part of an event itself, which others may share, or a masked copy."""
    changes = {}
    for name in part.__struct_fields__:
        text = getattr(part, name)
        if text and name not in _OURS and name != keep:
            shown = mask.identifier(text) if name in _IDS else mask.text(text)
            if shown != text:
                changes[name] = shown
    return replace(part, **changes) if changes else part


def _pseudonymize(event: Event, people: PersonMask) -> None:
    def person(text: str | None) -> str | None:
        return people.person(text)

    def words(text: str | None) -> str | None:
        return text and people.text(text)

    actor, envelope, recipient, target = event.actor, event.envelope, event.recipient, event.target
    # A system's name is not a person's.
    name = words(actor.name) if actor.kind == "system" else person(actor.name)
    event.actor = replace(actor, id=words(actor.id), name=name, email=person(actor.email))
    if envelope is not None:
        event.envelope = replace(envelope, name=words(envelope.name), owner=person(envelope.owner))
    event.recipient = recipient and _pseudonym_of(recipient, people)
    if target is not None:
        name = person(target.name) if target.kind in ("member", "invitation") else words(target.name)
        event.target = replace(target, id=words(target.id), name=name, email=person(target.email))
    event.description, event.user_agent = words(event.description), words(event.user_agent)
    event.data, event.raw = people.value(event.data), people.value(event.raw)


def _take_links_out(event: Event) -> None:
    """Takes the signing links out of `data` and `raw`, and out of all texts that repeat them."""
    found: list[str] = []
    event.data, event.raw = without_links(event.data, links=found), without_links(event.raw, links=found)
    if not (links := Secrets(found)):
        return
    for name in ("provider_type", "description", "user_agent", "data", "raw"):
        setattr(event, name, links.out_of(getattr(event, name)))
    for name in ("actor", "envelope", "recipient", "delivery", "target"):
        if (part := getattr(event, name)) is not None:
            texts = {field: getattr(part, field) for field in part.__struct_fields__ if field not in ("id", "kind")}
            setattr(event, name, replace(part, **{field: links.out_of(text) for field, text in texts.items()}))
