"""The body of `/public/logs/list`: its schema by the vendor's OpenAPI, and the vendor's error shape.

Source: the SDK's `generated/models/post_public_logs_list_*` (2.16.1) and the notes in `providers/subnoto.md`.
"""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from .event_types import CATEGORIES, EXTRA_CATEGORIES, event_types
from .options import EmulatorOptions

LARGEST_LIMIT = 50


class VendorError(Exception):
    """An error answer. `refused`: the documents alone say that this request is refused."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: list[dict[str, Any]] | None = None,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.refused = refused

    def body(self, *, request_id: str, timestamp: str, path: str) -> dict[str, Any]:
        """The vendor's error object."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "suggestion": "Check the request against the API reference.",
            "documentationUrl": f"https://subnoto.example.com/documentation/errors#{self.code.lower()}",
        }
        if self.details is not None:
            error["details"] = self.details
        return {
            "statusCode": self.status,
            "error": error,
            "requestId": request_id,
            "timestamp": timestamp,
            "path": path,
        }


@dataclass(frozen=True, slots=True)
class ListBody:
    """A valid body, defaults filled in."""

    category: str
    workspace: str | None
    envelope: str | None
    event_types: frozenset[str]
    page: int
    limit: int
    sort_by: str
    descending: bool


def parse_list_body(body: Any, options: EmulatorOptions) -> ListBody:
    """Read a body. Raises VendorError INVALID_REQUEST_FORMAT with one detail per fault found."""
    if not isinstance(body, dict):
        raise invalid([("", "Expected object")])
    faults: list[tuple[str, str]] = []
    category = body.get("category")
    if category not in CATEGORIES + EXTRA_CATEGORIES:
        faults.append(("category", f"Expected one of {', '.join(CATEGORIES + EXTRA_CATEGORIES)}"))
    for name in ("workspaceUuid", "envelopeUuid"):
        if name not in body:
            continue
        if category == "team":
            faults.append((name, "Only allowed for the envelope category"))
        elif not _is_uuid(body[name]):
            faults.append((name, "Expected a UUID of 36 characters"))
    faults += _faults_of_types(body.get("eventTypes", []), category, options)
    for name, largest in (("page", None), ("limit", LARGEST_LIMIT)):
        value = body.get(name, 1)
        if type(value) is not int or value < 1:
            faults.append((name, "Expected an integer of at least 1"))
        elif largest is not None and value > largest:
            faults.append((name, f"Expected an integer of at most {largest}"))
    for name, values in (("sortBy", ("timestamp", "id")), ("sortOrder", ("asc", "desc"))):
        if body.get(name, values[0]) not in values:
            faults.append((name, f"Expected one of {', '.join(values)}"))
    if faults:
        raise invalid(faults)
    return ListBody(
        category=cast(str, category),
        workspace=body.get("workspaceUuid"),
        envelope=body.get("envelopeUuid"),
        event_types=frozenset(body.get("eventTypes", [])),
        page=body.get("page", 1),
        limit=body.get("limit", LARGEST_LIMIT),
        sort_by=body.get("sortBy", "timestamp"),
        descending=body.get("sortOrder", "desc") == "desc",
    )


def invalid(faults: list[tuple[str, str]]) -> VendorError:
    """INVALID_REQUEST_FORMAT naming each field at fault."""
    details = [{"path": [path] if path else [], "message": message} for path, message in faults]
    return VendorError(400, "INVALID_REQUEST_FORMAT", "The request is not valid", details, refused=True)


def _faults_of_types(value: Any, category: Any, options: EmulatorOptions) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        return [("eventTypes", "Expected an array")]
    allowed = event_types(category, options.newer_types) if category in CATEGORIES else ()
    return [("eventTypes", f"{name!r} is no event type of this category") for name in value if name not in allowed]


def _is_uuid(value: Any) -> bool:
    if not isinstance(value, str) or len(value) != 36:
        return False
    try:
        UUID(value)
    except ValueError:
        return False
    return True
