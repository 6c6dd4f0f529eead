"""One entry of a signing process's log, and its identity among all others."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from functools import lru_cache
from itertools import repeat
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.event import Event, Recipient
from app.domain.position import Key
from app.domain.times import format_micros, format_vendor_time, parse_rfc3339, parse_vendor_ticks
from app.providers.http.lenient_json import MAX_KEY
from app.providers.taktikal.mapping import delivery_of, meaning_of
from app.providers.taktikal.models import Entry, recipient_id
from app.providers.taktikal.process_parts import ProcessParts
from app.providers.taktikal.wire import Process, content_of, without_secrets

CATEGORY = "envelope"
_NO_ID = -1
EARLIEST = parse_rfc3339("2000-01-01")  #: µs; an earlier time cannot be right (contract, section 5)
_PLAIN_END = parse_rfc3339("2099-12-31T23:59:59.999999Z")
_LAST = 1 << 63  #: µs after all times
_INT64 = range(-(1 << 63), 1 << 63)


class Locator(msgspec.Struct, array_like=True):
    """The provider's part of an event id: process key, `createdAt` in ticks of 100 ns, and the entry's id, or a
    digest of its content where it has none (contract, section 2)."""

    process: str
    ticks: int
    entry: int | bytes


_pack = msgspec.msgpack.Encoder().encode


class TaktikalRecord(msgspec.Struct, gc=False):
    """One entry. `index` counts in the log; `ticks` are of 100 ns; `identity` is the entry's id, or a digest of its
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
        shown = common.shown
        status = entry.status or ""
        if shown is not None:
            status = shown(status)
        meaning = meaning_of(status)
        description = common.description(self.index)
        delivery = meaning.delivery
        if entry.description and meaning.purpose is not None:
            delivery = delivery_of(entry.description, meaning.purpose)
        user_agent = entry.user_agent or None
        if shown is not None:
            user_agent = user_agent and shown(user_agent)
        identity = entry.id
        # By position, in the order of the fields: by name it takes three times as long.
        return Event(
            common.ids.of(self.ordinal, _pack((self.ticks, self.identity))[1:]),
            common.source,
            "taktikal",
            meaning.type,
            CATEGORY,
            meaning.outcome,
            status,
            None if identity is None or identity is UNSET else str(identity),
            format_vendor_time(entry.created_at or "", self.key[0]),
            description,
            common.actor(entry),
            common.envelope(entry),
            common.recipient(entry.signee_key) if entry.signee_key else None,
            delivery,
            None,
            user_agent,
            self._data(),
        )

    def _data(self) -> dict[str, Any]:
        """What has no place in the event, under the names of the documents."""
        entry = self.entry
        data: dict[str, Any] = {}
        if entry.file_name is not UNSET:
            data["fileName"] = entry.file_name
        if entry.requires_auth is not UNSET:
            data["requiresAuth"] = entry.requires_auth
        if entry.sign_in_order is not UNSET:
            data["signInOrder"] = entry.sign_in_order
        if entry.signature_location is not UNSET:
            data["signatureLocation"] = entry.signature_location
        if entry.others is not UNSET:
            data |= entry.others
        if not data or (entry.others is UNSET and self.common.shown is None):
            return data
        cleaned: dict[str, Any] = without_secrets(data, self.common.process.secrets)
        return cleaned

    def raw(self) -> dict[str, Any]:
        """`{"entry", "signee", "process"}` as delivered, the process without its lists; never a signing link."""
        common = self.common
        return {
            "entry": without_secrets(common.process.sent_entries[self.index], common.process.secrets),
            "signee": common.raw_signees.get(self.entry.signee_key or ""),
            "process": common.raw_process,
        }

    def texts(self) -> tuple[tuple[str, str], ...]:
        """What the provider's `Search` looks at (vendor's page, "Query Parameters")."""
        return self.common.texts

    def person_values(self) -> tuple[str, ...]:
        return self.common.person_values

    def private_values(self) -> tuple[str, ...]:
        return self.common.private_values

    def recipients(self) -> list[Recipient]:
        keys = self.common.process.signees
        return [found for key in keys if key and (found := self.common.recipient(key)) is not None]

    @property
    def names_all_recipients(self) -> bool:
        return True

    def recipient_id(self, key: str) -> str:
        own = self.entry.signee_key
        return recipient_id(self.common.process.key, own) if own and own.casefold() == key.casefold() else key


