"""The least work for events: decoding, order by time, and encoding. Without ties, exact times, joined recipients,
actors of the envelope, links and masks. Ids are the vendor's own at Taktikal, the contract's digest at Subnoto."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import BinaryIO

import msgspec

from app.domain.event import Actor, Envelope, Event
from app.providers.base import CommonSettings
from app.providers.http.transport import AiohttpTransport
from app.providers.subnoto.wire import Sent
from app.providers.taktikal.models import Body, Entry


class _Logs(msgspec.Struct):
    logs: list[Sent]
    pagination: dict[str, int | None]


_processes = msgspec.json.Decoder(list[Body]).decode
_logs = msgspec.json.Decoder(_Logs).decode
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_canonical = msgspec.json.Encoder(order="sorted").encode


def taktikal_events(body: bytes, limit: int | None = None) -> bytes:
    """Encode the newest entries of a response."""
    return _encode(_of_processes(_processes(body), limit))


def subnoto_events(bodies: Iterable[bytes]) -> bytes:
    """Encode the records of several responses, the newest first."""
    return _encode(_of_rows([row for body in bodies for row in _logs(body).logs]))


def _of_processes(processes: Iterable[Body], limit: int | None = None) -> list[Event]:
    entries = [(entry, process) for process in processes for entry in process.activity_log or ()]
    entries.sort(key=lambda pair: str(pair[0].created_at), reverse=True)
    return [_of_entry(entry, process) for entry, process in entries[:limit]]


def _of_rows(rows: list[Sent]) -> list[Event]:
    rows.sort(key=attrgetter("timestamp"), reverse=True)
    return [_of_row(row) for row in rows]


async def _export(provider: str, url: str, since: str, until: str) -> AsyncIterator[list[Event]]:
    transport = AiohttpTransport(CommonSettings())
    headers = {"authorization": "Basic Y29tcGFueTprZXk=", "content-type": "application/json"}
    skip = 0
    while provider == "taktikal" and skip % 1000 == 0:
        target = f"{url}/api/signing/activity?StartDate={since}&EndDate={until}&Take=1000&Skip={skip}"
        processes = _processes((await transport.send("GET", target, headers, None)).body)
        skip += len(processes) or 1
        yield _of_processes(processes)
    for category in ("envelope", "team") if provider == "subnoto" else ():
        page: int | None = 1
        while page is not None:
            query = {"category": category, "page": page, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
            found = _logs((await transport.send("POST", f"{url}/public/logs/list", headers, _encode(query))).body)
            page = found.pagination["nextPage"]
            yield _of_rows(found.logs)
    await transport.aclose()


async def export(file: BinaryIO, *arguments: str) -> None:
    """Write the events of the same calls as `script` of benchmarks/peers.py, with the gateway's connections; each
    response is sorted by itself. `arguments`: provider, URL of the mock, since and until."""
    async for events in _export(*arguments):
        file.write(_encode_lines(events))


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
