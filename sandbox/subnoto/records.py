"""One record, and the log of one category."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .record_index import Shelf
from .workflows import SYSTEM


@dataclass(frozen=True, slots=True)
class Record:
    """One log record with everything any shape generation shows of it. `timestamp` in milliseconds."""

    category: str
    event_type: str
    timestamp: int
    event_data: Mapping[str, Any] = field(default_factory=dict)
    author: Mapping[str, Any] = field(default_factory=lambda: SYSTEM)
    envelope_uuid: str | None = None
    workspace_uuid: str | None = None


class Log:
    """One category: parallel arrays by sequence number (the vendor's hidden `id`), and shelves over them."""

    def __init__(self) -> None:
        self.codes = array("q")  # a generated record's schedule code, or -1 - position among the appended
        self.timestamps = array("q")
        self.all = Shelf(self.timestamps.__getitem__)
        self.filtered: dict[tuple[object, ...], Shelf] = {}
        self.by_envelope: dict[object, list[int]] = {}
        self.indexed = 0
        self.forgotten = 0
