"""The records of a provider on the kit, their events, and the reader of its pages in the gateway's order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.event import Actor, Event, Recipient
from app.domain.position import Key, Position, first_time, is_beyond
from app.domain.query import Query
from app.domain.times import format_micros
from app.paging.event_id import encode_event_id
from app.privacy.links import Secrets, has_links, without_links
from app.privacy.person_fields import is_person_name, private_leaves
from app.providers.base import Batch, CallBudget, Hint, ReadRequest, Record

if TYPE_CHECKING:
    from app.providers.kit import TimeRangeSource


class Row(msgspec.Struct, frozen=True):
    """One readable record: its id, unique in the account; its time as text; its envelope's id or ''; its own type."""

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


class PageRequest(msgspec.Struct, frozen=True):
    """Selection of one call: [`since`, `until`) in µs, in time order. `token`: `next` of the previous page, None at
    first. `envelope`: the only envelope to select, if `native` has `envelope_id`. `query` has the caller's filters."""

    since: int
    until: int
    ascending: bool
    token: Any
    envelope: str | None
    query: Query
    budget: CallBudget


class FetchedPage(msgspec.Struct, frozen=True):
    """One response. `items`: its records as sent. `next`: the token of the following page, None after the last one.
    `total`: number of records on all pages; None if the provider does not count."""

    items: Sequence[Any]
    next: Any = None
    total: int | None = None


class TimeRangeReader:
    """Read pages, and return records of whole microseconds only, so that a page's edge never splits a tie."""

    def __init__(self, source: TimeRangeSource, span: ReadRequest, spent: CallBudget, envelope: str | None) -> None:
        self._source, self._span, self._spent, self._envelope = source, span, spent, envelope
        self._ascending = span.query.ascending
        first = first_time(span.position, self._ascending)
        self._since = max(span.since, first) if self._ascending else span.since
        self._until = span.until if self._ascending else min(span.until, first + 1)
        self._ended = self._since >= self._until
        self._edge = self._since if self._ascending else self._until - 1
        self._token: Any = None
        self._held: list[TimeRangeRecord] = []  #: of the microsecond `_edge`, which the next page may continue
        self._seen: set[str] = set()

    async def read(self, want: int, max_calls: int) -> Batch:
        bad, calls, records, any_readable = Counter[str](), 0, list[TimeRangeRecord](), False
        # A page without readable records ends the batch; on a walk's first page it is a failure.
        while not (self._ended or len(records) >= want or bad.total() > len(records)) and (
            calls < max_calls or not records
        ):
            window = self._since, self._until, self._ascending
            request = PageRequest(*window, self._token, self._envelope, self._span.query, self._spent)
            page = await self._source.fetch(request)
            calls += 1
            self._spent.records += len(page.items)
            self._token, self._ended = page.next, page.next is None or not page.items
            found, unreadable = self._source.records(page.items, self._ascending)
            bad += unreadable
            if found:
                any_readable = True
                self._edge = found[-1].key[0]
            # A record may have been added, so that the next page repeats one at its start.
            fresh = [one for one in found if one.id not in self._seen and self._since <= one.key[0] < self._until]
            if envelopes := self._span.query.envelope_id:
                fresh = [one for one in fresh if one.key[3] in envelopes]
            fresh = self._held + fresh
            self._seen.update(one.id for one in found)
            self._held = [] if self._ended else [one for one in fresh if one.key[0] == self._edge]
            records += fresh if self._ended else [one for one in fresh if one.key[0] != self._edge]
        records.sort(key=attrgetter("key"), reverse=not self._ascending)
        ahead: list[Record] = [one for one in records if is_beyond(one.key, self._span.position, self._ascending)]
        complete_until = self._edge if self._ascending else self._edge + 1
        return Batch(ahead, complete_until, self._ended, bad, any_readable=any_readable)

    def hint(self, position: Position) -> Hint:
        return None
