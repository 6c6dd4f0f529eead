"""One record of Subnoto's log, and what tells it from every other."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec

from app.domain.event import Event
from app.domain.order import Key
from app.domain.times import format_micros
from app.engine.eventid import encode_event_id
from app.engine.masking import is_private_name
from app.providers.subnoto import mapping
from app.providers.subnoto.wire import LogRow


class Locator(msgspec.Struct, array_like=True):
    """The provider's part of an event id: enough to find the record again, and a digest of its identity.

    `envelope` is packed: `u` and sixteen bytes for a UUID in its canonical spelling, `t` and UTF-8 for any other."""

    category: str
    time: int
    envelope: bytes | None
    digest: bytes


class SubnotoRecord:
    """A record with its place among those of the same microsecond, category and envelope (`rank`) and among those
    equal to it (`ordinal`)."""

    provider = "subnoto"

    def __init__(self, source: str, category: str, row: LogRow, rank: int, ordinal: int) -> None:
        self.body = row.body
        self._source, self._category, self._ordinal, self._time = source, category, ordinal, row.time
        self.key: Key = (row.time, source, category, envelope_of(row), rank, 0)

    @property
    def provider_type(self) -> str:
        return str(self.body["eventType"])

    @property
    def type(self) -> str:
        return mapping.type_of(self.provider_type)

    def event(self) -> Event:
        return self._event

    @cached_property
    def _event(self) -> Event:
        body = self.body
        sent = body.get("eventData")
        data: dict[str, Any] = sent if isinstance(sent, dict) else {} if sent is None else {"eventData": sent}
        agent = data.get("userAgent")
        return Event(
            id=encode_event_id(self._source, self._ordinal, locator(self.body, self._category, self._time)),
            source=self._source,
            provider=self.provider,
            type=self.type,
            category=self._category,
            outcome=mapping.outcome_of(self.provider_type),
            provider_type=self.provider_type,
            provider_id=None,
            occurred_at=format_micros(self._time),
            description=None,
            actor=mapping.actor_of(body.get("author")),
            envelope=mapping.envelope_of(body, data),
            recipient=mapping.recipient_of(data),
            delivery=None,
            user_agent=agent if isinstance(agent, str) else None,
            data=data,
        )

    def raw(self) -> dict[str, Any]:
        return self.body

    def texts(self) -> Iterator[tuple[str, str]]:
        """Contract, section 3: envelope id, author's name and e-mail, and every string in `eventData`."""
        author = self.body.get("author")
        people = author if isinstance(author, dict) else {}
        known = (("envelopeUuid", self.body.get("envelopeUuid")), ("name", people.get("name")))
        for name, text in (*known, ("email", people.get("email"))):
            if isinstance(text, str):
                yield name, text
        yield from _strings("eventData", self.body.get("eventData"))

    def identities(self) -> Iterable[str]:
        recipient, author = self._event.recipient, self.body.get("author")
        people = [recipient.name, recipient.email] if recipient else []
        if self._event.actor.kind == "user" and isinstance(author, dict):
            people += [author.get("name"), author.get("email")]
        return [person for person in people if isinstance(person, str) and person]

    def private_values(self) -> Iterable[str]:
        recipient = self._event.recipient
        return [value for value in (recipient.phone, recipient.national_id) if value] if recipient else []


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for member_name, member in value.items():
            # Under a private name everything is private, however deep.
            yield from _strings(name if is_private_name(name) else member_name, member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(name, member)


def envelope_of(row: LogRow) -> str:
    value = row.body.get("envelopeUuid")
    return value if isinstance(value, str) else ""


def locator(body: dict[str, Any], category: str, time: int) -> bytes:
    """Where to look, and the digest of what contract section 2 counts as identity."""
    envelope = body.get("envelopeUuid")
    packed = _pack(envelope) if isinstance(envelope, str) else None
    return msgspec.msgpack.encode(Locator(category, time, packed, _digest(body, category, time)))


def read_locator(raw: bytes) -> tuple[str, int, str | None] | None:
    """Category, time in µs and envelope; None for bytes that `locator` does not write."""
    try:
        found = msgspec.msgpack.decode(raw, type=Locator)
        return found.category, found.time, None if found.envelope is None else _unpack(found.envelope)
    except (msgspec.MsgspecError, ValueError):
        return None


def _pack(envelope: str) -> bytes:
    try:
        if str(found := uuid.UUID(envelope)) == envelope:
            return b"u" + found.bytes
    except ValueError:
        pass
    return b"t" + envelope.encode(errors="surrogatepass")


def _unpack(packed: bytes) -> str:
    if packed[:1] == b"u":
        return str(uuid.UUID(bytes=packed[1:]))
    return packed[1:].decode(errors="surrogatepass")


def _digest(body: dict[str, Any], category: str, time: int) -> bytes:
    identity = (
        category,
        body.get("eventType"),
        time,
        body.get("envelopeUuid"),
        body.get("workspaceUuid"),
        mapping.author_id(body.get("author")),
        body.get("eventData"),
    )
    # Sorted members: the same object in another order is the same record.
    return hashlib.blake2b(msgspec.json.encode(identity, order="sorted"), digest_size=12).digest()


def number_ties(
    source: str, category: str, rows: Sequence[tuple[int, LogRow]], keep: Callable[[str], bool]
) -> list[SubnotoRecord]:
    """The records of (number, row) pairs, where all rows of a microsecond are there or none.

    Rows whose type `keep` refuses go first, as if the provider had left them out: so a rank does not depend on
    whether the provider or the gateway filters by type. Bad rows are left out as well. Any order in, any order out.
    """
    moments: dict[int, list[tuple[int, LogRow]]] = defaultdict(list)
    for number, row in rows:
        if not row.bad and keep(row.body["eventType"]):
            moments[row.time].append((number, row))
    records: list[SubnotoRecord] = []
    for time, tied in moments.items():
        if len(tied) == 1:
            records.append(SubnotoRecord(source, category, tied[0][1], 0, 0))
            continue
        tied.sort(key=lambda pair: pair[0])
        ranks: dict[str, int] = defaultdict(int)
        twins: dict[bytes, int] = defaultdict(int)
        for _, row in tied:
            identity, envelope = _digest(row.body, category, time), envelope_of(row)
            records.append(SubnotoRecord(source, category, row, ranks[envelope], twins[identity]))
            ranks[envelope] += 1
            twins[identity] += 1
    return records
