"""The filters that the gateway itself judges, exactly as contract section 3 words them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from app.domain.event import Event
from app.domain.query import Query
from app.domain.text import fold


def matches_type(query: Query, type_: str, provider_type: str) -> bool:
    """Whether the query's filters by type let an event through."""
    if query.provider_type and provider_type not in query.provider_type:
        return False
    if query.provider_type_not and provider_type in query.provider_type_not:
        return False
    if query.type_not and any(_covers(pattern, type_) for pattern in query.type_not):
        return False
    return not query.type or any(_covers(pattern, type_) for pattern in query.type)


def _covers(pattern: str, type_: str) -> bool:
    # "recipient.*" takes what begins with "recipient.", so that "recipient.*" is not "recipients.added".
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else type_ == pattern


def event_filter(query: Query, shown: Callable[[str], str] | None = None) -> Callable[[Event], bool] | None:
    """A test for `actor`, `recipient`, `person` and `actor.not`; None where the query has none of them. `shown` gives
    what the caller sees for an e-mail address or a name, and must then ask by."""
    actor, recipient, person = (value and fold(value) for value in (query.actor, query.recipient, query.person))
    excluded = {fold(value) for value in query.actor_not}
    if actor is recipient is person is None and not excluded:
        return None

    def seen(text: str | None) -> str:
        return fold(shown(text) if shown is not None and text else text or "")

    def test(event: Event) -> bool:
        email = seen(event.actor.email)
        if (actor is not None and email != actor) or email in excluded:
            return False
        if person is not None and not any(person == seen(address) for address in _addresses(event)):
            names = (name for name in _names(event) if name)
            if not any(person in seen(name) for name in names):
                return False
        if recipient is None:
            return True
        found = event.recipient
        return found is not None and recipient in (fold(found.id or ""), seen(found.email))

    return test


def _addresses(event: Event) -> Iterable[str | None]:
    yield event.actor.email
    yield from (part.email for part in (event.recipient, _target(event)) if part is not None)
    if event.envelope is not None:
        yield event.envelope.owner


def _names(event: Event) -> Iterable[str | None]:
    yield event.actor.name
    yield from (part.name for part in (event.recipient, _target(event)) if part is not None)


def _target(event: Event) -> Any:
    return getattr(event, "target", None)


def matches_text(wanted: str, texts: Iterable[str]) -> bool:
    """Whether `wanted` is part of one of the texts, regardless of case and composition."""
    wanted = fold(wanted)
    return any(wanted in fold(text) for text in texts)
