"""A signing process and a log entry, with the members of all shape generations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FLOW_TYPES = (
    "RenderFlow",
    "DropAndSign",
    "FillAndSign",
    "PEP",
    "Thinglysingar",
    "Compliance",
    "CompanyLookup",
)

Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Process:
    """One signing process without its log.

    The lists contain objects with the vendor's member names (camel case); `createdAt` and `updatedAt` in them are
    texts. `status` None: derived from the entries. `created` None: the tick of the first inserted entry.
    """

    key: str
    started_by: str = "test@example.com"
    flow_key: str = "3fc7848d338a"
    flow_type: str = "DropAndSign"
    file_name: str = "demo.pdf"
    signees: tuple[Members, ...] = ()
    sequence_signees: tuple[Members, ...] = ()
    attachments: tuple[Members, ...] = ()
    status: str | None = None
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry. `ticks`: `createdAt` in 100 ns since 1970. `id` None: numbered by the options.

    `members`: any further members of the vendor's shape (`signeeKey`, `userAgent`, `fileName`, ...).
    """

    process_key: str
    status: str
    ticks: int
    description: str = ""
    created_by: str = "Taktikal.Core"
    id: int | None = None
    members: Members = field(default_factory=dict)
