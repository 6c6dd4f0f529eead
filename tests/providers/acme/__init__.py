"""Acme Sign, a complete provider in one file: the smallest example of what `app/providers/base.py` asks for.

`tests/providers/test_third_provider.py` copies this folder to another directory and serves it from there. A real
provider reads over HTTP; this one's account is a list in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.domain.errors import ConfigurationError
from app.domain.event import Actor, Envelope, Event, Recipient
from app.domain.position import Key, Position, is_beyond
from app.domain.query import Query
from app.domain.times import format_micros, parse_rfc3339
from app.paging.event_id import encode_event_id
from app.providers.base import (
    Batch,
    CallBudget,
    CommonSettings,
    FilterSupport,
    Hint,
    Provider,
    ReadRequest,
    SourceHealth,
    Total,
    TypeMapping,
)

MAPPING = (
    TypeMapping("OPENED", "envelope.viewed", "envelope"),
    TypeMapping("SEALED", "envelope.completed", "envelope"),
)
_TYPES = {row.provider_type: row.type for row in MAPPING}

#: What the vendor has of this account: number, time, status, envelope, who.
_ACCOUNT = [
    (number, f"2026-05-{1 + number // 24:02}T{number % 24:02}:00:00Z",
     "SEALED" if number % 5 == 4 else "OPENED", f"acme-{number // 5}", f"user{number % 3}@example.com")
    for number in range(60)
]  # fmt: skip


class AcmeRecord:
    """One row of the account."""

    def __init__(self, source: str, row: tuple[int, str, str, str, str]) -> None:
        self.source = source
        self.number, self.time, self.provider_type, self.envelope, self.who = row
        self.key: Key = (parse_rfc3339(self.time), source, "envelope", self.envelope, self.number, 0)

    @property
    def type(self) -> str:
        return _TYPES.get(self.provider_type, "unknown")

    def event(self) -> Event:
        return Event(
            # The locator is whatever `AcmeSource.find` needs: here the row's number, which never changes.
            id=encode_event_id(self.source, 0, str(self.number).encode()),
            source=self.source,
            provider="acme",
            type=self.type,
            category="envelope",
            outcome=None if self.type == "unknown" else "success",
            provider_type=self.provider_type,
            provider_id=str(self.number),
            occurred_at=format_micros(self.key[0]),
            description=f"{self.provider_type.capitalize()} by {self.who}.",
            actor=Actor("user", email=self.who),
            envelope=Envelope(self.envelope),
            recipient=None,
            delivery=None,
            target=None,
            user_agent=None,
            data={},
        )

    def raw(self) -> Any:
        return {"no": self.number, "at": self.time, "status": self.provider_type}

    def texts(self) -> Iterable[tuple[str, str]]:
        return [("envelope", self.envelope), ("who", self.who)]

    def person_values(self) -> Iterable[str]:
        return [self.who]

    names_all_recipients = True

    def recipient_id(self, key: str) -> str:
        return key

    def recipients(self) -> list[Recipient]:
        return []

    def private_values(self) -> Iterable[str]:
        return []


class AcmeReader:
    """Reads the account in the query's order, ten rows a call."""

    def __init__(self, source: str, span: ReadRequest, spent: CallBudget) -> None:
        wanted = [
            record
            for record in (AcmeRecord(source, row) for row in _ACCOUNT)
            if span.since <= record.key[0] < span.until
            and is_beyond(record.key, span.position, span.query.ascending)
            and (not span.query.envelope_id or record.envelope in span.query.envelope_id)
        ]
        self.rest = sorted(wanted, key=lambda record: record.key, reverse=not span.query.ascending)
        self.spent, self.ascending = spent, span.query.ascending

    async def read(self, want: int, max_calls: int) -> Batch:
        taken, self.rest = self.rest[: 10 * max_calls], self.rest[10 * max_calls :]
        self.spent.calls += 1
        self.spent.records += len(taken)
        # `complete_until` stops just short of the next row: rows here never share a microsecond.
        upcoming = self.rest[0].key[0] if self.rest else 0
        return Batch(list(taken), complete_until=upcoming if self.ascending else upcoming + 1, ended=not self.rest)

    def hint(self, position: Position) -> Hint:
        return None


class AcmeSource:
    """One Acme account."""

    provider = "acme"
    filters: Mapping[str, FilterSupport] = {
        "since": "native", "until": "native", "category": "native", "envelope_id": "native",
        "type": "gateway", "provider_type": "gateway", "actor": "gateway", "recipient": "gateway",
        "q": "gateway",
    }  # fmt: skip

    def __init__(self, name: str, token: str, common: CommonSettings) -> None:
        self.name, self.settle, self.token = name, common.settle, token

    def streams(self, query: Query) -> Sequence[str]:
        return ["envelope"] if not query.category or "envelope" in query.category else []

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> AcmeReader:
        return AcmeReader(self.name, span, spent)

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        # What this vendor counts, it counts by all of its own filters; it has no other notion of a total.
        span = ReadRequest(query, since, until, (until,) if query.order == "desc" else (since,))
        spent.calls += 1
        judged_here = query.type or query.provider_type or query.actor or query.recipient or query.q
        return (
            Total(0, "events", "gte")
            if judged_here
            else Total(len(AcmeReader(self.name, span, spent).rest), "events", "eq")
        )

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[AcmeRecord]:
        return [AcmeRecord(self.name, row) for row in _ACCOUNT if str(row[0]).encode() == locator]

    def describe(self) -> dict[str, Any]:
        # What may be shown: never the token itself.
        return {"rows": len(_ACCOUNT)}

    def health(self) -> SourceHealth | None:
        # A source that calls its provider through `ProviderHttp` answers with that one's `health`.
        return None

    async def aclose(self) -> None:
        return None


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> AcmeSource | None:
    return AcmeSource("acme", env["ACME_TOKEN"], common) if "ACME_TOKEN" in env else None


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> AcmeSource:
    if not isinstance(table.get("token"), str):
        raise ConfigurationError("token is missing; set it, or token_env, or token_file")
    return AcmeSource(name, table["token"], common)


PROVIDER = Provider(
    name="acme",
    title="Acme Sign",
    mapping_version="1",
    mapping=MAPPING,
    variables={"ACME_TOKEN": "the account's token; makes a source named acme"},
    from_environment=_from_environment,
    from_table=_from_table,
)
