"""The records of a provider on the kit, their events, and the reader of its pages in the gateway's order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.errors import SourceFailed
from app.domain.event import Actor, Event, Recipient
from app.domain.position import Key, Position, first_time, is_beyond
from app.domain.query import Query
from app.domain.times import DAY, SECOND, format_micros
from app.paging.event_id import encode_event_id
from app.privacy.links import Secrets, has_links, without_links
from app.privacy.person_fields import is_person_name, private_leaves
from app.providers.base import Batch, CallBudget, Hint, ReadRequest, Record

if TYPE_CHECKING:
    from app.providers.kit import TimeRangeSource


class Row(msgspec.Struct, frozen=True):
    """One readable record: its id, unique in its category, or None; its time as text; its envelope's id or ''; its own
    type. Without an id, the record's content identifies it."""

    id: str | None
    time: str
    envelope: str
    type: str


class Locator(msgspec.Struct, array_like=True):
    time: int
    category: str
    id: str


class TimeRangeRecord:
    """One record. `body` is the record as sent, without its signing links and their repetitions in texts."""

    names_all_recipients = False

    def __init__(self, source: TimeRangeSource, category: str, row: Row, time: int, body: Mapping[str, Any]) -> None:
        self._source, self._row, self.has_id = source, row, row.id is not None
        self.body: dict[str, Any] = dict(body)
        if has_links(body):
            links: list[str] = []
            body = without_links(body, links=links)
            self.body = Secrets(links).value(body)
        # Without links, which may be new ones in each response.
        content = b"" if self.has_id else msgspec.json.encode(self.body, order="deterministic")
        self.id = row.id or hashlib.blake2b(content, digest_size=16).hexdigest()
        # Only by the id, so that later records do not change a key.
        number = int(self.id) if self.id.isascii() and self.id.isdigit() and len(self.id) < 19 else -1
        place = 0 if number >= 0 else int.from_bytes(hashlib.blake2b(self.id.encode(), digest_size=7).digest())
        self.key: Key = (time, source.name, category, row.envelope, number, place)
        self.provider_type = row.type
        self.type = source.types[category].get(row.type, "unknown")
        self.ordinal = 0

    def set_ordinal(self, ordinal: int) -> None:
        """Number this record among those without an id that are equal to it."""
        self.ordinal, self.key = ordinal, (*self.key[:4], ordinal, self.key[5])

    @cached_property
    def _fields(self) -> dict[str, Any]:
        """Return the event's fields except `data`, which contains the rest of the body."""
        row, source, (time, _, category, *_) = self._row, self._source, self.key
        locator = msgspec.msgpack.encode(Locator(time, category, self.id))
        own = source.normalize(self.body)
        fields: dict[str, Any] = dict.fromkeys(Event.__struct_fields__) | {
            "source": source.name, "provider": source.provider, "category": category, "type": self.type,
            "id": encode_event_id(source.name, self.ordinal, locator),
            "outcome": None if self.type == "unknown" else "success", "provider_type": row.type,
            "provider_id": row.id, "occurred_at": format_micros(time), "actor": Actor("system"),
        } | own  # fmt: skip
        # A value that the record has twice stays, because it may mean something else at the second place.
        counts = Counter(value for _, value in leaves("", self.body))
        texts = {text for name, text in leaves("", msgspec.to_builtins(own)) if name not in ("kind", "outcome")}
        shown = {text for text in {*texts, row.id, row.time, row.type, row.envelope} if counts[text] < 2} | {None}
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
        if event.target:
            found += [event.target.name if event.target.kind in ("member", "invitation") else None, event.target.email]
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
    """Selection of one call: [`since`, `until`) in µs, in time order. `category`: a key of the source's `types`.
    `token`: `next` of the previous page, None at first. `envelope`: the only envelope to select, if `native` has
    `envelope_id`. `types`: the only ones of the provider's types to select, None for all. `query`: the caller's."""

    category: str
    since: int
    until: int
    ascending: bool
    token: Any
    envelope: str | None
    types: Sequence[str] | None
    query: Query
    budget: CallBudget


class FetchedPage(msgspec.Struct, frozen=True):
    """One response. `items`: its records as sent. `next`: the token of the following page, None after the last one.
    `total`: number of records on all pages; None if the provider does not count."""

    items: Sequence[Any]
    next: Any = None
    total: int | None = None


_WINDOW = 3600 * SECOND  #: first of the ranges that are read newest first for an ascending page
_WINDOW_CALLS = 2  #: after which such a range becomes narrower

