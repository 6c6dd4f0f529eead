"""What a provider must offer, for authors of the next one.

A provider is one module or package, `app/providers/<name>`, that exports `PROVIDER`, a `Provider`. The registry finds
it; nothing else has to be edited. `tests/contract/` runs against it through its emulator. For a vendor whose API
selects records by time, `app.providers.kit` implements all of this; `docs/guides/adding-a-provider.md` shows how.

The seam, from the outside in:

- A **source** is one configured account. It declares the parameters that it has a notion of (`filters`), and splits a
  query into **streams** (`streams`): parts of the account that are read on their own, such as one per category.
- A **reader** (`reader`) reads one stream in the gateway's order from a position on, batch by batch. Only the reader
  knows how its vendor pages. What it must guarantee is in `Batch`.
- A **record** is one audit record as the vendor sent it, with its key in the gateway's order. It becomes an `Event`
  only when it is really needed.

A source holds nothing that a page depends on: what it learns about its account (`describe`) makes later pages cheaper,
never different.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from app.domain.errors import SourceError, SourceUnauthorized
from app.domain.event import Record
from app.domain.position import Position
from app.domain.query import FILTERS, GATEWAY_FILTERS, Query
from app.providers.http.network import Network
from app.providers.observer import CircuitState, Observer

if TYPE_CHECKING:
    from app.providers.shared.redis import SharedState

__all__ = [
    "ENOUGH_BYTES",
    "Batch",
    "CallBudget",
    "CommonSettings",
    "FilterSupport",
    "Hint",
    "ProbeResult",
    "Provider",
    "ReadRequest",
    "Reader",
    "Record",
    "Source",
    "SourceHealth",
    "Total",
    "TypeMapping",
]

#: Who judges a filter: the provider, the gateway, or neither (then the filter excludes the source).
FilterSupport = Literal["native", "gateway", "not_applicable"]


def filters_of(native: Collection[str], gateway: Collection[str] = ()) -> Mapping[str, FilterSupport]:
    """`Source.filters` of a provider that judges `native`. The gateway judges `gateway`, and the others that every
    event has what it takes for; the rest is not applicable."""
    own = {"since", "until", "category", "envelope_id", *GATEWAY_FILTERS, *gateway}
    names = ("since", "until", *FILTERS)
    return {n: "native" if n in native else "gateway" if n in own else "not_applicable" for n in names}


#: Small, msgpack-able, meaningless but to the reader that made it.
Hint = list[int] | None

#: What a source that joins data of other calls to its records has to do: nothing (`none`: they are only counted); what
#: few calls yield (`shown`); or all records that it gives, because filters are judged by it (`judged`).
Join = Literal["none", "shown", "judged"]


class Batch(msgspec.Struct):
    """What one `Reader.read` found.

    `records` are in reading direction, all of them beyond the position the reader started from and inside the window,
    none of them in an earlier batch of this reader. `complete_until` is a time in µs: ascending, every record
    *before* it has now been delivered by this reader; descending, every record *at or after* it. `ended`: nothing is
    left in the window at all (`complete_until` is then ignored). A batch may be empty as long as `complete_until`
    moves or `ended` is true.

    `reason`: what the batch may lack and how to mend it; shown to the caller. `bad_records` counts those that cannot be
    read; `any_readable`: whether the reader has seen any other, also outside of the window.
    """

    records: list[Record]
    complete_until: int
    ended: bool
    bad_records: int = 0
    reason: str | None = None
    any_readable: bool = False  #: not needed where there are `records`


#: Bytes of responses after which a reader returns what it has and a page ends: they take several times the memory.
ENOUGH_BYTES = 8 * 1024 * 1024


class ReadRequest(msgspec.Struct, frozen=True):
    """What a reader is to read: everything beyond `position` (never None: a window's bound to begin with), inside
    [`since`, `until`) in µs, in the query's order. `hint` is what an earlier reader of the same stream gave."""

    query: Query
    since: int
    until: int
    position: Position
    hint: Hint = None
    join: Join = "shown"


class CallBudget(msgspec.Struct, eq=False):
    """The time that a request has at one source, and what it has used: `ProviderHttp` adds to `calls` and `bytes`,
    readers to `records`. Its identity tells requests apart while they last."""

    deadline: float = float("inf")  #: on the clock of `time.monotonic`
    calls: int = 0  #: attempts made
    bytes: int = 0  #: of all responses
    records: int = 0  #: received
    joins: int = 10  #: calls left for what is joined to records
    as_of: int | None = None  #: the provider's own now, in µs, at the earliest response; None where it sent none


class Reader(Protocol):
    """Reads one stream, in order, once. Not to be used by two tasks at a time."""

    async def read(self, want: int, max_calls: int) -> Batch:
        """The next batch: about `want` records, more or fewer as the vendor's pages fall.

        `want` is at least 1. `max_calls` (at least 1) bounds the provider's calls; a reader may go over it by the calls
        without which it would have nothing to show. Raises SourceError."""

    def hint(self, position: Position) -> Hint:
        """Something small that helps a later reader start at `position`; it need not be right."""


#: How a total relates to the truth; `gte` 0 stands for an unknown total.
Relation = Literal["eq", "gte", "estimate"]


class Total(msgspec.Struct, frozen=True):
    """A count that is cheaper than counting. `unit`: what the provider counts. `as_of`: when, in µs, set by the
    gateway."""

    value: int
    unit: str
    relation: Relation
    as_of: int | None = None


class ProbeResult(msgspec.Struct, frozen=True):
    """One line of a probe's report. `state`: `ok`, `warning` (works, but look at it), `failed` or `unknown`. `advice`:
    the setting to change, and to what."""

    topic: str
    state: Literal["ok", "warning", "failed", "unknown"]
    found: str
    advice: str | None = None

    @classmethod
    def of_failure(cls, error: SourceError, keys: str, address: str) -> ProbeResult:
        """Of an account that could not be tried at all. `keys`, `address`: the settings that may be to blame."""
        if isinstance(error, SourceUnauthorized):
            return cls("credentials", "failed", error.detail, keys)
        return cls("connection", "failed", error.detail, f"try again; if it stays so: {address}")


class SourceHealth(msgspec.Struct, frozen=True):
    """How the calls to one source fare, in this process. Times in µs since the epoch.

    `circuit`: `closed` (calls go through), `open` (none does, until `retry_at`) or `half_open` (one at a time, to see),
    so since `since`. `paused_until`: the provider asked to be left alone until then. `waiting`: calls whose turn has
    not come."""

    circuit: CircuitState
    since: int
    consecutive_failures: int = 0
    retry_at: int | None = None
    paused_until: int | None = None
    in_flight: int = 0
    waiting: int = 0


class Source(Protocol):
    """One configured account of a provider."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def settle(self) -> float:
        """Seconds for which young events are held back from followers."""

    @property
    def filters(self) -> Mapping[str, FilterSupport]:
        """Per query parameter: who judges it. A parameter that is missing here is `not_applicable`."""

    def streams(self, query: Query) -> Sequence[str]:
        """The names of the streams that can hold matches, in a fixed order; none where no value can match."""

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> Reader:
        """A reader of one stream. Does no I/O."""

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        """How many there are in [`since`, `until`) (µs) of what the provider's own filters select. `gte` 0 where the
        query has a filter that the provider does not know. Raises SourceError."""

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[Record]:
        """The records that `locator`, the provider's part of an event id, may mean. Raises SourceError."""

    async def probe(self, spent: CallBudget) -> Sequence[ProbeResult]:
        """Tries credentials and permissions, and finds out what the provider's documents leave open. Reads only.
        Failures are findings, not exceptions."""

    def describe(self) -> dict[str, Any]:
        """What is known of the account (settings in force and observations), for `GET /sources`. No secrets."""

    def health(self) -> SourceHealth | None:
        """How its calls fare now; None where it makes none. `ProviderHttp.health` knows."""

    async def aclose(self) -> None: ...


class TypeMapping(msgspec.Struct, frozen=True):
    """One row of a provider's mapping table: its own value, the gateway's type, and the category it occurs in."""

    provider_type: str
    type: str
    category: str


class Provider(msgspec.Struct, frozen=True):
    """A vendor: what the registry needs to know.

    `from_environment(env, common)` gives the source that environment variables alone configure, or None;
    `from_table(name, table, common)` the one that a `[[sources]]` table of the TOML file describes. Both raise
    ConfigurationError naming the variable or key. `variables` maps each environment variable to one line of help;
    `needed` are those without which there is no source, where not all are. `renamed` maps a variable's name of the last
    release to its current one.
    """

    name: str
    title: str
    mapping_version: str
    mapping: Sequence[TypeMapping]
    variables: Mapping[str, str]
    from_environment: Callable[[Mapping[str, str], CommonSettings], Source | None]
    from_table: Callable[[str, Mapping[str, Any], CommonSettings], Source]
    needed: Sequence[str] = ()
    renamed: Mapping[str, str] = msgspec.field(default_factory=dict)


class CommonSettings(msgspec.Struct, frozen=True):
    """Settings of the gateway that every source shares unless its own say otherwise. Seconds throughout."""

    settle: float = 30.0
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    max_answer_bytes: int = 32 * 1024 * 1024
    max_concurrency: int = 32  #: calls to one source at a time, of this process
    max_rate: float | None = None  #: calls to one source a second, of all replicas together; None: any number
    clock: Callable[[], int] | None = None  #: µs since the epoch; None: the system's
    timer: Callable[[], float] = time.monotonic  #: of circuits, pauses and budgets
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  #: waits out a pause
    observer: Observer = msgspec.field(default_factory=Observer)
    network: Network = msgspec.field(default_factory=lambda: Network(os.environ))
    shared: SharedState | None = None  #: with the other replicas; None: this process is alone