#: Times that .NET writes in UTC, of this century, one behind the other: they compare as texts.
_PLAIN_TIMES = re.compile(
    r"(?:20\d\d-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7}Z)*",
    re.ASCII,
)


_PLAIN_LENGTH = len("2019-11-08T11:06:01.5600000Z")


def _is_plain(joined: str, times: int) -> bool:
    return len(joined) == times * _PLAIN_LENGTH and _PLAIN_TIMES.fullmatch(joined) is not None


@lru_cache(maxsize=256)
def _as_texts(times: tuple[int, ...]) -> list[str]:
    """Times in µs as .NET writes them, moved into the years 2000 to 2099, whose texts they are compared with."""
    return [format_micros(min(max(time, EARLIEST), _PLAIN_END))[:-1] + "0Z" for time in times]


def records_of(
    source: str, process: Process, since: int = EARLIEST, until: int = _LAST, latest: int = _LAST
) -> tuple[list[TaktikalRecord], int]:
    """The entries of a process that happened from `since` until before `until` (µs), in the order of its log; and how
    many of the whole log cannot be read. A time before 2000 or after `latest` cannot be one."""
    entries = process.entries
    try:
        times: list[str] = [entry.created_at for entry in entries]  # type: ignore[misc]
        plain = max(map(len, times), default=0) <= _PLAIN_LENGTH and _is_plain("".join(times), len(times))
    except TypeError:
        plain = False
    read: list[tuple[int, int | bytes, int]] = []
    bad = 0
    if plain:
        first, end, last = _as_texts((since, until, latest))
        for index, time in enumerate(times):
            if time > last or len((entry := entries[index]).status or "") > MAX_KEY:
                bad += 1
            elif first <= time < end:
                read.append((parse_vendor_ticks(time), _identity(entry), index))
    else:
        for index, entry in enumerate(entries):
            ticks = ticks_of(entry.created_at)
            if ticks is None or not EARLIEST <= ticks // 10 <= latest or len(entry.status or "") > MAX_KEY:
                bad += 1
            elif since <= ticks // 10 < until:
                read.append((ticks, _identity(entry), index))
    if not read:
        return [], bad
    key = process.key
    common = ProcessParts(source, process)
    shared = [(ticks // 10, identity if isinstance(identity, int) else _NO_ID) for ticks, identity, _ in read]
    numbers = repeat((0, 0)) if len(set(shared)) == len(shared) else _numbers(read, shared, entries)
    records = [
        TaktikalRecord(
            (micros, source, CATEGORY, key, sequence, place), entries[index], index, ticks, identity, ordinal, common,
        )
        for (ticks, identity, index), (micros, sequence), (place, ordinal) in zip(read, shared, numbers, strict=False)
    ]  # fmt: skip
    return records, bad


def _numbers(
    read: list[tuple[int, int | bytes, int]], shared: list[tuple[int, int]], entries: list[Entry]
) -> list[tuple[int, int]]:
    """Place and ordinal of each (ticks, identity, index), of which places count those with the same in `shared`.

    Both are counted among entries of one microsecond only: a log that comes trimmed to a range holds all of those or
    none. Entries of one tick are counted by content, for a server may send them in another order in every call."""
    numbers = [(0, 0)] * len(read)
    tied: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, pair in enumerate(shared):
        tied[pair].append(number)
    for group in tied.values():
        if len(group) > 1:
            places = {read[number][0]: number for number in reversed(group)}
            group.sort(key=lambda number: (places[read[number][0]], content_of(entries[read[number][2]])))
            ordinals: dict[tuple[int, int | bytes], int] = defaultdict(int)
            for place, number in enumerate(group):
                twin = read[number][:2]
                numbers[number] = place, ordinals[twin]
                ordinals[twin] += 1
    return numbers


def ticks_of(created_at: str | UnsetType | None) -> int | None:
    """A `createdAt` in ticks of 100 ns; None where it is no time."""
    try:
        return parse_vendor_ticks(created_at) if created_at else None
    except (ValueError, OverflowError):
        return None


def _identity(entry: Entry) -> int | bytes:
    value = entry.id
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _INT64:
        return value
    return hashlib.blake2b(content_of(entry), digest_size=12).digest()


def read_locator(raw: bytes) -> Locator | None:
    """None for bytes that are no locator."""
    try:
        return msgspec.msgpack.decode(raw, type=Locator)
    except msgspec.MsgspecError:
        return None
