"""What a caller may see of an event.

Without `pii:read` private values become `***`; signing links never go out, to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import partial
from typing import Any, TypeVar

from app.domain.event import Actor, Delivery, Envelope, Event, Recipient
from app.domain.memoize import Memoized
from app.domain.record import Record
from app.privacy.links import Links, has_links, links_in, without_links
from app.privacy.masking import MASK, MaskFunction, distinct, is_private_name, mask_for, private_leaves
from app.privacy.person_fields import pseudonymize_for
from app.privacy.pseudonymize import pseudonymize_event
from app.privacy.pseudonyms import Pseudonyms


def visible_events(
    records: Iterable[Record], *, private: bool, raw: bool, pseudonyms: Pseudonyms | None = None
) -> Iterator[Event]:
    """The records' events as a caller may see them: unmasked with `private`, with `raw` where that is asked for;
    without `private` and with `pseudonyms`, people's names and e-mail addresses are hidden, too.

    Call it once for an answer: its records share their masks, and many of them name the same people.
    """
    masks = Memoized(mask_for)
    disguises = None if pseudonyms is None else Memoized(partial(pseudonymize_for, pseudonyms=pseudonyms))
    for record in records:
        event = record.event()
        if raw:
            event.raw = record.raw()
        if not private:
            mask = masks.of(record.private_values(), [*private_leaves(event.data), *private_leaves(event.raw)])
            _take_links_out(event)
            _mask_event(event, mask)
            if pseudonyms is not None and disguises is not None:
                pseudonymize_event(event, disguises.of(record.person_values()), pseudonyms)
        elif event.data or raw:
            _take_links_out(event)
        yield event


def visible_event(record: Record, *, private: bool, raw: bool, pseudonyms: Pseudonyms | None = None) -> Event:
    """The same for one record."""
    return next(visible_events((record,), private=private, raw=raw, pseudonyms=pseudonyms))


def _mask_event(event: Event, mask: MaskFunction) -> None:
    """Masks every text of the provider's but the ids of the event, its envelope and its people, which stay."""
    actor, envelope, recipient, delivery = event.actor, event.envelope, event.recipient, event.delivery
    event.actor = Actor(actor.kind, actor.id, actor.name and mask(actor.name), actor.email and mask(actor.email))
    if envelope is not None:
        envelope = event.envelope = copy(envelope)
        envelope.name = envelope.name and mask(envelope.name)
        envelope.owner = envelope.owner and mask(envelope.owner)
        envelope.status = envelope.status and mask(envelope.status)
        envelope.flow_id = envelope.flow_id and mask(envelope.flow_id)
    if recipient is not None:
        recipient = event.recipient = copy(recipient)
        recipient.name = recipient.name and mask(recipient.name)
        recipient.email = recipient.email and mask(recipient.email)
        recipient.phone = recipient.phone and MASK
        recipient.national_id = recipient.national_id and MASK
        recipient.signature_type = recipient.signature_type and mask(recipient.signature_type)
    if delivery is not None:
        channel, status = delivery.channel, delivery.status
        event.delivery = Delivery(channel and mask(channel), status and mask(status), delivery.purpose)
    event.provider_type = mask(event.provider_type)
    event.description = event.description and mask(event.description)
    event.user_agent = event.user_agent and mask(event.user_agent)
    event.data, event.raw = _masked(event.data, mask), _masked(event.raw, mask)


def _masked(value: Any, mask: MaskFunction) -> Any:
    """A copy of `value` with private values masked, in keys too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        names = distinct([mask(str(name)) for name in value])
        items = [_hidden(item) if is_private_name(str(name)) else _masked(item, mask) for name, item in value.items()]
        return dict(zip(names, items, strict=True))
    if isinstance(value, (list, tuple)):
        return [_masked(item, mask) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A phone may come as a number; one that merely has the same digits in it, such as a timestamp, stays.
        return MASK if mask(str(value)) == MASK else value
    return value


def _hidden(value: Any) -> Any:
    """`***`, except for what says nothing: null, true, false and what is empty."""
    return value if value is None or isinstance(value, bool) or value in ("", [], {}) else MASK


def _take_links_out(event: Event) -> None:
    """Takes the signing links out of `data` and `raw`, and whatever repeats them out of all other texts."""
    if not (has_links(event.data) or has_links(event.raw)):
        return
    links = Links((*links_in(event.data), *links_in(event.raw)))
    event.data, event.raw = links.out_of(without_links(event.data)), links.out_of(without_links(event.raw))
    if links:
        event.actor = _without(links, event.actor)
        event.envelope, event.recipient = _without(links, event.envelope), _without(links, event.recipient)
        event.delivery = _without(links, event.delivery)
        event.provider_type = links.out_of_text(event.provider_type)
        event.description = event.description and links.out_of_text(event.description)
        event.user_agent = event.user_agent and links.out_of_text(event.user_agent)


_Part = TypeVar("_Part", Actor, Envelope | None, Recipient | None, Delivery | None)


def _without(links: Links, part: _Part) -> _Part:
    """A copy of a part of an event, which other events may share, without links."""
    if part is None:
        return part
    part = copy(part)
    for name in part.__struct_fields__:
        if name not in ("id", "kind") and isinstance(text := getattr(part, name), str):
            setattr(part, name, links.out_of_text(text))
    return part
