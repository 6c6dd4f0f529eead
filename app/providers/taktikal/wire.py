"""Taktikal's wire format.

The server is ServiceStack: null members are omitted, names may have another letter case, errors are
`{"responseStatus": {...}}`. The older generation's entry has no `id`, its wrapper no `status` and no `fileName`.

Responses in the documented spelling are decoded directly into the structs of `app.providers.taktikal.models`. Others
(undocumented members, another letter case or shape) are parsed as JSON and converted item by item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET

from app.domain.text import memoize
from app.privacy.json_values import any_object
from app.privacy.links import ALL_LINKS, PERSONAL_AND_URLS, KeyShape, Secrets, has_links, links_in, without_links
from app.privacy.replacer import MASK, Span
from app.privacy.spelling import letters_of, places_of_letters
from app.providers.http.lenient_json import MAX_KEY, read_json
from app.providers.taktikal.models import (
    LISTS,
    Body,
    Entry,
    Signee,
    body_of,
    canonical,
    content_of,
    contents_of,
    objects,
    read_items,
    recipient_id,
    shares_twins,
)

_DECODER = msgspec.json.Decoder(list[Body])
#: The letters of a signee key, and of the process key and the slash before it in a link (the vendor's examples).
_LINKED_KEY = re.compile(r"(?:(sp[0-9a-f]{32})(?:2f)?)?(si[0-9a-f]{32})")
#: A key of another shape, which no list names: after the process key in a link, or after its name in a text.
_NAMED_KEY = re.compile(
    r"(?:(sp[0-9a-f]{32})/|signee[\W_]?key[\"']?\s*[:=]\s*[\"']?)(?!rcp_[0-9a-f]{32})([\w-]{3,})", re.IGNORECASE
)


def _linked_keys(plain: str) -> list[Span]:
    """Return the places of signee keys in a text of plain spelling: the recipient id where the text has the process
    key, too, else `***`. Whether another response lists the key must make no difference to the event."""
    letters = letters_of(plain)
    keys = list(_LINKED_KEY.finditer(letters))
    places = places_of_letters(plain) if keys else []
    found = [
        Span(places[key.start(2)], places[key.end(2) - 1] + 1, recipient_id(key[1], key[2]) if key[1] else MASK)
        for key in keys
    ]
    if "/" in plain or letters.count("signeekey") > letters.count("signeekeysi") + letters.count("signeekeyrcp"):
        named = _NAMED_KEY.finditer(plain)
        found += [Span(*key.span(2), recipient_id(key[1], key[2]) if key[1] else MASK) for key in named]
    return found


# Most descriptions have the process key, but neither a link nor the words `signee key`.
_QUICK = "si(?:[0-9a-f]{32}|gneekey(?!rcp)[0-9a-z])"
_KEY_SHAPE = KeyShape(
    "si[0-9a-f]{32}", _linked_keys, length=34, quick=_QUICK, linked=f"{_QUICK}|sp[0-9a-f]{{32}}[0-9a-z]"
)


class RawBody:
    """A response's items as delivered JSON, parsed only for `raw`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def items(self) -> list[Any]:
        items: list[Any] = msgspec.json.decode(self._body)
        return items


