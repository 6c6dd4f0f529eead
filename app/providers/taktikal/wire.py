"""Taktikal's answers as they come over the wire.

The server is ServiceStack: members that are null are left out, names may come in another letter case, errors are
`{"responseStatus": {...}}`. The older generation's entry has no `id`, its wrapper no `status` and no `fileName`.

An answer that is spelled as the documents spell it is decoded straight into the structs of
`app.providers.taktikal.models`. Any other (a member that the documents do not name, another letter case, another shape)
is read as plain JSON, item by item, and put into the same structs: see `app.providers.taktikal.lenient`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET

from app.domain.errors import SourceFailed
from app.domain.memoize import memoize
from app.privacy.links import Links, is_secret_link, links_in
from app.providers.http.lenient_json import MAX_KEY, read_json
from app.providers.taktikal.lenient import canonical, folded, objects, read_items
from app.providers.taktikal.models import LISTS, Body, Entry, Signee, body_of

_DECODER = msgspec.json.Decoder(list[Body])


_NO_LINKS = Links(())


class RawBody:
    """An answer's items as plain JSON, spelled as delivered; read only where somebody asks for `raw`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def items(self) -> list[Any]:
        items: list[Any] = msgspec.json.decode(self._body)
        return items


class Process:
    """One signing process: its own members (`body`), its log (`entries`) and its signees."""

    __slots__ = ("_delivered", "_index", "_sent_entries", "body", "entries", "key", "links", "signees")

    def __init__(self, key: str, body: Body, delivered: RawBody, index: int) -> None:
        self.key, self.body = key, body
        self._delivered, self._index = delivered, index
        self._sent_entries: list[dict[str, Any]] | None = None
        self.entries: list[Entry] = body.activity_log or []
        self.signees: dict[str, Signee] = {
            signee.signee_key: signee
            for signee in body.signees or ()
            if signee.signee_key is not None and signee.signee_key is not UNSET
        }
        #: Signing links: secrets, never to be handed out, wherever they are repeated.
        self.links = _NO_LINKS
        if body.sequence_signees or body.attachment_references:
            found: set[str] = set()
            for one in body.sequence_signees or ():
                if one.url:
                    found |= {one.url, *links_in({"url": one.url}, linked=True)}
                if one.signing_keys:
                    found.update(links_in(one.signing_keys, linked=True))
            found.update(_links(body.attachment_references or ()))
            self.links = Links(found)

    def sequence_of(self, signee: str) -> str | None:
        """The key of the sequence in which a signee stands."""
        sequences = self.body.sequence_signees or ()
        return next((one.sequence_key for one in sequences if one.signee_key == signee and one.sequence_key), None)

    @property
    def sent(self) -> dict[str, Any]:
        """The process as delivered."""
        sent: dict[str, Any] = self._delivered.items[self._index]
        return sent

    @property
    def sent_entries(self) -> list[dict[str, Any]]:
        """The entries as delivered, in the order of `entries`."""
        if self._sent_entries is None:
            self._sent_entries = objects(_member(self.sent, "activitylog"))
        return self._sent_entries

    def sent_signee(self, key: object) -> dict[str, Any] | None:
        """A signee as delivered; of several with one key the last."""
        signees = reversed(objects(_member(self.sent, "signees")))
        return next((one for one in signees if _member(one, "signeekey") == key), None) if key else None

    def sent_without_lists(self) -> dict[str, Any]:
        """The process's own members as delivered."""
        return {name: value for name, value in self.sent.items() if name.casefold() not in LISTS}

    def with_log(self, log: list[tuple[Entry, dict[str, Any]]]) -> Process:
        """The same process with other entries in its log, each with what was delivered for it."""
        found = Process(self.key, self.body, self._delivered, self._index)
        found.entries = [entry for entry, _ in log]
        found._sent_entries = [sent for _, sent in log]
        found.links = self.links
        return found


