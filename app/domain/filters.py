"""The filters that the gateway itself judges, exactly as contract section 3 words them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.domain.event import Event
from app.domain.query import Query


def matches_type(query: Query, type_: str, provider_type: str) -> bool:
    """Whether `type` and `provider_type` of the query let an event through."""
    if query.provider_type and provider_type not in query.provider_type:
        return False
    return not query.type or any(_covers(pattern, type_) for pattern in query.type)


def _covers(pattern: str, type_: str) -> bool:
    # "recipient.*" takes what begins with "recipient.", so that "recipient.*" is not "recipients.added".
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else type_ == pattern


def event_filter(query: Query, shown: Callable[[str], str] | None = None) -> Callable[[Event], bool] | None:
    """A test for `actor` and `recipient`; None where the query has neither. `shown` gives what the caller sees for an
    e-mail address, and must then ask by."""
    actor = query.actor.casefold() if query.actor else None
    recipient = query.recipient.casefold() if query.recipient else None
    if actor is None and recipient is None:
        return None

    def email(address: str | None) -> str:
        return (shown(address) if shown is not None and address else address or "").casefold()

    def test(event: Event) -> bool:
        if actor is not None and email(event.actor.email) != actor:
            return False
        if recipient is None:
            return True
        person = event.recipient
        return person is not None and recipient in (
            (person.id or "").casefold(),
            email(person.email),
        )

    return test


def matches_text(wanted: str, texts: Iterable[str]) -> bool:
    """Whether `wanted` is part of one of the texts, regardless of case."""
    wanted = wanted.casefold()
    return any(wanted in text.casefold() for text in texts)
