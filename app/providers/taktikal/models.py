"""The objects of Taktikal's responses as structs. Responses in the documented spelling are decoded directly; others
(other letter case, members or shapes) are converted item by item."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.errors import SourceFailed
from app.providers.http.lenient_json import MAX_KEY, LenientJson

#: Types of documented members. Other and deeper values are decoded leniently.
_Text = str | UnsetType | None
_Scalar = str | int | float | bool | UnsetType | None


class Entry(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One entry of a process's log. UNSET: not sent; `others`: undocumented members."""

    id: _Scalar = UNSET
    flow_key: _Text = UNSET
    process_key: _Text = UNSET
    signee_key: _Text = UNSET
    status: _Text = UNSET
    description: _Text = UNSET
    user_agent: _Text = UNSET
    file_name: _Scalar = UNSET
    created_at: _Text = UNSET
    created_by: _Text = UNSET
    requires_auth: _Scalar = UNSET
    sign_in_order: _Scalar = UNSET
    signature_location: _Scalar = UNSET
    sequence_key: _Text = UNSET
    others: dict[str, Any] | UnsetType = msgspec.field(name="(others)", default=UNSET)


def content_of(entry: Entry) -> bytes:
    """Return the entry's members in a canonical form, equal for equal entries with any order of members."""
    return msgspec.json.encode(entry, order="sorted")


def contents_of(entries: Iterable[Entry]) -> Counter[bytes]:
    """Return the number of each entry, by its content."""
    return Counter(map(content_of, entries))


def shares_twins(shared: Container[bytes], entries: Iterable[Entry]) -> bool:
    """Whether entries without ids are among the `shared` contents of two items: they may be twins or one entry."""
    return any(one.id in (UNSET, None) and content_of(one) in shared for one in entries)


class Signee(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One recipient of a process."""

    process_key: _Text = UNSET
    signee_key: _Text = UNSET
    ssn: _Scalar = UNSET
    name: _Text = UNSET
    address: _Scalar = UNSET
    postal_code: _Scalar = UNSET
    city: _Scalar = UNSET
    phone: _Scalar = UNSET
    email: _Text = UNSET
    signature_type: _Text = UNSET
    has_reminders: _Scalar = UNSET
    created_at: _Text = UNSET
    created_by: _Text = UNSET
    updated_at: _Text = UNSET


class SequenceSignee(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A signee's place in a sequence of processes. `url` is a signing link."""

    sequence_key: _Text = UNSET
    signee_key: _Text = UNSET
    process_key: _Text = UNSET
    url: _Text = UNSET
    signing_keys: list[dict[str, _Scalar]] | UnsetType | None = UNSET


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A signing process as sent."""

    process_key: _Text = UNSET
    status: _Text = UNSET
    activity_display_name: _Text = UNSET
    file_name: _Text = UNSET
    activity_log: list[Entry] | None = None
    signees: list[Signee] | None = None
    sequence_signees: list[SequenceSignee] | None = None
    attachment_references: list[dict[str, _Scalar]] | None = None


#: Members of a process that are lists of objects, casefolded.
LISTS = frozenset({"activitylog", "signees", "sequencesignees", "attachmentreferences"})


def body_of(sent: dict[str, Any]) -> Body:
    """Convert a leniently decoded item to structs. Undocumented members of the process, the signees and the sequences
    are only in `raw`; those of an entry are its `others`."""
    members = canonical(sent)
    body = _filled(Body, {name: value for name, value in members.items() if name.casefold() not in LISTS})
    body.activity_log = [_entry(one) for one in objects(members.get("activityLog"))]
    body.signees = [_filled(Signee, canonical(one)) for one in objects(members.get("signees"))]
    body.sequence_signees = [_filled(SequenceSignee, canonical(one)) for one in objects(members.get("sequenceSignees"))]
    body.attachment_references = objects(members.get("attachmentReferences"))
    return body


def _entry(sent: dict[str, Any]) -> Entry:
    members = canonical(sent)
    status = members.get("status")
    if not isinstance(status, str | None):
        members = members | {"status": str(status)}
    entry = _filled(Entry, members)
    others = {name: value for name, value in members.items() if name not in _FIELDS[Entry]}
    if others:
        entry.others = others
    return entry


_Struct = TypeVar("_Struct", Entry, Signee, SequenceSignee, Body)

#: By struct, the documented names of its fields; and its text fields.
_FIELDS = {
    kind: {field.encode_name: field for field in msgspec.structs.fields(kind) if field.name != "others"}
    for kind in (Entry, Signee, SequenceSignee, Body)
}


def _filled(kind: type[_Struct], members: Mapping[str, Any]) -> _Struct:
    fields = _FIELDS[kind]
    values: dict[str, Any] = {}
    for name, value in members.items():
        if (field := fields.get(name)) is not None:
            values[field.name] = None if field.type == _Text and not isinstance(value, str) else value
    return kind(**values)


#: Every documented member of all objects.
_NAMES = (
    "activityDisplayName", "activityLog", "address", "attachmentReferences", "city", "createdAt", "createdBy",
    "description", "email", "fileName", "flowKey", "hasReminders", "id", "name", "phone", "postalCode", "processKey",
    "requiresAuth", "sequenceKey", "sequenceSignees", "signInOrder", "signatureLocation", "signatureType",
    "signeeKey", "signees", "signingKeys", "ssn", "status", "total", "updatedAt", "url", "userAgent",
)  # fmt: skip
_CANONICAL = {name.casefold(): name for name in _NAMES}
_KNOWN = frozenset(_NAMES)


def canonical(sent: Any) -> dict[str, Any]:
    """Return an object's members in the documented spelling; empty for other values."""
    members: dict[str, Any] = sent if isinstance(sent, dict) else {}
    if _KNOWN.issuperset(members):
        return members
    return {_CANONICAL.get(name.casefold(), name): value for name, value in members.items()}


def folded(value: Any) -> dict[str, Any]:
    """Return an object's members under casefolded names; empty for other values."""
    return {name.casefold(): member for name, member in value.items()} if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; empty for other values."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def read_items(found: LenientJson) -> list[dict[str, Any] | None]:
    """Return a response's processes, with unusable log entries emptied, so that they are counted; None for an item that
    is not a process. Raises SourceFailed if the response is not an array."""
    if not isinstance(found.value, list):
        raise SourceFailed("the provider's answer is not an array of signing processes")
    return [_usable(found, item) for item in found.value]


def _usable(found: LenientJson, sent: Any) -> dict[str, Any] | None:
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


PREFIX = "rcp_"
#: `person` distinguishes these digests from others of the same texts. A copy takes half as long as a new one.
_DIGEST = hashlib.blake2b(digest_size=16, person=b"audit.recipient")


@lru_cache(maxsize=4096)
def recipient_id(process_key: str, signee_key: str) -> str:
    """Return the id of a recipient, which replaces the vendor's signee key. A signing link is
    `{base}/s/{processKey}/{signeeKey}`, and the signed PDF is `/{processKey}/{signeeKey}.pdf` (vendor's pages), so
    the signee key allows signing and reading, and no caller receives it.

    `rcp_` and 32 hexadecimal digits: BLAKE2b with a digest of 16 bytes, no key and the person `audit.recipient`, of
    the process key, a NUL byte and the signee key in UTF-8. An owner of a signee key can compute the same."""
    digest = _DIGEST.copy()
    digest.update(f"{process_key}\0{signee_key}".encode(errors="surrogatepass"))
    return PREFIX + digest.hexdigest()
