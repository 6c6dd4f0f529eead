"""A source in memory that can be made to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from app.domain.event import Actor, Envelope, Event, Recipient
from app.domain.position import Key, Position, is_beyond
from app.domain.query import Query, matches_type
from app.domain.times import SECOND, format_micros, parse_rfc3339
from app.paging.event_id import encode_event_id
from app.providers.base import Batch, CallBudget, FilterSupport, Hint, ReadRequest, Total

START = parse_rfc3339("2026-05-01")
PHONE = "+3545812345"
NATIONAL_ID = "0101302989"


class MemoryRecord:
    """A record with private values in every kind of field."""

    def __init__(self, source: str, number: int) -> None:
        self.source, self.number = source, number
        self.key: Key = (START + number * 60 * SECOND, source, "envelope", f"e{number // 3}", number, 0)
        self.provider_type = "SEALED" if number % 3 == 2 else "OPENED"
        self.type = "envelope.completed" if number % 3 == 2 else "envelope.viewed"

    def event(self) -> Event:
        return Event(
            id=encode_event_id(self.source, 0, str(self.number).encode()),
            source=self.source,
            provider="acme",
            type=self.type,
            category="envelope",
            outcome="success",
            provider_type=self.provider_type,
            provider_id=str(self.number),
            occurred_at=format_micros(self.key[0]),
            description=f"Sent to {PHONE}",
            actor=Actor("user", email="anna@example.com"),
            envelope=Envelope(f"e{self.number // 3}", name="lease.pdf"),
            recipient=Recipient("r1", "Jonas", "jonas@example.com", PHONE, NATIONAL_ID, "qualified"),
            delivery=None,
            target=None,
            user_agent="Mozilla/5.0",
            data={"ssn": NATIONAL_ID, "note": f"id {NATIONAL_ID}", "odd": "\ud83d"},
        )

    def raw(self) -> Any:
        return {"number": self.number, "phone": PHONE, "signee": {"url": "https://sign.example/secret"}}

    def texts(self) -> Iterable[tuple[str, str]]:
        return [("envelope", f"e{self.number // 3}"), ("actor", "anna@example.com"), ("phone", PHONE)]

    def person_values(self) -> Iterable[str]:
        return ["anna@example.com", "Jonas", "jonas@example.com"]

    names_all_recipients = True

    def recipient_id(self, key: str) -> str:
        return key

    def recipients(self) -> list[Recipient]:
        return []

    def private_values(self) -> Iterable[str]:
        return [PHONE, NATIONAL_ID]


def history(source: str, size: int) -> list[MemoryRecord]:
    return [MemoryRecord(source, number) for number in range(size)]


def memory_source(size: int, name: str = "north") -> MemorySource:
    return MemorySource(name, history(name, size))


class MemorySource:
    """Each call raises `error` if set. `on_open` runs before a reader is opened, `before_read` before each read.

    `opened` counts readers, `total_calls` counts totals.
    """

    provider = "acme"
    filters: Mapping[str, FilterSupport] = {
        "since": "native", "until": "native", "category": "native", "envelope_id": "native",
        "type": "gateway", "provider_type": "gateway", "actor": "gateway", "recipient": "gateway",
        "q": "gateway",
    }  # fmt: skip

    def __init__(self, name: str, records: Sequence[MemoryRecord]) -> None:
        self.name, self.settle, self.records = name, 30.0, list(records)
        self.error: Exception | None = None
        self.bad_records = 0
        self.reason: str | None = None
        self.unproven = False
        self.closed = False
        self.total_calls = self.opened = 0
        self.on_open: Callable[[], object] = lambda: None
        self.before_read: Callable[[], Awaitable[None]] | None = None

    def streams(self, query: Query) -> Sequence[str]:
        types = ("envelope.completed", "envelope.viewed")
        possible = not query.type or any(matches_type(Query(type=query.type), type_, "") for type_ in types)
        return ["envelope"] if possible and (not query.category or "envelope" in query.category) else []

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> MemoryReader:
        self.opened += 1
        self.on_open()
        return MemoryReader(self, span, spent)

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        if self.error is not None:
            raise self.error
        self.total_calls += 1
        return Total(len(self.records), "events", "eq")

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[MemoryRecord]:
        if self.error is not None:
            raise self.error
        return [record for record in self.records if str(record.number).encode() == locator]

    def describe(self) -> dict[str, Any]:
        return {"records": len(self.records)}

    def health(self) -> None:
        return None

    async def aclose(self) -> None:
        self.closed = True


class MemoryReader:
    at_once = 50  #: records

    def __init__(self, source: MemorySource, span: ReadRequest, spent: CallBudget) -> None:
        self.source, self.spent, self.ascending = source, spent, span.query.ascending
        wanted = [
            record
            for record in source.records
            if span.since <= record.key[0] < span.until
            and is_beyond(record.key, span.position, self.ascending)
            and (not span.query.envelope_id or f"e{record.number // 3}" in span.query.envelope_id)
        ]
        self.rest = sorted(wanted, key=lambda record: record.key, reverse=not self.ascending)

    async def read(self, want: int, max_calls: int) -> Batch:
        if self.source.before_read is not None:
            await self.source.before_read()
        if self.source.error is not None:
            raise self.source.error
        taken, self.rest = self.rest[: self.at_once], self.rest[self.at_once :]
        self.spent.calls += 1
        self.spent.records += len(taken)
        upcoming = self.rest[0].key[0] if self.rest else 0
        return Batch(
            list(taken),
            complete_until=upcoming if self.ascending else upcoming + 1,
            ended=not self.rest,
            bad_records=Counter({"one": self.source.bad_records}),
            reason=self.source.reason,
            unproven=self.source.unproven,
        )

    def hint(self, position: Position) -> Hint:
        return None
