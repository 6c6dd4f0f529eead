"""One entry of a signing process's log, and what tells it from every other."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec

from app.domain.event import Event
from app.domain.order import Key
from app.domain.times import format_micros, parse_vendor_ticks
from app.engine.eventid import encode_event_id
from app.providers.taktikal import mapping
from app.providers.taktikal.wire import Process, without_links
from app.providers.untrusted import MAX_KEY

CATEGORY = "envelope"
_NO_ID = -1
_INT64 = range(-(1 << 63), 1 << 63)
_PRIVATE = ("ssn", "phone", "address", "postalCode", "city")


class Locator(msgspec.Struct, array_like=True):
    """The provider's part of an event id: process key, `createdAt` in ticks of 100 ns, and the entry's id, or a
    digest of its content where it has none (contract, section 2)."""

    process: str
    ticks: int
    entry: int | bytes


class TaktikalRecord:
    """An entry with its place among those of the same process, microsecond and id (`place`) and among those of equal
    identity (`ordinal`)."""

    provider = "taktikal"

    def __init__(self, source: str, process: Process, index: int, locator: Locator, place: int, ordinal: int) -> None:
        self._source, self._process, self._index = source, process, index
        self._locator, self._ordinal = locator, ordinal
        self.entry = process.entries[index]
        sequence = locator.entry if isinstance(locator.entry, int) else _NO_ID
        self.key: Key = (locator.ticks // 10, source, CATEGORY, process.key, sequence, place)

    @property
    def provider_type(self) -> str:
        return str(self.entry.get("status") or "")

    @property
    def type(self) -> str:
        return mapping.type_of(self.provider_type)

    def event(self) -> Event:
        return self._event

    @cached_property
    def _event(self) -> Event:
        entry, process = self.entry, self._process
        owner = mapping.owner_of(process)
        description = mapping.text_of(entry, "description")
        leftovers = {name: value for name, value in entry.items() if name not in mapping.PLACED}
        type_ = self.type
        identity = entry.get("id")
        return Event(
            id=encode_event_id(self._source, self._ordinal, msgspec.msgpack.encode(self._locator)),
            source=self._source,
            provider=self.provider,
            type=type_,
            category=CATEGORY,
            outcome=mapping.outcome_of(type_),
            provider_type=self.provider_type,
            provider_id=None if identity is None else str(identity),
            occurred_at=format_micros(self.key[0]),
            description=without_links(description, process.links),
            actor=mapping.actor_of(entry.get("createdBy"), process, owner),
            envelope=mapping.envelope_of(process, entry, owner),
            recipient=mapping.recipient_of(process, entry),
            delivery=mapping.delivery_of(self.provider_type, description),
            user_agent=mapping.text_of(entry, "userAgent"),
            data=without_links(leftovers, process.links),
        )

    def raw(self) -> dict[str, Any]:
        """`{"entry", "signee", "process"}` as delivered, the process without its lists; never a signing link."""
        process = self._process
        signee = process.sent_signees.get(self.entry.get("signeeKey") or "")
        sent = {
            "entry": process.sent_entries[self._index],
            "signee": signee,
            "process": process.sent_without_lists(),
        }
        cleaned: dict[str, Any] = without_links(sent, process.links)
        return cleaned

    def texts(self) -> Iterator[tuple[str, str]]:
        """What the provider's `Search` looks at (vendor's page, "Query Parameters")."""
        process = self._process
        for holder, names in (
            (process.body, ("processKey", "fileName", "activityDisplayName")),
            *((entry, ("fileName",)) for entry in process.entries),
            *((signee, ("name", "email", "phone", "ssn")) for signee in process.signees.values()),
        ):
            for name in names:
                if text := mapping.text_of(holder, name):
                    yield name, text

    def identities(self) -> Iterator[str]:
        process = self._process
        for signee in process.signees.values():
            for name in ("name", "email"):
                if text := mapping.text_of(signee, name):
                    yield text
        for entry in process.entries:
            if (text := mapping.text_of(entry, "createdBy")) and "@" in text:
                yield text

    def private_values(self) -> Iterator[str]:
        for signee in self._process.signees.values():
            for name in _PRIVATE:
                value = signee.get(name)
                if isinstance(value, str | int) and str(value):
                    yield str(value)


def records_of(source: str, process: Process) -> tuple[list[TaktikalRecord], int]:
    """The entries of a process in the order of its log, and how many cannot be read.

    Places and ordinals are counted among entries of one microsecond only: a log that comes trimmed to a range holds all
    of those or none."""
    records: list[TaktikalRecord] = []
    bad = 0
    places: dict[tuple[int, int], int] = defaultdict(int)
    ordinals: dict[tuple[int, int | bytes], int] = defaultdict(int)
    for index, entry in enumerate(process.entries):
        ticks = _ticks(entry)
        if ticks is None or _is_giant(entry.get("status")):
            bad += 1
            continue
        identity = _identity(entry)
        place = (ticks // 10, identity if isinstance(identity, int) else _NO_ID)
        twin = (ticks, identity)
        locator = Locator(process.key, ticks, identity)
        records.append(TaktikalRecord(source, process, index, locator, places[place], ordinals[twin]))
        places[place] += 1
        ordinals[twin] += 1
    return records, bad


def time_of(entry: dict[str, Any]) -> int | None:
    """When an entry happened, in µs; None where it does not say."""
    ticks = _ticks(entry)
    return None if ticks is None else ticks // 10


def _ticks(entry: dict[str, Any]) -> int | None:
    created_at = entry.get("createdAt")
    try:
        return parse_vendor_ticks(created_at) if isinstance(created_at, str) else None
    except (ValueError, OverflowError):
        return None


def _is_giant(status: Any) -> bool:
    return status is not None and len(status if isinstance(status, str) else str(status)) > MAX_KEY


def _identity(entry: dict[str, Any]) -> int | bytes:
    value = entry.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _INT64:
        return value
    return hashlib.blake2b(msgspec.json.encode(entry, order="sorted"), digest_size=12).digest()


def read_locator(raw: bytes) -> Locator | None:
    """None for bytes that are no locator."""
    try:
        return msgspec.msgpack.decode(raw, type=Locator)
    except msgspec.MsgspecError:
        return None
