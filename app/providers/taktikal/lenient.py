"""Taktikal's JSON where it is not what the documents show: other letter case, other members, other shapes."""

from __future__ import annotations

from typing import Any

from app.domain.errors import SourceFailed
from app.providers.http.lenient_json import MAX_KEY, LenientJson

#: Every member that the documents name, of whatever object.
_NAMES = (
    "activityDisplayName", "activityLog", "address", "attachmentReferences", "city", "createdAt", "createdBy",
    "description", "email", "fileName", "flowKey", "hasReminders", "id", "name", "phone", "postalCode", "processKey",
    "requiresAuth", "sequenceKey", "sequenceSignees", "signInOrder", "signatureLocation", "signatureType",
    "signeeKey", "signees", "signingKeys", "ssn", "status", "total", "updatedAt", "url", "userAgent",
)  # fmt: skip
_CANONICAL = {name.casefold(): name for name in _NAMES}
_KNOWN = frozenset(_NAMES)


def canonical(sent: Any) -> dict[str, Any]:
    """The members of an object under the documents' own spelling; empty for what is no object."""
    members: dict[str, Any] = sent if isinstance(sent, dict) else {}
    if _KNOWN.issuperset(members):
        return members
    return {_CANONICAL.get(name.casefold(), name): value for name, value in members.items()}


def folded(value: Any) -> dict[str, Any]:
    """The members of an object under casefolded names; empty for what is no object."""
    return {name.casefold(): member for name, member in value.items()} if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def read_items(found: LenientJson) -> list[dict[str, Any] | None]:
    """The processes of an answer, with what cannot be used of their logs emptied, so that it is counted; None where an
    item is no process. Raises SourceFailed where the answer is no array."""
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
