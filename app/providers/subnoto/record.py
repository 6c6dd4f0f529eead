"""One record of Subnoto's log, and its identity."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.event import Event, Recipient
from app.domain.position import Key
from app.domain.text import memoize
from app.domain.times import format_micros
from app.paging.event_id import encode_event_id
from app.privacy.links import Secrets, has_links, without_links
from app.privacy.person_fields import is_private_name, private_members
from app.providers.subnoto import mapping
from app.providers.subnoto.envelopes import JoinedEnvelope
from app.providers.subnoto.wire import Author, LogRow, Sent


class Locator(msgspec.Struct, array_like=True):
    """The provider's part of an event id: enough to find the record, and a digest of its identity.

    `envelope` is packed: `u` and sixteen bytes for a UUID in its canonical spelling, `t` and UTF-8 for any other."""

    category: str
    time: int
    envelope: bytes | None
    digest: bytes


class SubnotoRecord(msgspec.Struct, gc=False):
    """A record. `key` ends with its rank among those of the same microsecond, category and envelope; `ordinal` counts
    equal records. `joined`: its envelope, with SUBNOTO_JOIN_ENVELOPES."""

    key: Key
    row: LogRow
    ordinal: int
    joined: JoinedEnvelope | None = None
    named: Recipient | UnsetType | None = UNSET  #: the recipient in `eventData`, once computed
    digest: bytes | None = None  #: of its identity, once computed

    @property
    def provider_type(self) -> str:
        return self.row.sent.event_type or ""

    @property
    def type(self) -> str:
        return mapping.type_of(self.provider_type)

    def event(self) -> Event:
        sent = self.row.sent
        data = sent.event_data if type(sent.event_data) is dict else self._data()
        time, source, category, _, _, _ = self.key
        event_type, envelope_uuid = sent.event_type or "", sent.envelope_uuid
        meaning = mapping.meaning_of(event_type)
        if self.named is UNSET:
            self.named = mapping.recipient_of(data)
        recipient, envelope = self.named, mapping.envelope_of(sent, data)
        if self.joined is not None:
            recipient = self._recipient(data)
            envelope = envelope and self.joined.complete(envelope)
        packed = None if envelope_uuid is None else _pack(envelope_uuid)
        digest = self.digest or _digest(sent, category, time)
        agent = data.get("userAgent")
        # By position, because names take three times as long.
        return Event(
            encode_event_id(source, self.ordinal, _encode((category, time, packed, digest))),
            source,
            "subnoto",
            meaning.type,
            category,
            meaning.outcome,
            event_type,
            None,
            format_micros(time),
            None,
            mapping.actor_of(sent.author, recipient, event_type, data),
            envelope,
            recipient,
            None,
            mapping.target_of(event_type, data) if category == "team" else None,
            agent if type(agent) is str else None,
            data,
        )

    def _recipient(self, data: dict[str, Any]) -> Recipient | None:
        if self.named is UNSET:
            self.named = mapping.recipient_of(data)
        if self.joined is None:
            return self.named
        return self.joined.recipient(self.named, mapping.signer_address(self.row.sent.author, self.provider_type))

    def _data(self) -> dict[str, Any]:
        sent = self.row.sent.event_data
        return sent if isinstance(sent, dict) else {} if sent is None else {"eventData": sent}

    def raw(self) -> dict[str, Any]:
        return self.row.body

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the texts for `q`: envelope id, author's name and e-mail, and every string in `eventData`."""
        sent = self.row.sent
        author, data = sent.author or _NOBODY, sent.event_data
        own: tuple[tuple[str, str | None], ...]
        own = (("envelopeUuid", sent.envelope_uuid), ("name", author.name), ("email", author.email))
        if has_links(data):
            # Callers who may not see a link must not find it by its parts.
            found: list[str] = []
            data = without_links(data, links=found)
            links = Secrets(found)
            own, data = tuple((name, text and links.text(text)) for name, text in own), links.value(data)
        for name, text in own:
            if text is not None:
                yield name, text
        yield from _strings("eventData", data)

    def person_values(self) -> Iterable[str]:
        data, author = self._data(), self.row.sent.author
        recipient = self._recipient(data)
        target = mapping.target_of(self.provider_type, data) if self.key[2] == "team" else None
        people = [recipient.name, recipient.email] if recipient else []
        if target is not None:
            people += [target.name if target.kind in ("member", "invitation") else None, target.email]
        if author is not None and mapping.actor_of(author, recipient, self.provider_type, data).kind != "system":
            people += [author.name, author.email]
        if self.joined is not None:
            people += self.joined.people()
        return [person for person in people if person]

    def private_values(self) -> Iterable[str]:
        recipient = self._recipient(self._data())
        # A tuple without values is the same one each time.
        own = tuple(filter(None, (recipient.phone, recipient.national_id))) if recipient else ()
        return own if self.joined is None else (*own, *self.joined.private)

    def recipients(self) -> Sequence[Recipient]:
        return () if self.joined is None else self.joined.recipients

    @property
    def names_all_recipients(self) -> bool:
        """Return False: a record contains at most its own recipient."""
        return False

    def recipient_id(self, key: str) -> str:
        return key