class Process:
    """One signing process: its own members (`body`), its log (`entries`) and its signees. `repaired`: the response
    was parsed leniently, so it may contain undocumented members. `is_ambiguous`: its items share entries without ids,
    which may be twins or one entry. `owner`: the user who started it, if the provider's `User` filter selected it.

    Signees and secrets are computed on first use, because most processes of a response have no event to return."""

    __slots__ = ("_delivered", "_index", "_others", "_secrets", "_sent_entries", "_signees", "body", "entries",
                 "is_ambiguous", "key", "owner", "repaired")  # fmt: skip

    def __init__(self, key: str, body: Body, delivered: RawBody, index: int, repaired: bool = False) -> None:
        self.key, self.body, self.repaired = key, body, repaired
        self.owner: str | None = None
        self.is_ambiguous = False
        self._delivered, self._index = delivered, index
        self._others: tuple[Process, ...] = ()
        self._sent_entries: list[dict[str, Any]] | None = None
        self._signees: dict[str, Signee] | None = None
        self._secrets: Secrets | None = None
        self.entries: list[Entry] = body.activity_log or []

    @property
    def signees(self) -> dict[str, Signee]:
        """Return the signees by key; of several with one key, the last."""
        if self._signees is None:
            self._signees = {key: signee for other in self._others for key, signee in other.signees.items()} | {
                signee.signee_key: signee
                for signee in self.body.signees or ()
                if signee.signee_key is not None and signee.signee_key is not UNSET
            }
        return self._signees

    @property
    def secrets(self) -> Secrets:
        """Return signing links, and signee keys with their replacing recipient ids, which are removed everywhere."""
        if self._secrets is None:
            ids: dict[str, str] = {}
            links: list[str] = []
            for item in (*self._others, self):
                ids |= item._recipient_ids()
                links += item._own_links()
            self._secrets = Secrets(links, ids, _KEY_SHAPE)
        return self._secrets

    def _own_links(self) -> list[str]:
        links: list[str] = []
        for one in self.body.sequence_signees or ():
            links += links_in(one.url)
            if has_links(one.signing_keys):
                without_links(one.signing_keys, ALL_LINKS, links)
        if self.body.attachment_references:
            without_links(self.body.attachment_references, ALL_LINKS, links)
        if self.repaired:
            without_links(self.sent, PERSONAL_AND_URLS, links)
        return links

    def _recipient_ids(self) -> dict[str, str]:
        """Return the recipient id of each signee key in the process."""
        body, own = self.body, self.key
        keys = dict.fromkeys([*self.signees, *[key for entry in self.entries if (key := entry.signee_key)]], own)
        pairs: list[tuple[str, str]] = []
        for one in body.sequence_signees or ():
            pairs.append((one.process_key or own, one.signee_key or ""))
            pairs += _signee_keys(one.signing_keys, one.process_key or own)
        pairs += _signee_keys(body.attachment_references, own)
        if self.repaired:
            pairs += _signee_keys(self.sent, own)
        if pairs:
            # A key of this process has this process's id, also if a sequence lists it with another process.
            others = {key: process for process, key in pairs if process != own}
            keys = others | {key: own for process, key in pairs if process == own} | keys
        return {key: recipient_id(process, key) for key, process in keys.items() if key}

    def sequence_of(self, signee: str) -> str | None:
        """Return the key of a signee's sequence."""
        sequences = self.body.sequence_signees or ()
        return next((one.sequence_key for one in sequences if one.signee_key == signee and one.sequence_key), None)

    @property
    def sent(self) -> dict[str, Any]:
        """Return the process as delivered."""
        sent: dict[str, Any] = self._delivered.items[self._index]
        return sent

    @property
    def sent_entries(self) -> list[dict[str, Any]]:
        """Return the entries as delivered, in the order of `entries`."""
        if self._sent_entries is None:
            self._sent_entries = objects(_member(self.sent, "activitylog"))
        return self._sent_entries

    def sent_signee(self, key: object) -> dict[str, Any] | None:
        """Return a signee as delivered; of several with one key, the last."""
        items = (self, *reversed(self._others))
        signees = (one for item in items for one in reversed(objects(_member(item.sent, "signees"))))
        return next((one for one in signees if _member(one, "signeekey") == key), None) if key else None

    def sent_without_lists(self) -> dict[str, Any]:
        """Return the process's own members as delivered."""
        return {name: value for name, value in self.sent.items() if name.casefold() not in LISTS}

    def united_with(self, other: Process, halves: bool = False) -> Process:
        """Return the process with the entries and signees of both items. An entry in both is one; two in either item
        are twins, and stay two. `halves`: the items are of one response, so that twins without ids may be the last of
        one and the first of the other. Only equal items of several times show that these are an entry in both, because
        two parts of a log are not of the same times."""
        mine, theirs = contents_of(self.entries), contents_of(other.entries)
        shared, is_same = mine & theirs, mine == theirs and len({one.created_at for one in other.entries}) > 1
        if halves and len(shared) == 1 and min(len(self.entries), len(other.entries)) > 1:
            (content,) = shared
            last, first = self.entries[-1], other.entries[0]
            if last.id in (UNSET, None) and content == content_of(last) == content_of(first):
                del mine[content]
        added = []
        for pair in zip(other.entries, other.sent_entries, strict=True):
            content = content_of(pair[0])
            if mine[content] > 0:
                mine[content] -= 1
            else:
                added.append(pair)
        found = Process(self.key, self.body, self._delivered, self._index, self.repaired)
        found.is_ambiguous = self.is_ambiguous or other.is_ambiguous
        if halves and not is_same:
            found.is_ambiguous |= shares_twins(shared, other.entries)
        found._others = (*self._others, *other._others, other)
        found.entries = [*self.entries, *(entry for entry, _ in added)]
        found._sent_entries = [*self.sent_entries, *(sent for _, sent in added)]
        return found


