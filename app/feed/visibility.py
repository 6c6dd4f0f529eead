"""The gateway's own filters, judged on what the caller may see.

A filter on a hidden value would reveal it: a caller could find out a phone number digit by digit. So without `pii:read`
the redacted event is judged, and the provider is not asked to search hidden text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.caller import Caller
from app.domain.event import Event, Record
from app.domain.query import Query, matches_type
from app.domain.text import fold
from app.privacy.masking import may_be_hidden
from app.privacy.pseudonyms import MARK, Pseudonyms
from app.privacy.redaction import Redactor
from app.privacy.replacer import MASK
from app.providers.base import Source

#: Filters by which a provider would search texts that are hidden from callers without `pii:read`.
_SEARCHES = ("q", "actor", "recipient")
#: Filters by values that are hidden where they hold a private number.
_VALUES = ("owner", "flow_id", "provider_type")
#: Filters that the gateway judges where the provider does not.
_VENDORS = ("owner", "flow_id", "envelope_status")
#: Statuses of envelopes that each value of `envelope_status` covers.
_STATUSES = {
    "completed": ("completed",),
    "active": ("active", "draft"),
    "inactive": ("inactive", "declined", "canceled", "expired"),
}


def native_query(query: Query, caller: Caller) -> Query:
    """Return the query to send to a provider for this caller; `filter_for` applies the omitted filters."""
    if "pii:read" in caller.scopes:
        return query
    left_out: dict[str, Any] = {name: None for name in _SEARCHES if getattr(query, name)}
    for name in _VALUES:
        value = getattr(query, name)
        values = [value] if isinstance(value, str) else value or ()
        if any(may_be_hidden(one) or MASK in one or one.startswith(MARK) for one in values):
            left_out[name] = () if isinstance(value, tuple) else None
    # A provider may compare a whole e-mail address, which is shown; part of a name could be found in hidden text.
    if query.person is not None and ("@" not in query.person or may_be_hidden(query.person)):
        left_out["person"] = None
    return query.model_copy(update=left_out) if left_out else query


def filter_for(query: Query, source: Source, caller: Caller, pseudonyms: Pseudonyms | None) -> Callable[[Record], bool]:
    """Return a function that applies the filters to a record of this source. `pseudonyms`: shown for people to callers
    without `pii:read`, who filter by them."""
    sees_all = "pii:read" in caller.scopes
    redactor = Redactor(private=sees_all, pseudonyms=pseudonyms)
    native = native_query(query, caller)
    # Filters that the provider applies need no second check.
    sent = [name for name in _VENDORS if source.filters.get(name) == "native"]
    judged = query.model_copy(update={name: None for name in sent if getattr(native, name) == getattr(query, name)})
    matches_event = event_filter(judged)
    wanted = None if sees_all and source.filters.get("q") == "native" else query.q

    # A provider's own type may have a private value in it.
    shows_type = not sees_all and bool(query.provider_type or query.provider_type_not)

    def keeps(record: Record) -> bool:
        event = redactor.event(record) if shows_type else None
        if not matches_type(query, record.type, event.provider_type if event else record.provider_type):
            return False
        if record.key[2] in query.category_not:
            return False
        if matches_event is not None and not matches_event(event or redactor.event(record), record.recipient_id):
            return False
        return wanted is None or redactor.has_text(record, wanted)

    return keeps


def event_filter(query: Query) -> Callable[[Event, Callable[[str], str]], bool] | None:
    """Return a test for `actor`, `recipient`, `person`, `actor.not`, `owner`, `flow_id` and `envelope_status`; None if
    the query has none of them. Its arguments are the event as visible to the caller, and a function from a provider's
    own key of a recipient to the recipient id."""
    actor, recipient, person, owner, flow = (
        value and fold(value) for value in (query.actor, query.recipient, query.person, query.owner, query.flow_id)
    )
    excluded = {fold(value) for value in query.actor_not}
    statuses = None if query.envelope_status is None else _STATUSES[query.envelope_status]
    if actor is recipient is person is owner is flow is None and statuses is None and not excluded:
        return None

    def test(event: Event, recipient_id: Callable[[str], str]) -> bool:
        email = fold(event.actor.email or "")
        if (actor is not None and email != actor) or email in excluded:
            return False
        if owner is not None and (event.envelope is None or fold(event.envelope.owner or "") != owner):
            return False
        if flow is not None and (event.envelope is None or fold(event.envelope.flow_id or "") != flow):
            return False
        if statuses is not None and (event.envelope is None or event.envelope.status not in statuses):
            return False
        if person is not None and not _concerns(person, event):
            return False
        if query.recipient is None:
            return True
        found = event.recipient
        return found is not None and (
            recipient in (fold(found.id or ""), fold(found.email or ""))
            or (found.id is not None and recipient_id(query.recipient) == found.id)
        )

    return test


def _concerns(person: str, event: Event) -> bool:
    parts = [event.actor, *(part for part in (event.recipient, event.target) if part is not None)]
    addresses = [part.email for part in parts] + ([] if event.envelope is None else [event.envelope.owner])
    if any(address and fold(address) == person for address in addresses):
        return True
    return any(part.name and person in fold(part.name) for part in parts)
