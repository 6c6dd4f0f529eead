"""Taktikal's answers as they come over the wire.

The server is ServiceStack: members that are null are left out, names may come in another letter case, errors are
`{"responseStatus": {...}}`. The older generation's entry has no `id`, its wrapper no `status` and no `fileName`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.domain.errors import SourceFailed
from app.providers.untrusted import MAX_KEY, Untrusted, read_json

_PROCESS = [
    "processKey",
    "status",
    "activityDisplayName",
    "fileName",
    "activityLog",
    "signees",
    "sequenceSignees",
    "attachmentReferences",
]
_ENTRY = [
    "id",
    "flowKey",
    "processKey",
    "signeeKey",
    "status",
    "description",
    "userAgent",
    "fileName",
    "createdAt",
    "createdBy",
    "requiresAuth",
    "signInOrder",
    "signatureLocation",
    "sequenceKey",
]
_SIGNEE = [
    "processKey",
    "signeeKey",
    "ssn",
    "name",
    "address",
    "postalCode",
    "city",
    "phone",
    "email",
    "signatureType",
    "hasReminders",
    "createdAt",
    "createdBy",
    "updatedAt",
]
_SEQUENCE = ["sequenceKey", "signeeKey", "url", "signingKeys", "processKey"]
_LISTS = frozenset({"activityLog", "signees", "sequenceSignees", "attachmentReferences"})

_NAMES: tuple[str, ...] = (*_PROCESS, *_ENTRY, *_SIGNEE, *_SEQUENCE, "total")
_CANONICAL = {name.casefold(): name for name in _NAMES}
_KNOWN = frozenset(_CANONICAL.values())


def canonical(sent: Any) -> dict[str, Any]:
    """The members of an object under the documents' own spelling; empty for what is no object."""
    if not isinstance(sent, dict):
        return {}
    if _KNOWN.issuperset(sent):
        return sent
    members: dict[str, Any] = sent
    return {_CANONICAL.get(name.casefold(), name): value for name, value in members.items()}


class Process:
    """One signing process: its own members (`body`), its log and its signees, spelled as in the documents; `sent_*`
    hold the same as delivered."""

    __slots__ = ("body", "entries", "key", "links", "sent", "sent_entries", "sent_signees", "sequences", "signees")

    def __init__(self, sent: dict[str, Any]) -> None:
        self.sent = sent
        self.body = canonical(sent)
        self.key: str = self.body["processKey"]
        self.sent_entries = _objects(self.body.get("activityLog"))
        self.entries = [canonical(entry) for entry in self.sent_entries]
        self.sent_signees: dict[str, dict[str, Any]] = {}
        self.signees: dict[str, dict[str, Any]] = {}
        for one in _objects(self.body.get("signees")):
            signee = canonical(one)
            key = signee.get("signeeKey")
            if isinstance(key, str):
                self.signees[key], self.sent_signees[key] = signee, one
        self.sequences: dict[str, str] = {}
        for one in _objects(self.body.get("sequenceSignees")):
            sequence = canonical(one)
            if isinstance(sequence.get("signeeKey"), str) and isinstance(sequence.get("sequenceKey"), str):
                self.sequences[sequence["signeeKey"]] = sequence["sequenceKey"]
        #: Signing links: secrets, never to be handed out, wherever they are repeated.
        self.links = frozenset(_links(self.body.get("sequenceSignees")) | _links(self.body.get("attachmentReferences")))

    def with_log(self, log: list[dict[str, Any]]) -> Process:
        """The same process with other entries in its log, as sent."""
        rest = {name: member for name, member in self.sent.items() if name.casefold() != "activitylog"}
        return Process({**rest, "activityLog": log})

    def sent_without_lists(self) -> dict[str, Any]:
        return {name: value for name, value in self.sent.items() if _CANONICAL.get(name.casefold()) not in _LISTS}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _links(value: Any) -> set[str]:
    found: set[str] = set()
    for one in _objects(value):
        for name, member in one.items():
            if name.casefold() == "url" and isinstance(member, str) and member:
                found.add(member)
    return found


class ActivityPage(msgspec.Struct):
    """One answer of `signing/activity`. `length` counts the array's items, unreadable ones too."""

    processes: list[Process]
    length: int
    bad: int


def decode_activity(body: bytes) -> ActivityPage:
    """Raises SourceFailed where the answer is not an array of processes."""
    found = read_json(body)
    answer = found.value
    if not isinstance(answer, list):
        raise SourceFailed("the provider's answer is not an array of signing processes")
    processes = [Process(process) for item in answer if (process := _usable(found, item)) is not None]
    return ActivityPage(processes, len(answer), len(answer) - len(processes))


def _usable(found: Untrusted, sent: Any) -> dict[str, Any] | None:
    """The process with what cannot be used of its log emptied, so that it is counted; None where it is no process."""
    item: dict[str, Any] = sent if isinstance(sent, dict) else {}
    body = canonical(item)
    key = body.get("processKey")
    if not isinstance(key, str) or len(key) > MAX_KEY:
        return None
    log = body.get("activityLog")
    if log is not None and not (isinstance(log, list) and all(isinstance(entry, dict) for entry in log)):
        log = [entry if isinstance(entry, dict) else {} for entry in log] if isinstance(log, list) else [{}]
    elif not found.suspect:
        return item
    log = [entry if found.usable(entry) else {} for entry in log or ()]
    rest = {name: member for name, member in item.items() if name.casefold() != "activitylog"}
    return {**rest, "activityLog": log} if found.usable(rest) else None


def decode_total(body: bytes) -> int:
    """`{"total": 1342}`: the number of processes. Raises SourceFailed."""
    total = canonical(read_json(body).value).get("total")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise SourceFailed("the provider's answer names no total")
    return total


class VendorError(msgspec.Struct):
    """`code`: ServiceStack's errorCode; `fields`: the parameters that its errors name, casefolded."""

    code: str | None
    fields: frozenset[str]


def decode_error(body: bytes) -> VendorError:
    """Never raises: an error answer may be anything."""
    try:
        answer = _fold(read_json(body).value)
    except SourceFailed:
        answer = {}
    status = _fold(answer.get("responsestatus"))
    code = status.get("errorcode")
    errors = [_fold(one) for one in _objects(status.get("errors"))]
    fields = frozenset(one["fieldname"].casefold() for one in errors if isinstance(one.get("fieldname"), str))
    return VendorError(code if isinstance(code, str) else None, fields)


def _fold(value: Any) -> dict[str, Any]:
    return {name.casefold(): member for name, member in value.items()} if isinstance(value, dict) else {}


def without_links(value: Any, links: Iterable[str]) -> Any:
    """A copy without members called `url` and without any of `links` inside texts."""
    links = tuple(links)
    return _without(value, links)


def _without(value: Any, links: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for link in links:
            if link in value:
                value = value.replace(link, "***")
        return value
    if isinstance(value, Mapping):
        return {name: _without(one, links) for name, one in value.items() if name.casefold() != "url"}
    if isinstance(value, list):
        return [_without(one, links) for one in value]
    return value


def merge_processes(batches: Iterable[Iterable[Process]]) -> Iterator[Process]:
    """Each process once, with the longest log that came of it."""
    found: dict[str, Process] = {}
    for batch in batches:
        for process in batch:
            held = found.get(process.key)
            if held is None or len(process.entries) > len(held.entries):
                found[process.key] = process
    yield from found.values()