def _member(sent: Mapping[str, Any], folded_name: str) -> Any:
    return next((value for name, value in sent.items() if name.casefold() == folded_name), None)


def _signee_keys(value: Any, process: str) -> list[tuple[str, str]]:
    """Return (process key, signee key) of each member `signeeKey` at any depth."""
    return list(_find_signee_keys(value, process)) if any_object(value, _has_signee_key) else []


@memoize
def _has_signee_key(names: tuple[str, ...]) -> bool:
    return "signeekey" in map(str.casefold, names)


def _find_signee_keys(value: Any, process: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        own = _member(value, "processkey")
        process = own if isinstance(own, str) and own else process
        for name, item in value.items():
            if isinstance(item, str | int):
                if name.casefold() == "signeekey":
                    yield process, str(item)
            elif not isinstance(item, float | None):
                yield from _find_signee_keys(item, process)
    elif isinstance(value, list):
        for item in value:
            yield from _find_signee_keys(item, process)


class ActivityPage(msgspec.Struct):
    """One response of `signing/activity`. `unreadable`: number of each item that is not a process, by its key, else its
    text. `length`: its processes, each once, and its unreadable items; `items`: of the array; `split`: the key of a
    process with several items; `parts`: each item as a process. `size`: bytes of its body. `null`: a null response,
    which means no process if the total is 0, too. `date`: its `Date` in µs."""

    processes: list[Process]
    unreadable: Counter[str]
    length: int = 0
    items: int = 0
    split: str | None = None
    parts: Sequence[Process] = ()
    size: int = 0
    null: bool = False
    date: int | None = None

    @property
    def largest(self) -> int:
        """Return the approximate bytes of its largest process, by the share of its entries and signees."""
        weights = [len(one.entries) + len(one.body.signees or ()) + 1 for one in self.processes]
        return self.size * max(weights) // sum(weights) if weights else self.size


def decode_activity(body: bytes) -> ActivityPage:
    """Return the response's processes, with several items of one process united. An empty body and `null`,
    ServiceStack's null response, contain none. Raises SourceFailed for other JSON than an array."""
    if body.strip() in (b"", b"null"):
        return ActivityPage([], Counter(), null=True)
    items: Sequence[Body | None]
    sent: list[Any] | None = None
    try:
        items, delivered = _DECODER.decode(body), RawBody(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        items, delivered, sent = _decode_leniently(body)
    processes, unreadable = [], Counter[str]()
    for index, item in enumerate(items):
        if item is not None and isinstance(key := item.process_key, str) and len(key) <= MAX_KEY:
            processes.append(Process(key, item, delivered, index, sent is not None))
        else:
            unreadable[_mark((sent or delivered.items)[index])] += 1
    split, parts = None, processes
    if len({process.key for process in processes}) < len(processes):
        ((split, _),) = Counter(process.key for process in processes).most_common(1)
        processes = list(merge_processes([processes], halves=True))
    return ActivityPage(processes, unreadable, len(processes) + unreadable.total(), len(items), split, parts, len(body))


def _decode_leniently(body: bytes) -> tuple[list[Body | None], RawBody, list[Any]]:
    """Return the items, the delivered form of the usable ones, and all as sent."""
    found = read_json(body)
    delivered = RawBody(b"")
    delivered.items = read_items(found)
    return [None if item is None else body_of(item) for item in delivered.items], delivered, found.value


def _mark(sent: Any) -> str:
    key = canonical(sent).get("processKey")
    return key if isinstance(key, str) else repr(sent)


def without_secrets(value: Any, secrets: Secrets) -> Any:
    """Return a copy of a part of a process without its links and signee keys."""
    return secrets.value(without_links(value, PERSONAL_AND_URLS))


def merge_processes(batches: Iterable[Iterable[Process]], halves: bool = False) -> Iterator[Process]:
    """Yield each process once, with all entries of all responses. `halves`: all are of one response."""
    found: dict[str, Process] = {}
    for batch in batches:
        for process in batch:
            held = found.get(process.key)
            found[process.key] = process if held is None else held.united_with(process, halves)
    yield from found.values()
