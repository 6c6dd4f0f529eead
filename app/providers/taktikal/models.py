"""The objects of Taktikal's answers as structs, into which an answer that is spelled as the documents spell it is
decoded straight, and any other is filled item by item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from app.providers.taktikal.lenient import canonical, objects

#: What a member of the documents may hold. Anything else, and anything deeper, takes the lenient way.
_Text = str | UnsetType | None
_Scalar = str | int | float | bool | UnsetType | None


class Entry(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One entry of a process's log. UNSET is what was not sent; `others` are members that no document names."""

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


#: Members of a process that are lists of others, casefolded.
LISTS = frozenset({"activitylog", "signees", "sequencesignees", "attachmentreferences"})


def body_of(sent: dict[str, Any]) -> Body:
    """An item that was read leniently, in the structs that the quick way makes. Members of the process, the signees
    and the sequences that no document names are left to `raw`; those of an entry are its `others`."""
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

#: Per struct, the documents' names of its fields; and which of them hold nothing but text.
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
