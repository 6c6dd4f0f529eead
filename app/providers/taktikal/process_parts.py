"""Parts that the events of one signing process share: people, envelope and texts without secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.event import Actor, Envelope, Recipient
from app.domain.text import fold, memoize
from app.paging.event_id import IdPrefix
from app.privacy.json_values import has_json_text
from app.privacy.masking import Mask
from app.privacy.person_fields import private_leaves
from app.privacy.replacer import MASK
from app.providers.taktikal.mapping import text_of
from app.providers.taktikal.models import Entry, Signee, recipient_id
from app.providers.taktikal.wire import Process, without_secrets

_BREAK = "\n\0\n"  #: between the descriptions of a log
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def address_of(text: object) -> str | None:
    """Return an e-mail address without blanks around it; None for other text."""
    return text.strip() if isinstance(text, str) and "@" in text else None


_Keys = tuple[str | UnsetType | None, ...]  #: author, signee, flow and sequence of an entry
pack = msgspec.msgpack.Encoder().encode


class ProcessParts:
    """Shared parts of the records of one process. `prepare` creates it for the first event, because most processes of
    a response have none. Each person and each envelope is created once, and must not be changed.

    `entries`: those of the records. `has_net_times`: all times of the log have the form of `parse_net_ticks`. `hide`
    removes links and signee keys from a text; `descriptions` has some without. `ids` encodes event ids of ordinal 0,
    whose locators are `app.providers.taktikal.record.Locator` as MessagePack."""

    hide: Callable[[str], str]

    def __init__(self, source: str, process: Process) -> None:
        self.source, self.process, self.is_ready, self.has_net_times = source, process, False, False
        self.entries: list[Entry] = []

    def prepare(self) -> None:
        process = self.process
        body, entries = process.body, process.entries
        self.named: dict[_Keys, tuple[Actor, Envelope, Recipient | None]] = {}
        self._envelopes: dict[tuple[str | UnsetType | None, str | None], Envelope] = {}
        self._recipients: dict[str, Recipient] = {}
        self.hide, self.shortest = process.secrets.text, process.secrets.shortest
        self.ids = IdPrefix(self.source, pack((process.key, 0, 0))[:-2])
        self._owner = self.hidden(owner_of(entries) or process.owner)
        self._name = self.hidden(
            body.activity_display_name
            or body.file_name
            or next((one.file_name for one in entries if one.file_name and isinstance(one.file_name, str)), None)
        )
        self.descriptions = self._search_descriptions()
        self.is_ready = True

    def hidden(self, text: str | UnsetType | None) -> str | None:
        """Return the text without links and signee keys; None for an empty or missing one."""
        if not text:
            return None
        # As `Secrets.text` begins, which most texts do not need.
        return text if len(text) < self.shortest and text.isascii() else self.hide(text)

    def _search_descriptions(self) -> dict[str, str]:
        """Return the records' descriptions, searched together; empty if each must be searched separately."""
        found = [text for entry in self.entries if (text := entry.description)]
        joined = _BREAK.join(found)
        # Short keys are hidden if they are the whole text. Other letters and links: their neighbours would be changed
        # with them.
        if self.process.secrets.odd_keys or not joined.isascii() or "/" in joined:
            return {}
        shown = self.hide(joined).split(_BREAK)
        return dict(zip(found, shown, strict=True)) if len(found) == len(shown) else {}

    def name(self, keys: _Keys, entry: Entry) -> tuple[Actor, Envelope, Recipient | None]:
        """Return the author, the envelope and the recipient of entries with these `keys`, and add them to `named`."""
        actor = self._actor(entry.created_by or None, entry.signee_key or "")
        recipient = self.recipient(entry.signee_key) if entry.signee_key else None
        self.named[keys] = found = actor, self._envelope(entry), recipient
        return found

    def _actor(self, text: str | None, own: str) -> Actor:
        """`createdBy` is an e-mail address, or the name of a system (`Taktikal.Core`, `Mailgun`).

        Returns the entry's own signee (`own`) if the author has that signee's address; otherwise the only signee of the
        process with it."""
        address = address_of(text)
        if address is None:
            return Actor("system", None, self.hidden(text))
        wanted, signees = fold(address), self.process.signees
        matches = [key for key, signee in signees.items() if fold(address_of(signee.email) or "") == wanted]
        key = own if own in matches else matches[0] if len(matches) == 1 else None
        address = self.hide(address)
        if key is None:
            return Actor("user", None, None, address)
        return Actor("recipient", recipient_id(self.process.key, key), self.hidden(signees[key].name), address)

    def _envelope(self, entry: Entry) -> Envelope:
        """Return the process, with the entry's flow and sequence."""
        body = self.process.body
        sequence = entry.sequence_key or None
        if sequence is None and entry.signee_key and body.sequence_signees:
            sequence = self.process.sequence_of(entry.signee_key)
        found = self._envelopes.get((entry.flow_key, sequence))
        if found is None:
            status = self.hide(body.status.casefold()) if body.status else None
            flow, sequence_id = self.hidden(entry.flow_key), self.hidden(sequence)
            found = Envelope(self.process.key, self._name, status, self._owner, flow, None, sequence_id)
            self._envelopes[entry.flow_key, sequence] = found
        return found

    def recipient(self, key: str) -> Recipient:
        """Return the process's signee with this key."""
        found = self._recipients.get(key)
        if found is None:
            signee, hidden = self.process.signees.get(key) or _NOBODY, self.hidden
            self._recipients[key] = found = Recipient(
                recipient_id(self.process.key, key),
                hidden(signee.name),
                hidden(signee.email and signee.email.strip()),
                hidden(text_of(signee.phone)),
                hidden(text_of(signee.ssn)),
                hidden(signee.signature_type and _signature_type(signee.signature_type)),
            )
        return found

    @cached_property
    def private_values(self) -> tuple[str, ...]:
        """Return the signees' private values and those under private names in any entry, as one tuple for all
        records."""
        found = [
            str(value)
            for signee in self.process.signees.values()
            for value in (signee.ssn, signee.phone, signee.address, signee.postal_code, signee.city)
            if isinstance(value, str | int) and value != ""
        ]
        entries = self.process.entries
        has_json = has_json_text([entry.description for entry in entries])
        for entry in entries:
            if entry.others is not UNSET:
                found += private_leaves(entry.others)
            if has_json and entry.description:
                found += private_leaves(entry.description)
        # A key of another shape that contains a phone or an id could be guessed from its digest.
        keys = [key for key in self.process.secrets.odd_keys if key in self.process.signees]
        if keys:
            mask = Mask(found)
            keys = [key for key in keys if mask.identifier(key) == MASK]
        return tuple(dict.fromkeys([*found, *(recipient_id(self.process.key, key) for key in keys)]))

    @cached_property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Each once, without signing links."""
        process, body = self.process, self.process.body
        found: list[tuple[str, object]] = [("processKey", process.key)]
        found += [("fileName", body.file_name), ("activityDisplayName", body.activity_display_name)]
        found += [("fileName", entry.file_name) for entry in process.entries]
        names = ("name", "email", "phone", "ssn")
        found += [(name, getattr(signee, name)) for signee in process.signees.values() for name in names]
        texts = ((name, text) for name, value in found if (text := text_of(value)))
        return tuple(dict.fromkeys((name, process.secrets.text(text)) for name, text in texts))

    @cached_property
    def person_values(self) -> tuple[str, ...]:
        """Each once."""
        found = [text for signee in self.process.signees.values() for text in (signee.name, signee.email) if text]
        found += (entry.created_by for entry in self.process.entries if entry.created_by and "@" in entry.created_by)
        if self.process.owner:
            found.append(self.process.owner)
        return tuple(dict.fromkeys(found))

    @cached_property
    def raw_process(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = without_secrets(self.process.sent_without_lists(), self.process.secrets)
        return cleaned

    @cached_property
    def raw_signees(self) -> dict[str, Any]:
        return {
            key: without_secrets(self.process.sent_signee(key), self.process.secrets)
            for key in self.process.signees
            if key
        }


def owner_of(entries: Iterable[Entry]) -> str | None:
    """Return who started the process: `createdBy` of its `Created` entry; None for a log without that entry."""
    for entry in entries:
        if entry.status and entry.status.casefold() == "created":
            return address_of(entry.created_by)
    return None


@memoize
def _signature_type(sent: str) -> str:
    return _HUMP.sub("_", sent).lower()


_NOBODY = Signee()
