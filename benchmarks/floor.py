"""The least that events need: decoding, order by time, and encoding. Without ties, exact times, joined recipients,
actors of the envelope, links and masks; ids are the vendor's own at Taktikal, the contract's digest at Subnoto."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter

import msgspec

from app.domain.event import Actor, Envelope, Event
from app.providers.subnoto.wire import Sent
from app.providers.taktikal.models import Body, Entry


class _Logs(msgspec.Struct):
    logs: list[Sent]


_processes = msgspec.json.Decoder(list[Body]).decode
_logs = msgspec.json.Decoder(_Logs).decode
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode


def taktikal_events(body: bytes, limit: int | None = None) -> bytes:
    """Encode the newest entries of a response."""
    entries = [(entry, process) for process in _processes(body) for entry in process.activity_log or ()]
    entries.sort(key=lambda pair: str(pair[0].created_at), reverse=True)
    return _encode([_of_entry(entry, process) for entry, process in entries[:limit]])


def subnoto_events(bodies: Iterable[bytes]) -> bytes:
    """Encode the records of several responses, the newest first."""
    rows = [row for body in bodies for row in _logs(body).logs]
    rows.sort(key=attrgetter("timestamp"), reverse=True)
    return _encode([_of_row(row) for row in rows])


def _of_entry(entry: Entry, process: Body) -> Event:
    sent, actor = str(entry.status), Actor("system", None, str(entry.created_by), None)
    envelope = Envelope(str(process.process_key), str(process.file_name), str(process.status))
    return Event(
        str(entry.id), "taktikal", "taktikal", sent, "envelope", "success", sent, str(entry.id), str(entry.created_at),
        str(entry.description), actor, envelope, None, None, None, None, {},
    )  # fmt: skip


def _of_row(row: Sent) -> Event:
    sent, author, data = str(row.event_type), row.author, row.event_data
    actor = Actor("user", str(author.uuid), author.name, author.email) if author else Actor("system")
    return Event(
        blake2b(_canonical(data), digest_size=12).hexdigest(), "subnoto", "subnoto", sent, "envelope", "success", sent,
        None, str(row.timestamp), None, actor, Envelope(str(row.envelope_uuid)), None, None, None, None, data,
    )  # fmt: skip
