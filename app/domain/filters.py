"""The filters that the gateway itself applies (contract, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.domain.event import Event
from app.domain.query import Query
from app.domain.text import fold

#: Statuses of envelopes that each value of `envelope_status` covers.
_STATUSES = {
    "completed": ("completed",),
    "active": ("active", "draft"),
    "inactive": ("inactive", "declined", "canceled", "expired"),
}


def matches_type(query: Query, type_: str, provider_type: str) -> bool:
    """Whether an event matches the query's filters by type."""
    if query.provider_type and provider_type not in query.provider_type:
        return False
    if query.provider_type_not and provider_type in query.provider_type_not:
        return False
    if query.type_not and any(_covers(pattern, type_) for pattern in query.type_not):
        return False
    return not query.type or any(_covers(pattern, type_) for pattern in query.type)


def may_hold(query: Query, category: str, types: Iterable[str]) -> bool:
    """Whether events of one category, of these types or `unknown`, can match the filters by category and type."""
    if (query.category and category not in query.category) or category in query.category_not:
        return False
    return not query.type or any(_covers(pattern, type_) for type_ in (*types, "unknown") for pattern in query.type)


def _covers(pattern: str, type_: str) -> bool:
    # "recipient.*" takes what begins with "recipient.", so that "recipient.*" is not "recipients.added".
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else type_ == pattern


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


def matches_text(wanted: str, texts: Iterable[str]) -> bool:
    """Whether `wanted` is part of one of the texts, regardless of case and composition."""
    wanted = fold(wanted)
    return any(wanted in fold(text) for text in texts)