Found = tuple[list[TimeRangeRecord], Counter[str]]


class TimeRangeReader:
    """Read pages, and return records of whole microseconds only, so that a page's edge never splits a tie."""

    def __init__(self, source: TimeRangeSource, span: ReadRequest, first: PageRequest) -> None:
        self._source, self._span = source, span
        self._ascending = span.query.ascending
        begin = first_time(span.position, self._ascending)
        self._since = max(span.since, begin) if self._ascending else span.since
        self._until = span.until if self._ascending else min(span.until, begin + 1)
        self._ended = self._since >= self._until
        self._edge = self._since if self._ascending else self._until - 1
        self._next = msgspec.structs.replace(first, since=self._since, until=self._until)
        self._width = span.hint[0] if span.hint and not first.ascending else _WINDOW
        self._calls = 0
        self._held: list[TimeRangeRecord] = []  #: of the microsecond `_edge`, which the next page may continue
        self._seen: set[str] = set()

    async def read(self, want: int, max_calls: int) -> Batch:
        bad, calls, records, any_readable = Counter[str](), self._calls, list[TimeRangeRecord](), False
        # A page without readable records ends the batch; on a walk's first page it is a failure.
        while not (self._ended or len(records) >= want or bad.total() > len(records)) and (
            self._calls - calls < max_calls or not records
        ):
            if self._ascending and not self._next.ascending:
                found, unreadable = await self._read_range()
            else:
                found, unreadable = await self._fetch()
                self._ended = self._next.token is None
                self._edge = found[-1].key[0] if found else self._edge
            bad += unreadable
            any_readable |= bool(found)
            fresh = self._held + [one for one in found if self._is_new(one)]
            self._held = [] if self._ended else [one for one in fresh if one.key[0] == self._edge]
            records += fresh if self._ended else [one for one in fresh if one.key[0] != self._edge]
        twins = Counter[Key]()
        for one in records:
            if not one.has_id:
                twins[one.key] += 1
                one.set_ordinal(twins[one.key] - 1)
        records.sort(key=attrgetter("key"), reverse=not self._ascending)
        ahead: list[Record] = [one for one in records if is_beyond(one.key, self._span.position, self._ascending)]
        complete_until = self._edge if self._ascending else self._edge + 1
        return Batch(ahead, complete_until, self._ended, bad, any_readable=any_readable)

    def _is_new(self, record: TimeRangeRecord) -> bool:
        """Whether a record is inside the range, and no repetition: an added record moves others to the next page."""
        if not self._since <= record.key[0] < self._until:
            return False
        if (envelopes := self._span.query.envelope_id) and record.key[3] not in envelopes:
            return False
        if not record.has_id:
            return True
        is_new = record.id not in self._seen
        self._seen.add(record.id)
        return is_new

    async def _fetch(self) -> Found:
        """Return the records of `_next`, and set its token to that of the page after it."""
        request = self._next
        page = await self._source.fetch(request)
        self._calls += 1
        request.budget.records += len(page.items)
        if page.next is not None and page.next == request.token:
            raise SourceFailed("the provider's response has the page token of the request: it would not end")
        self._next = msgspec.structs.replace(request, token=page.next)
        return self._source.records(request.category, page.items, request.ascending)

    async def _read_range(self) -> Found:
        """Return the next records, oldest first, by whole ranges of times that the provider returns newest first."""
        while True:
            start, end = self._next.since, min(self._next.since + self._width, self._until)
            self._next = msgspec.structs.replace(self._next, until=end)
            found, bad, calls = list[TimeRangeRecord](), Counter[str](), 0
            while calls == 0 or (self._next.token is not None and (calls < _WINDOW_CALLS or self._width <= SECOND)):
                some, unreadable = await self._fetch()
                # The provider may round a range outwards; the next one has the records beyond this one's end.
                found += [one for one in some if start <= one.key[0] < end]
                bad |= unreadable
                calls += 1
            if self._next.token is not None:
                self._width = max(SECOND, self._width // 8)
                self._next = msgspec.structs.replace(self._next, token=None)
                continue
            self._edge = end
            self._next = msgspec.structs.replace(self._next, since=end)
            self._width *= 4 if not found else 2 if calls == 1 else 1
            self._ended = end >= self._until
            if found or bad or self._ended:
                return found[::-1], bad

    def hint(self, position: Position) -> Hint:
        return [max(SECOND, min(self._width, 366 * DAY))] if self._ascending and not self._next.ascending else None
