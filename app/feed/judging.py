"""The filters that the gateway judges itself, as far as the caller may see what they are judged on.

A filter on something hidden would tell it: who may ask whether a phone is in an event need not see the phone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.domain.caller import Caller
from app.domain.query import Query
from app.domain.record import Record
from app.engine.filters import event_filter, matches_text, matches_type
from app.engine.identity import disguise_for, is_identity_name
from app.engine.masking import is_private_name, mask_for, private_leaves
from app.engine.pseudonyms import Pseudonyms
from app.providers.base import Source


def filter_for(query: Query, source: Source, caller: Caller, pseudonyms: Pseudonyms | None) -> Callable[[Record], bool]:
    """Whether a record of this source is let through. `pseudonyms`: what callers without `pii:read` see for people,
    and then ask by."""
    sees_all = caller.may("pii:read")
    disguise = None if sees_all else pseudonyms
    people = event_filter(query, None if disguise is None else disguise.of)
    wanted = query.q
    if wanted is not None and source.filters.get("q") == "native" and sees_all:
        wanted = None

    def keeps(record: Record) -> bool:
        if not matches_type(query, record.type, record.provider_type):
            return False
        if people is not None and not people(record.event()):
            return False
        if wanted is None:
            return True
        return matches_text(wanted, (text for _, text in record.texts()) if sees_all else _seen(record, disguise))

    return keeps


def _seen(record: Record, pseudonyms: Pseudonyms | None) -> Iterator[str]:
    """The record's texts as a caller without `pii:read` sees them."""
    hidden = set(record.private_values())
    hidden.update(private_leaves(record.event().data))
    mask = mask_for(hidden)
    disguise = None if pseudonyms is None else disguise_for(record.identities(), pseudonyms)
    for name, text in record.texts():
        if is_private_name(name):
            continue
        if pseudonyms is None or disguise is None:
            yield mask(text)
        elif is_identity_name(name):
            yield pseudonyms.of(text)
        else:
            yield disguise(mask(text))
