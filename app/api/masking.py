"""What a caller may see of an event.

Without `pii:read` private values become `***`; signing links never go out, to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

from app.api.disguise import disguise_event
from app.domain.event import Actor, Delivery, Event
from app.domain.record import Record
from app.engine.identity import disguise_for
from app.engine.masking import MASK, Mask, is_private_name, mask_for, private_leaves
from app.engine.memo import remembered
from app.engine.pseudonyms import Pseudonyms

#: Names of links that are somebody's to use wherever they stand.
_ALWAYS_LINKS = (
    "signingurl", "signinglink", "signurl", "signlink", "invitationurl", "invitationlink", "inviteurl", "invitelink",
    "magiclink", "accesslink",
)  # fmt: skip

#: Names under which a provider keeps lists of people and files, whose members' `url` lets its holder sign or
#: read.
_LINKED = ("signee", "signer", "attachment", "recipient")
_LINKS = ("url", "href", "link")


def visible_events(
    records: Iterable[Record], *, private: bool, raw: bool, pseudonyms: Pseudonyms | None = None
) -> Iterator[Event]:
    """The records' events as a caller may see them: unmasked with `private`, with `raw` where that is asked for;
    without `private` and with `pseudonyms`, people's names and e-mail addresses are hidden, too.

    Call it once for an answer: its records share their masks, and many of them name the same people.
    """
    masks: dict[tuple[str, ...], Mask] = {}
    for record in records:
        event = record.event()
        if raw:
            event.raw = record.raw()
        if not private:
            _hide(event, record, masks, pseudonyms)
        elif event.data or raw:
            event.data, event.raw = _linkless(event.data), _linkless(event.raw)
        yield event


def visible_event(record: Record, *, private: bool, raw: bool, pseudonyms: Pseudonyms | None = None) -> Event:
    """The same for one record."""
    return next(visible_events((record,), private=private, raw=raw, pseudonyms=pseudonyms))


def _hide(event: Event, record: Record, masks: dict[tuple[str, ...], Mask], pseudonyms: Pseudonyms | None) -> None:
    values = ("private", *record.private_values(), *private_leaves(event.data), *private_leaves(event.raw))
    mask = masks.get(values)
    if mask is None:
        mask = masks[values] = mask_for({value for value in values[1:] if value})
    _mask_event(event, mask)
    if pseudonyms is not None:
        people = ("people", *sorted({person for person in record.identities() if person}))
        disguise = masks.get(people)
        if disguise is None:
            disguise = masks[people] = disguise_for(people[1:], pseudonyms)
        disguise_event(event, disguise, pseudonyms)


def _mask_event(event: Event, mask: Mask) -> None:
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
    event.data, event.raw = _masked(_linkless(event.data), mask), _masked(_linkless(event.raw), mask)


def _masked(value: Any, mask: Mask) -> Any:
    """A copy of `value` with private values masked, in keys too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {
            mask(str(name)): _hidden(item) if is_private_name(str(name)) else _masked(item, mask)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(item, mask) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A phone may come as a number; one that merely has the same digits in it, such as a timestamp, stays.
        return MASK if mask(str(value)) == MASK else value
    return value


def _hidden(value: Any) -> Any:
    """`***`, except for what says nothing: null, true, false and what is empty."""
    return value if value is None or isinstance(value, bool) or value in ("", [], {}) else MASK


def _linkless(value: Any) -> Any:
    return _without_links(value, False) if _has_links(value, False) else value


def _without_links(value: Any, linked: bool) -> Any:
    """`value` without the links of signees and attachments, at any depth; a copy wherever something is left
    out.
    """
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            kind = _kind_of(str(name))
            inside = linked or kind == _HOLDER
            if not _is_secret(kind, inside):
                kept[name] = _without_links(item, inside) if isinstance(item, _CONTAINERS) else item
        return kept
    if isinstance(value, _CONTAINERS):
        return [_without_links(item, linked) for item in value]
    return value


def _has_links(value: Any, linked: bool) -> bool:
    """Whether `_without_links` would leave anything out; quicker than it is."""
    if isinstance(value, dict):
        for name, item in value.items():
            inside = linked
            if kind := _kind_of(name if isinstance(name, str) else str(name)):
                inside = linked or kind == _HOLDER
                if _is_secret(kind, inside):
                    return True
            # Most are texts.
            if type(item) is not str and isinstance(item, _CONTAINERS) and _has_links(item, inside):
                return True
        return False
    return isinstance(value, _CONTAINERS) and any(_has_links(item, linked) for item in value)


def _is_secret(kind: str, linked: bool) -> bool:
    return kind == _SECRET or (linked and kind == _LINK)


_CONTAINERS = (dict, list, tuple)

#: What a member's name says of what is under it: a link that is a secret; a link that is one among people or files;
#: people or files. Anything else is "".
_SECRET, _LINK, _HOLDER = "secret", "link", "holder"


# The names are few and the same in every record, and each is judged thousands of times a page.
@remembered
def _kind_of(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain in _ALWAYS_LINKS:
        return _SECRET
    if plain in _LINKS:
        return _LINK
    return _HOLDER if any(part in plain for part in _LINKED) else ""
