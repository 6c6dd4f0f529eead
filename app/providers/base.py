"""Interfaces of a provider.

A provider is one module or package, `app/providers/<name>`, that exports `PROVIDER`, a `Provider`. The registry finds
it; nothing else has to be edited. `tests/contract/` runs against it through its emulator. For a vendor whose API
selects records by time, `app.providers.kit` implements all of this; `docs/guides/adding-a-provider.md` shows how.

The interfaces, from the outside in:

- A **source** is one configured account. It declares its parameters (`filters`), and splits a query into **streams**
  (`streams`): separately read parts of the account, such as one per category.
- A **reader** (`reader`) reads one stream in the gateway's order from a position on, in batches. It encapsulates the
  vendor's paging. `Batch` defines its guarantees.
- A **record** is one audit record as the vendor sent it, with its key in the gateway's order. It becomes an `Event`
  only when needed.

Pages do not depend on a source's state: observations of its account (`describe`) make later pages cheaper, never
different.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from app.domain.errors import SourceError, SourceUnauthorized
from app.domain.event import Record as Record
from app.domain.event import Time, described
from app.domain.position import Position
from app.domain.query import FILTERS, GATEWAY_FILTERS, Query
from app.providers.http.network import Network
from app.providers.observer import Observer

if TYPE_CHECKING:
    from app.providers.shared import SharedState

#: Who applies a filter: the provider, the gateway, or neither (then the filter excludes the source).
FilterSupport = Literal["native", "gateway", "not_applicable"]


def filters_of(native: Collection[str], gateway: Collection[str] = ()) -> Mapping[str, FilterSupport]:
    """Return `Source.filters` of a provider that applies `native`. The gateway applies `gateway`, and filters on fields
    of every event; all others are not applicable."""
    own = {"since", "until", "category", "envelope_id", *GATEWAY_FILTERS, *gateway}
    names = ("since", "until", *FILTERS)
    return {n: "native" if n in native else "gateway" if n in own else "not_applicable" for n in names}


#: Small, serializable by msgpack, opaque to everything but its reader.
Hint = list[int] | None

#: Extent of a source's joins with data of other calls: none, for counts (`none`); as far as few calls suffice
#: (`shown`); or for all records, because filters depend on them (`judged`).
Join = Literal["none", "shown", "judged"]


class Batch(msgspec.Struct):
    """Result of one `Reader.read`.

    `records` are in reading direction, all of them beyond the position the reader started from and inside the window,
    none of them in an earlier batch of this reader. `complete_until` is a time in µs: ascending, every record
    *before* it has now been delivered by this reader; descending, every record *at or after* it. `ended`: no
    records are left in the window (`complete_until` is then ignored). A batch may be empty as long as `complete_until`
    moves or `ended` is true.

    `reason`, for the caller: possible gaps of the batch and their remedy. `bad_records`: number of unreadable
    records by any text that is the same in each read, so that a walk counts each once; they may be those of earlier
    batches, too. `any_readable`: whether the reader has seen any other, also outside the window. `unproven`: whether
    responses contradict each other, or calls that would show that nothing is left out failed, which makes a count an
    estimate and an export incomplete. `assumes`: whether nothing is left out only if an assumption on the account is
    right, which makes a count an estimate.
    """

    records: list[Record]
    complete_until: int
    ended: bool
    bad_records: Counter[str] = msgspec.field(default_factory=Counter)
    reason: str | None = None
    any_readable: bool = False  #: not needed with `records`
    unproven: bool = False
    assumes: bool = False


#: Bytes of responses after which a reader returns and a page ends, because they take several times the memory.
ENOUGH_BYTES = 8 * 1024 * 1024


class ReadRequest(msgspec.Struct, frozen=True):
    """Range of a reader: everything after `position` (never None; initially a window's bound), inside [`since`,
    `until`) in µs, in the query's order. `hint` is from an earlier reader of the same stream."""

    query: Query
    since: int
    until: int
    position: Position
    hint: Hint = None
    join: Join = "shown"


class CallBudget(msgspec.Struct, eq=False):
    """A request's time and usage at one source: `ProviderHttp` adds to `calls` and `bytes`, readers to `records`. Its
    identity distinguishes concurrent requests."""

    deadline: float = float("inf")  #: on the clock of `time.monotonic`
    calls: int = 0  #: attempts made
    bytes: int = 0  #: of all responses
    records: int = 0  #: received
    joins: int = 10  #: calls left for joins
    as_of: int | None = None  #: the provider's clock, in µs, at the earliest response; None if it sent none
    role: Literal["needed", "hint", "proof"] = "needed"  #: of these calls: see `OptionalCalls`

    def add(self, other: CallBudget) -> None:
        """Add the usage of a part of the request."""
        self.calls += other.calls
        self.bytes += other.bytes
        self.records += other.records
        self.as_of = min((date for date in (self.as_of, other.as_of) if date is not None), default=None)


