"""Remove from events what their caller may not see.

Without `pii:read`, private values are `***`. Signing links are never shown, to any caller. Filters are judged on the
same redacted event, so that no answer depends on hidden text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from app.domain.event import Actor, Delivery, Envelope, Event, Recipient, Record, Target
from app.domain.text import Memoized, fold
from app.privacy.json_values import has_json_text, names_in
from app.privacy.links import Secrets, has_links, names_have_links, without_links
from app.privacy.masking import Mask
from app.privacy.person_fields import (
    has_private,
    hidden,
    is_person_name,
    is_private_name,
    private_leaves,
)
from app.privacy.pseudonyms import PersonMask, Pseudonyms
from app.privacy.replacer import MASK

_ID, _TEXT, _NAME, _PERSON = "id", "text", "name", "person"
#: The vendor's texts in the parts of an event. The kind of an actor and a target, the purpose of a delivery and the id
#: of an envelope are never hidden.
_FIELDS: dict[type[Any], dict[str, str]] = {
    Actor: {"id": _ID, "name": _NAME, "email": _PERSON},
    Envelope: {
        "name": _TEXT, "status": _TEXT, "owner": _PERSON, "flow_id": _TEXT, "workspace_id": _ID, "sequence_id": _ID,
    },
    Recipient: {
        "id": _ID, "name": _NAME, "email": _PERSON, "phone": _TEXT, "national_id": _TEXT, "signature_type": _TEXT,
    },
    Delivery: {"channel": _TEXT, "status": _TEXT},
    Target: {"id": _ID, "name": _NAME, "email": _PERSON},
}  # fmt: skip
_TEXTS_OF = {part.__name__.lower(): attrgetter(*fields) for part, fields in _FIELDS.items()}
_PARTS: tuple[str, ...] = ("actor", "envelope", "recipient", "delivery", "target")
_SHARED, _OWN = _PARTS[:3], _PARTS[3:]  #: parts that the events of one envelope share, and those of each event
_OWN_TEXTS = ("provider_type", "description", "user_agent")
_PEOPLE = frozenset({"user", "recipient", "member", "invitation"})  #: kinds of actors and targets with a person's name
_MAX_JUDGED = 1024  #: sets of texts or parts whose judgement is remembered

Part = TypeVar("Part", Actor, Envelope, Recipient, Delivery, Target)
#: By kind of field, the text that is shown for a text.
Rules = Mapping[str, Callable[[str], str | None]]


class Redactor:
    """Create the events of one response for its caller. Records of one envelope share their masks.

    `private`: the caller has `pii:read`. `raw`: events have their `raw`. `pseudonyms` replace people for callers
    without `pii:read`; None if those callers see names and e-mail addresses.
    """

    def __init__(self, *, private: bool, raw: bool = False, pseudonyms: Pseudonyms | None = None) -> None:
        self._private, self._raw = private, raw
        self._masks = {known: Memoized(partial(Mask, any_number=not known)) for known in (True, False)}
        self._people: Memoized[PersonMask] | None = None
        if pseudonyms is not None and not private:
            self._people = Memoized(partial(PersonMask, pseudonyms=pseudonyms))
        self._judged: dict[tuple[int, int], tuple[object, Mask | None, bool]] = {}
        self._shown_parts: dict[tuple[int, ...], tuple[object, Mask, list[Any]]] = {}

    def events(self, records: Sequence[Record]) -> list[Event]:
        """Return the records' events."""
        events = [record.event() for record in records]
        if self._raw:
            for event, record in zip(events, records, strict=True):
                event.raw = record.raw()
        # Nearly always none of them has a link, which one look at their names shows.
        names, has_json = names_in(
            [part for event in events for part in (event.data, event.raw, event.description) if part]
        )
        if has_json or names_have_links(tuple(names)):
            for event in events:
                _take_links_out(event)
        if not self._private:
            for event, record in zip(events, records, strict=True):
                self._hide(event, record, has_json)
        return events

    def event(self, record: Record) -> Event:
        """Return the record's event."""
        event = record.event()
        if self._raw:
            event.raw = record.raw()
        _take_links_out(event)
        if not self._private:
            self._hide(event, record)
        return event

    def _hide(self, event: Event, record: Record, has_json: bool = True) -> None:
        found: list[str] = []
        if has_private(event.data, event.raw) or (
            has_json and has_json_text((event.data, event.raw, event.description))
        ):
            event.data, event.raw = hidden(event.data, found), hidden(event.raw, found)
            hidden(event.description, found)
        private, parts, knows_all = record.private_values(), _PARTS, record.names_all_recipients
        mask = self._masks[knows_all].of(private, found)
        if knows_all and isinstance(private, tuple):  # else no other event has the same parts
            event.actor, event.envelope, event.recipient = self._masked_parts(event, mask)
            parts = _OWN
        else:
            event.recipient = event.recipient and _without_numbers(event.recipient)
        texts = [event.provider_id, event.provider_type, event.description, event.user_agent, *_texts_of(event, parts)]
        # Nearly always none of its texts has a private value.
        if not mask.is_clean(texts, event.data, event.raw):
            event.data, event.raw = mask.values(event.data, event.raw)
            if not mask.is_clean(texts):
                event.provider_id = event.provider_id and mask.identifier(event.provider_id, of_person=False)
                _rewrite(event, _rules_of(mask), parts)
        if self._people is not None:
            people = self._people.of(record.person_values())
            _rewrite(event, _rules_of(people))
            event.data, event.raw = people.value(event.data), people.value(event.raw)

    def _masked_parts(self, event: Event, mask: Mask) -> list[Any]:
        """Return the masked parts that the event shares with others. The same parts are judged once."""
        parts = event.actor, event.envelope, event.recipient
        key = (*map(id, parts), id(mask))
        if (held := self._shown_parts.get(key)) is None:
            if len(self._shown_parts) >= _MAX_JUDGED:
                self._shown_parts.clear()
            event.recipient = event.recipient and _without_numbers(event.recipient)
            if not mask.is_clean(_texts_of(event, _SHARED)):
                _rewrite_parts(event, _rules_of(mask), _SHARED)
            # With the parts and the mask, so that no others get their ids.
            shown = [event.actor, event.envelope, event.recipient]
            held = self._shown_parts[key] = parts, mask, shown
        return held[2]

    def recipients(self, record: Record) -> list[Recipient]:
        """Return all recipients of the record's envelope, masked for the caller."""
        found = list(record.recipients())
        if found and not self._private:
            rules = [_rules_of(self._mask_of(record))]
            if self._people is not None:
                rules.append(_rules_of(self._people.of(record.person_values())))
            for rule in rules:
                found = [_rewritten(_without_numbers(recipient), rule) for recipient in found]
        return found

    def has_text(self, record: Record, wanted: str) -> bool:
        """Whether one of the texts that the caller may see contains `wanted`, regardless of case and composition. It is
        the same in all calls: records that share their texts and their mask are judged once."""
        texts = record.texts()
        mask = None if self._private else self._mask_of(record)
        key = id(texts), id(mask)
        if isinstance(texts, tuple) and (judged := self._judged.get(key)) is not None:
            return judged[2]
        wanted = fold(wanted)
        found = any(wanted in fold(text) for text in self._shown(record, texts, mask))
        if isinstance(texts, tuple):
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            # With the texts and the mask, so that no others get their ids.
            self._judged[key] = texts, mask, found
        return found

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

    def _mask_of(self, record: Record) -> Mask:
        event = record.event()
        found = private_leaves((event.data, event.description))
        return self._masks[record.names_all_recipients].of(record.private_values(), found)