_NOBODY = Author()


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        hidden = private_members(value)
        for member_name, member in value.items():
            # Everything below a private member is private.
            inside = member_name not in hidden or is_private_name(member_name)
            yield from _strings(name if is_private_name(name) else member_name if inside else "address", member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(name, member)


_encode = msgspec.msgpack.Encoder().encode


def read_locator(raw: bytes) -> tuple[str, int, str | None] | None:
    """Return category, time in µs and envelope; None for bytes that `locator` does not create."""
    try:
        found = msgspec.msgpack.decode(raw, type=Locator)
        if (packed := found.envelope) is None:
            return found.category, found.time, None
        is_uuid, rest = packed[:1] == b"u", packed[1:]
        envelope = str(uuid.UUID(bytes=rest)) if is_uuid else rest.decode(errors="surrogatepass")
        return found.category, found.time, envelope
    except (msgspec.MsgspecError, ValueError):
        return None


@memoize
def _pack(envelope: str) -> bytes:
    try:
        if str(found := uuid.UUID(envelope)) == envelope:
            return b"u" + found.bytes
    except ValueError:
        pass
    return b"t" + envelope.encode(errors="surrogatepass")


def _digest(sent: Sent, category: str, time: int) -> bytes:
    author = sent.author
    author_id = author.uuid if author is not None and type(author.uuid) is str else mapping.author_id(author)
    identity = category, sent.event_type, time, sent.envelope_uuid, sent.workspace_uuid, author_id, sent.event_data
    digest = _DIGEST.copy()
    digest.update(_encode_sorted(identity))
    return digest.digest()


_DIGEST = blake2b(digest_size=12)  #: a copy takes less time than another one
# Sorted members: equal objects in another order are the same record.
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def number_ties(
    source: str, category: str, rows: Sequence[tuple[int, LogRow]], keep: Callable[[str], bool] | None = None
) -> list[SubnotoRecord]:
    """Return the records of (number, row) pairs, which contain all rows of a microsecond or none.

    Rows whose type `keep` refuses are dropped first, so that a rank does not depend on whether the provider or the
    gateway filters by type. Bad rows are dropped as well. Input and output are unordered.
    """
    has_ties = len({row.time for _, row in rows}) < len(rows)
    records = [
        SubnotoRecord((row.time, source, category, row.sent.envelope_uuid or "", 0, 0), row, 0)
        for _, row in (sorted(rows, key=itemgetter(0)) if has_ties else rows)
        if not row.bad and row.time is not None and (keep is None or keep(row.sent.event_type or ""))
    ]
    if has_ties:
        tied: dict[int, list[SubnotoRecord]] = defaultdict(list)
        for record in records:
            tied[record.key[0]].append(record)
        for group in tied.values():
            if len(group) > 1:
                _number(group)
    return records


def _number(group: Sequence[SubnotoRecord]) -> None:
    """Rank the records of one microsecond within their envelopes, and count equal ones."""
    ranks: dict[str, int] = defaultdict(int)
    twins: dict[bytes, int] = defaultdict(int)
    for record in group:
        time, source, category, envelope, *_ = record.key
        identity = record.digest = _digest(record.row.sent, category, time)
        record.key, record.ordinal = (time, source, category, envelope, ranks[envelope], 0), twins[identity]
        ranks[envelope] += 1
        twins[identity] += 1