class Reader(Protocol):
    """Read one stream, in order, once. Not for concurrent tasks."""

    async def read(self, want: int, max_calls: int) -> Batch:
        """Return the next batch: about `want` records (at least 1), depending on the vendor's pages.

        `max_calls` (at least 1) bounds the provider's calls; a reader may exceed it by the calls without which it
        could return no record. Raises SourceError."""

    def hint(self, position: Position) -> Hint:
        """Return a small hint for a later reader at `position`; it need not be right."""


#: Whether a total is exact; `gte` 0 is an unknown total.
Relation = Literal["eq", "gte", "estimate"]


class Total(msgspec.Struct, frozen=True):
    """A provider's total. `unit`: the counted objects. `as_of`: time in µs, set by the gateway."""

    value: int
    unit: str
    relation: Relation
    as_of: int | None = None


class ProbeResult(msgspec.Struct, frozen=True):
    """One line of a probe's report. `state`: `ok`, `warning` (works, needs attention), `failed` or `unknown`. `advice`:
    the setting to change, and to what."""

    topic: str
    state: Literal["ok", "warning", "failed", "unknown"]
    found: str
    advice: str | None = None

    @classmethod
    def of_failure(cls, error: SourceError, keys: str, address: str) -> ProbeResult:
        """Return the result for an account that could not be probed. `keys`, `address`: the settings to check."""
        if error.code == SourceUnauthorized.code:
            return cls("credentials", "failed", error.detail, keys)
        return cls("connection", "failed", error.detail, f"try again; if it stays so: {address}")


class SourceHealth(msgspec.Struct, frozen=True):
    """State of the calls to a source, in this process of the gateway."""

    circuit: Annotated[
        str,
        described(
            "`closed` (calls pass), `open` (no calls until `retry_at`) or `half_open` (one trial call at a time).",
            *("closed", "open", "half_open"),
        ),
    ]
    since: Annotated[Time, described("When the circuit entered this state.")]
    consecutive_failures: Annotated[int, described("Failed calls since the last successful one.")]
    retry_at: Annotated[Time | None, described("While the circuit is open: time of the next call.")]
    paused_until: Annotated[Time | None, described("End of a pause that the provider demanded.")]
    in_flight: Annotated[int, described("Running calls.")]
    waiting: Annotated[int, described("Queued calls.")]


class Source(Protocol):
    """One configured account of a provider."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def settle(self) -> float:
        """Seconds by which young events are delayed for followers."""

    @property
    def filters(self) -> Mapping[str, FilterSupport]:
        """By query parameter: who applies it. A missing parameter is `not_applicable`."""

    def streams(self, query: Query) -> Sequence[str]:
        """Return the names of the streams that can contain matches, in a fixed order; empty if no value can match."""

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> Reader:
        """Return a reader of one stream. Does no I/O."""

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        """Return the number of matches in [`since`, `until`) (µs) by the provider's own filters. `gte` 0 if the query
        has a filter that the provider does not apply. Raises SourceError."""

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[Record]:
        """Return the records that match `locator`, the provider's part of an event id. Raises SourceError."""

    async def probe(self, spent: CallBudget) -> Sequence[ProbeResult]:
        """Check credentials and permissions, and measure what the provider's documents leave open. Read-only. Failures
        are results, not exceptions."""

    def describe(self) -> dict[str, Any]:
        """Return the account's settings and observations for `GET /sources`, without secrets."""

    def health(self) -> SourceHealth | None:
        """Return the state of its calls (`ProviderHttp.health`), or None if it makes none."""

    async def aclose(self) -> None: ...


class TypeMapping(msgspec.Struct, frozen=True):
    """One row of a provider's mapping table: its own value, the gateway's type, and the category it occurs in."""

    provider_type: str
    type: str
    category: str


class Provider(msgspec.Struct, frozen=True):
    """A vendor, for the registry.

    `from_environment(env, common)` returns the source of the environment variables, or None;
    `from_table(name, table, common)` that of a `[[sources]]` table of the TOML file. Both raise ConfigurationError with
    the variable or key. `variables` maps each environment variable to one line of help; `needed` are the required
    ones, if not all are. `renamed` maps a variable's name in the last release to its current one.
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
    """Settings of the gateway for all sources, unless a source overrides them. All times in seconds."""

    settle: float = 30.0
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    max_answer_bytes: int = 32 * 1024 * 1024
    max_concurrency: int = 32  #: concurrent calls to one source, in this process
    max_rate: float | None = None  #: calls to one source a second, of all replicas together; None: any number
    clock: Callable[[], int] | None = None  #: µs since the epoch; None: the system's
    timer: Callable[[], float] = time.monotonic  #: of circuits, pauses and budgets
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  #: waits for the end of a pause, and before a retry
    observer: Observer = msgspec.field(default_factory=Observer)
    network: Network = msgspec.field(default_factory=lambda: Network(os.environ))
    shared: SharedState | None = None  #: of the replicas; None: not shared
