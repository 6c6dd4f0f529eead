"""One entry of a signing process's log, and its identity."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.event import Event, Recipient
from app.domain.position import Key
from app.domain.times import format_micros, parse_net_ticks, parse_rfc3339, parse_vendor_ticks
from app.paging.event_id import encode_event_id
from app.providers.http.lenient_json import MAX_KEY
from app.providers.taktikal.mapping import delivery_of, meaning_of
from app.providers.taktikal.models import Entry, content_of, recipient_id
from app.providers.taktikal.process_parts import ProcessParts, pack
from app.providers.taktikal.wire import Process, without_secrets

CATEGORY = "envelope"
_NO_ID = -1
EARLIEST = parse_rfc3339("2000-01-01")  #: µs; earlier times are invalid
_LAST = 1 << 63  #: µs after all times
_TIED = 1 << 32  #: more than the entries of a log
_CONTAINERS = frozenset({dict, list})


class Locator(msgspec.Struct, array_like=True):
    """The provider's part of an event id: process key, `createdAt` in ticks of 100 ns, and the entry's id, else a
    digest of its content."""

    process: str
    ticks: int
    entry: int | bytes


class TaktikalRecord(msgspec.Struct, gc=False):
    """One entry. `index` counts in the log; `ticks` are of 100 ns; `identity` is the entry's id, else a digest of its
    content; `ordinal` counts those of the same identity. `key` ends with its place among those of the same
    process, microsecond and id."""

    key: Key
    entry: Entry
    index: int
    ticks: int
    identity: int | bytes
    ordinal: int
    common: ProcessParts

    @property
    def provider_type(self) -> str:
        return self.entry.status or ""

    @property
    def type(self) -> str:
        return meaning_of(self.entry.status or "").type

    def event(self) -> Event:
        entry, common = self.entry, self.common
        if not common.is_ready:
            common.prepare()
        status, description, shortest = entry.status or "", entry.description or None, common.shortest
        meaning = meaning_of(status)
        if meaning.type == "unknown" or len(status) >= shortest:
            status = common.hidden(status) or ""
            meaning = meaning_of(status)
        keys = (entry.created_by, entry.signee_key, entry.flow_key, entry.sequence_key)
        actor, envelope, recipient = common.named.get(keys) or common.name(keys, entry)
        delivery = meaning.delivery
        if description is not None:
            if meaning.purpose is not None:
                delivery = delivery_of(description, meaning.purpose)
            description = common.descriptions.get(description) or common.hide(description)
        identity = None if entry.id is None or entry.id is UNSET else str(entry.id)
        if identity is not None and (type(entry.id) is not int or len(identity) >= shortest):
            identity = common.hidden(identity)
        # By position, because names take three times as long.
        return Event(
            common.ids.encode(pack((self.ticks, self.identity))[1:])
            if not self.ordinal
            else encode_event_id(common.source, self.ordinal, pack((common.process.key, self.ticks, self.identity))),
            common.source,
            "taktikal",
            meaning.type,
            CATEGORY,
            meaning.outcome,
            status,
            identity,
            f"{entry.created_at[:26]}Z" if common.has_net_times else format_micros(self.key[0]),  # type: ignore[index]
            description,
            actor,
            envelope,
            recipient,
            delivery,
            None,
            common.hidden(entry.user_agent) if entry.user_agent else None,
            self._data(),
        )

    def _data(self) -> dict[str, Any]:
        """Return the values without a field in the event, under the documented names."""
        entry = self.entry
        data: dict[str, Any] = {}
        if entry.file_name is not UNSET:
            data["fileName"] = self._shown(entry.file_name)
        if entry.requires_auth is not UNSET:
            data["requiresAuth"] = self._shown(entry.requires_auth)
        if entry.sign_in_order is not UNSET:
            data["signInOrder"] = self._shown(entry.sign_in_order)
        if entry.signature_location is not UNSET:
            data["signatureLocation"] = self._shown(entry.signature_location)
        if entry.others is not UNSET:
            cleaned: dict[str, Any] = without_secrets(data | entry.others, self.common.process.secrets)
            return cleaned
        return data

    def _shown(self, value: Any) -> Any:
        common = self.common
        if type(value) is str:
            return value and common.hidden(value)
        return without_secrets(value, common.process.secrets) if type(value) in _CONTAINERS else value

    def raw(self) -> dict[str, Any]:
        """Return `{"entry", "signee", "process"}` as delivered, without the process's lists and signing links."""
        common = self.common
        return {
            "entry": without_secrets(common.process.sent_entries[self.index], common.process.secrets),
            "signee": common.raw_signees.get(self.entry.signee_key or ""),
            "process": common.raw_process,
        }

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Return the texts of the provider's `Search` (vendor's page, "Query Parameters")."""
        return self.common.texts

    def person_values(self) -> tuple[str, ...]:
        return self.common.person_values

    def private_values(self) -> tuple[str, ...]:
        return self.common.private_values

    def recipients(self) -> list[Recipient]:
        common = self.common
        if not common.is_ready:
            common.prepare()
        return [common.recipient(key) for key in common.process.signees if key]

    @property
    def names_all_recipients(self) -> bool:
        return True

    def recipient_id(self, key: str) -> str:
        own = self.entry.signee_key
        return recipient_id(self.common.process.key, own) if own and own.casefold() == key.casefold() else key


def records_of(
    source: str, process: Process, since: int = EARLIEST, until: int = _LAST, latest: int = _LAST
) -> tuple[list[TaktikalRecord], int]:
    """Return a process's entries from `since` until before `until` (µs), in the order of its log, and the number of
    unreadable entries of the whole log. A time before 2000 or after `latest` is unreadable."""
    key, common = process.key, ProcessParts(source, process)
    records: list[TaktikalRecord] = []
    texts, times, bad = [entry.created_at for entry in process.entries], list[int | None](), 0
    try:
        times += parse_net_ticks(texts)  # type: ignore[arg-type]  # TypeError if one is missing
        common.has_net_times = True
    except (TypeError, ValueError):
        times += map(ticks_of, texts)
    for index, (entry, ticks) in enumerate(zip(process.entries, times, strict=True)):
        if ticks is None or not EARLIEST <= (time := ticks // 10) <= latest or len(entry.status or "") > MAX_KEY:
            bad += 1
        elif since <= time < until:
            sent = entry.id
            identity = sent if type(sent) is int and -_LAST <= sent < _LAST else _identity(entry)
            place = (time, source, CATEGORY, key, identity if type(identity) is int else _NO_ID, 0)
            records.append(TaktikalRecord(place, entry, index, ticks, identity, 0, common))
    common.entries = [record.entry for record in records]
    if len({record.key[4] for record in records}) < len(records) > len({record.key for record in records}):
        _number_ties(records)
    return records, bad


def _number_ties(records: list[TaktikalRecord]) -> None:
    """Give records of equal key their places, and those of equal identity their ordinals.

    Both are counted only among entries of one microsecond, of which a trimmed log contains all or none. They are
    ordered by tick, and by content where that is equal: a server may return them in another order with every call, and
    an order that followed the server's would repeat and omit events where a page ends between them."""
    tied: dict[Key, list[TaktikalRecord]] = defaultdict(list)
    for record in records:
        tied[record.key].append(record)
    for group in tied.values():
        if len(group) > 1:
            group.sort(key=lambda record: (record.ticks, content_of(record.entry)))
        ordinals: dict[tuple[int, int | bytes], int] = defaultdict(int)
        for place, record in enumerate(group):
            twin = record.ticks, record.identity
            # With the number of entries, so that a page notices one that was added or removed since the last page.
            record.key, record.ordinal = (*record.key[:5], place * _TIED + len(group) - 1), ordinals[twin]
            ordinals[twin] += 1


def ticks_of(created_at: str | UnsetType | None) -> int | None:
    """Return a `createdAt` in ticks of 100 ns; None if it is not a time."""
    try:
        return parse_vendor_ticks(created_at) if created_at else None
    except (ValueError, OverflowError):
        return None


def _identity(entry: Entry) -> int | bytes:
    value = entry.id
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
        if -_LAST <= value < _LAST:
            return value
    return hashlib.blake2b(content_of(entry), digest_size=12).digest()


def read_locator(raw: bytes) -> Locator | None:
    """Return the locator, or None for other bytes."""
    try:
        return msgspec.msgpack.decode(raw, type=Locator)
    except msgspec.MsgspecError:
        return None
