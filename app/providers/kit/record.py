"""One record of a provider on the kit, and its event."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.event import Actor, Event, Recipient
from app.domain.position import Key
from app.domain.times import format_micros
from app.paging.event_id import encode_event_id
from app.privacy.links import Secrets, has_links, without_links
from app.privacy.person_fields import is_person_name, private_leaves

if TYPE_CHECKING:
    from app.providers.kit.source import TimeRangeSource


class Row(msgspec.Struct, frozen=True):
    """One readable record: its id, unique in the account; its time as sent; its envelope's id or ''; its own type."""

    id: str
    time: str
    envelope: str
    type: str


class Locator(msgspec.Struct, array_like=True):
    time: int
    id: str


class TimeRangeRecord:
    """One record. `body` is the record as sent, without its signing links and their repetitions in texts."""

    names_all_recipients = False

    def __init__(self, source: TimeRangeSource, row: Row, time: int, body: Mapping[str, Any]) -> None:
        self._source, self._row, self.id = source, row, row.id
        self.body: dict[str, Any] = dict(body)
        if has_links(body):
            links: list[str] = []
            body = without_links(body, links=links)
            self.body = Secrets(links).value(body)
        # Only by the id, so that later records do not change a key.
        number = int(row.id) if row.id.isascii() and row.id.isdigit() and len(row.id) < 19 else -1
        place = 0 if number >= 0 else int.from_bytes(hashlib.blake2b(row.id.encode(), digest_size=7).digest())
        self.key: Key = (time, source.name, source.category, row.envelope, number, place)
        self.provider_type = row.type
        self.type = source.types.get(row.type, "unknown")

    @cached_property
    def _fields(self) -> dict[str, Any]:
        """Return the event's fields except `data`, which contains the rest of the body."""
        row, source = self._row, self._source
        fields: dict[str, Any] = dict.fromkeys(Event.__struct_fields__) | {
            "source": source.name, "provider": source.provider, "category": source.category, "type": self.type,
            "id": encode_event_id(source.name, 0, msgspec.msgpack.encode(Locator(self.key[0], row.id))),
            "outcome": None if self.type == "unknown" else "success", "provider_type": row.type,
            "provider_id": row.id, "occurred_at": format_micros(self.key[0]), "actor": Actor("system"),
        } | source.normalize(self.body)  # fmt: skip
        shown = {text for _, text in leaves("", msgspec.to_builtins(fields))} | {row.time}
        fields["data"] = {**(_without(self.body, shown) or {}), **(fields["data"] or {})}
        return fields

    def event(self) -> Event:
        return Event(**self._fields)

    def raw(self) -> dict[str, Any]:
        return self.body

    def texts(self) -> Iterable[tuple[str, str]]:
        return [(name, text) for name, text in leaves("", self.body) if isinstance(text, str)]

    def person_values(self) -> Iterable[str]:
        event = self.event()
        actor = None if event.actor.kind == "system" else event.actor
        found = [text for part in (actor, event.recipient) if part for text in (part.name, part.email)]
        found += [event.envelope.owner] if event.envelope else []
        found += [text for name, text in self.texts() if is_person_name(name)]
        return list(dict.fromkeys(filter(None, found)))

    def private_values(self) -> Iterable[str]:
        recipient = self.event().recipient
        own = (recipient.phone, recipient.national_id) if recipient else ()
        return list(dict.fromkeys([*(value for value in own if value), *private_leaves(self.body)]))

    def recipients(self) -> Sequence[Recipient]:
        return ()

    def recipient_id(self, key: str) -> str:
        return key


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each text, number and flag, at any depth."""
    if isinstance(value, Mapping):
        for member, item in value.items():
            yield from leaves(member, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(name, item)
    else:
        yield name, value


def _without(value: Any, shown: set[Any]) -> Any:
    """Return a copy without members whose value is in `shown`; None if it is empty."""
    if isinstance(value, dict):
        return {name: rest for name, item in value.items() if (rest := _without(item, shown)) is not None} or None
    if isinstance(value, list):
        return [rest for item in value if (rest := _without(item, shown)) is not None] or None
    return None if value in shown else value