def _member(sent: Mapping[str, Any], folded_name: str) -> Any:
    return next((value for name, value in sent.items() if name.casefold() == folded_name), None)


def _links(references: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield from links_in({"attachmentReferences": references})
    for one in references:
        for name, member in one.items():
            if name.casefold() == "url" and isinstance(member, str) and member:
                yield member


class ActivityPage(msgspec.Struct):
    """One answer of `signing/activity`. `length` counts the array's items, unreadable ones too; `unreadable`: how often
    each of those is in it, by its key, or by all that it says where it has none; `date`: its `Date` in µs."""

    processes: list[Process]
    length: int
    unreadable: Counter[str]
    date: int | None = None


def decode_activity(body: bytes) -> ActivityPage:
    """Raises SourceFailed where the answer is not an array of processes."""
    items: Sequence[Body | None]
    sent: list[Any] | None = None
    try:
        items, delivered = _DECODER.decode(body), RawBody(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        items, delivered, sent = _decode_leniently(body)
    page = ActivityPage([], len(items), Counter())
    for index, item in enumerate(items):
        if item is not None and isinstance(key := item.process_key, str) and len(key) <= MAX_KEY:
            process = Process(key, item, delivered, index)
            if sent is not None:
                # Only such an answer holds members that no document names.
                process.links = Links((*process.links.all, *links_in(process.sent)))
            page.processes.append(process)
        else:
            page.unreadable[_mark((sent or delivered.items)[index])] += 1
    return page


def _decode_leniently(body: bytes) -> tuple[list[Body | None], RawBody, list[Any]]:
    """The items, what is delivered of those that can be used, and all as sent."""
    found = read_json(body)
    delivered = RawBody(b"")
    delivered.items = read_items(found)
    return [None if item is None else body_of(item) for item in delivered.items], delivered, found.value


def _mark(sent: Any) -> str:
    key = canonical(sent).get("processKey")
    return key if isinstance(key, str) else repr(sent)


def decode_total(body: bytes) -> int:
    """`{"total": 1342}`: the number of processes. Raises SourceFailed."""
    total = canonical(read_json(body).value).get("total")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise SourceFailed("the provider's answer names no total")
    return total


_TAKE = re.compile(r"\btake\b", re.IGNORECASE)


class VendorError(msgspec.Struct):
    """`code`: ServiceStack's errorCode; `fields`: the parameters that its errors name, casefolded; where there are
    none, as of an exception that was thrown, `take` if its message has that word."""

    code: str | None
    fields: frozenset[str]


def decode_error(body: bytes) -> VendorError:
    """Never raises: an error answer may be anything."""
    try:
        answer = folded(read_json(body).value)
    except SourceFailed:
        answer = {}
    status = folded(answer.get("responsestatus"))
    code = status.get("errorcode")
    errors = [folded(one) for one in objects(status.get("errors"))]
    fields = frozenset(one["fieldname"].casefold() for one in errors if isinstance(one.get("fieldname"), str))
    message = status.get("message")
    if not fields and isinstance(message, str) and _TAKE.search(message):
        fields = frozenset({"take"})
    return VendorError(code if isinstance(code, str) else None, fields)


def without_links(value: Any, links: Links) -> Any:
    """A copy without members that are signing links or called `url`, and without any of `links` inside texts."""
    if isinstance(value, str):
        return links.out_of_text(value)
    if isinstance(value, Mapping):
        return {name: without_links(one, links) for name, one in value.items() if not _is_link(name)}
    if isinstance(value, list):
        return [without_links(one, links) for one in value]
    return value


@memoize
def _is_link(name: str) -> bool:
    return name.casefold() == "url" or is_secret_link(name)


def merge_processes(batches: Iterable[Iterable[Process]]) -> Iterator[Process]:
    """Each process once, with the longest log that came of it."""
    found: dict[str, Process] = {}
    for batch in batches:
        for process in batch:
            held = found.get(process.key)
            if held is None or len(process.entries) > len(held.entries):
                found[process.key] = process
    yield from found.values()
