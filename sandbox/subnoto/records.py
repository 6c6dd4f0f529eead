"""One record, and what queries look at of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .workflows import SYSTEM


@dataclass(frozen=True, slots=True)
class Record:
    """One log record with the members of all shape generations. `timestamp` in milliseconds."""

    category: str
    event_type: str
    timestamp: int
    event_data: Mapping[str, Any] = field(default_factory=dict)
    author: Mapping[str, Any] = field(default_factory=lambda: SYSTEM)
    envelope_uuid: str | None = None
    workspace_uuid: str | None = None


class Row(NamedTuple):
    """One record in the log of a category. `sequence`: the vendor's hidden `id`. `envelope`: its UUID in lower case.
    `code`: a generated record's schedule code, or -1 - its place among the inserted ones."""

    timestamp: int
    sequence: int
    event_type: str
    envelope: str
    workspace: str | None
    code: int