def _rules_of(mask: Mask | PersonMask) -> Rules:
    if isinstance(mask, Mask):
        return {_ID: mask.identifier, _TEXT: mask.text, _NAME: mask.text, _PERSON: mask.text}
    return {_ID: mask.text, _TEXT: mask.text, _NAME: mask.person, _PERSON: mask.person}


def _texts_of(event: Event, names: Iterable[str]) -> list[str | None]:
    """Return the texts of these parts."""
    texts: list[str | None] = []
    for name in names:
        if (part := getattr(event, name)) is not None:
            texts += _TEXTS_OF[name](part)
    return texts


def _rewrite(event: Event, rules: Rules, parts: Iterable[str] = _PARTS) -> None:
    """Rewrite the event's own texts and those of its `parts`."""
    for name in _OWN_TEXTS:
        if text := getattr(event, name):
            setattr(event, name, rules[_TEXT](text))
    _rewrite_parts(event, rules, parts)


def _rewrite_parts(event: Event, rules: Rules, names: Iterable[str]) -> None:
    for name in names:
        if (part := getattr(event, name)) is not None:
            setattr(event, name, _rewritten(part, rules))


def _rewritten(part: Part, rules: Rules) -> Part:
    """Return the part itself, which other events may share, or a changed copy."""
    if isinstance(part, Actor | Target) and part.kind not in _PEOPLE:
        rules = {**rules, _NAME: rules[_TEXT]}
    changes = {}
    for name, kind in _FIELDS[type(part)].items():
        if (text := getattr(part, name)) and (shown := rules[kind](text)) != text:
            changes[name] = shown
    return replace(part, **changes) if changes else part


def _without_numbers(one: Recipient) -> Recipient:
    if not (one.phone or one.national_id):
        return one
    return replace(one, phone=one.phone and MASK, national_id=one.national_id and MASK)


def _take_links_out(event: Event) -> None:
    """Remove the signing links of `data` and `raw`, also from all texts that repeat them."""
    if not (has_links(event.data) or has_links(event.raw) or has_links(event.description)):
        return
    found: list[str] = []
    without_links(event.description, links=found)
    event.data, event.raw = without_links(event.data, links=found), without_links(event.raw, links=found)
    if links := Secrets(found):
        _rewrite(event, dict.fromkeys((_ID, _TEXT, _NAME, _PERSON), links.text))
        event.data, event.raw = links.value(event.data), links.value(event.raw)
