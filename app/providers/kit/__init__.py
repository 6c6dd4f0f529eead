"""Base class of a provider whose API selects records by time, in time order, and gives each record an id.

Subclass `TimeRangeSource`, implement `headers`, `fetch`, `row` and `normalize`, and pass the class to `make_provider`.
This module does the rest: order, ties, positions, event ids, totals, the probe, filters, `data`, private values,
removal of signing links, unreadable records and the provider's own clock. `docs/guides/adding-a-provider.md` shows one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from zlib import crc32

import msgspec

from app.domain.errors import SourceError, SourceFailed
from app.domain.query import GATEWAY_FILTERS, OWN_FILTERS, Query, covers, matches_type, may_hold
from app.domain.times import DAY, now_micros, parse_rfc3339, parse_vendor_ticks
from app.providers.base import (
    CallBudget,
    CommonSettings,
    FilterSupport,
    ProbeResult,
    Provider,
    ReadRequest,
    Record,
    SourceHealth,
    Total,
    TypeMapping,
    filters_of,
)
from app.providers.http.client import ProviderHttp, error_for
from app.providers.http.concurrency import gather_all
from app.providers.http.lenient_json import MAX_KEY, is_usable, read_json
from app.providers.kit.records import (
    FetchedPage,
    Locator,
    PageRequest,
    Row,
    TimeRangeReader,
    TimeRangeRecord,
)
from app.providers.settings import SourceSettings, configured_provider

__all__ = ["FetchedPage", "PageRequest", "Row", "TimeRangeSource", "make_provider"]

EARLIEST = parse_rfc3339("2000-01-01")  #: µs; earlier times are invalid
_PROBED = 30 * DAY


class TimeRangeSource(ABC):
    """One account. A subclass sets the class attributes and implements the four abstract methods.

    `types`: by category, the gateway's type for each of the provider's. `native`: the filters that `fetch` passes to
    the provider. `newest_first_only`: the provider has no other order, so `fetch` gets no ascending request."""

    provider: ClassVar[str]
    types: ClassVar[Mapping[str, Mapping[str, str]]]
    native: ClassVar[frozenset[str]] = frozenset({"since", "until", "envelope_id"})
    newest_first_only: ClassVar[bool] = False

    def __init__(self, name: str, settings: Any, common: CommonSettings) -> None:
        common = settings.over(common)
        self.name, self.settle = name, common.settle
        self._clock = common.clock or now_micros
        self._http = ProviderHttp(settings.base_url, common, name=name, headers=self.headers(settings))

    @abstractmethod
    def headers(self, settings: Any) -> dict[str, str]:
        """Return the headers of every call: the credentials."""

    @abstractmethod
    async def fetch(self, request: PageRequest) -> FetchedPage:
        """Return one page in time order; the caller drops records outside the times. Raises SourceError."""

    @abstractmethod
    def row(self, item: Any) -> Row:
        """Return the identity of a record. Raises ValueError, TypeError or LookupError for an unreadable one."""

    @abstractmethod
    def normalize(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event's fields from the body: actor, envelope, recipient, description, ... All other members
        become `data`."""

    async def get(self, path: str, budget: CallBudget, params: Mapping[str, str]) -> Any:
        """Return the JSON of a successful call. Raises SourceError for other statuses and invalid JSON."""
        response = await self._http.call("GET", path, budget, params=params)
        if not response.ok:
            raise error_for(response)
        return read_json(response.body).value

    def records(
        self, category: str, items: Iterable[Any], ascending: bool
    ) -> tuple[list[TimeRangeRecord], Counter[str]]:
        """Return the readable records, and others by a digest. Raises SourceFailed if they are not in time order."""
        found: list[TimeRangeRecord] = []
        unreadable, latest = Counter[str](), self._clock() + DAY
        for item in items:
            try:
                row = self.row(item)
                time = parse_vendor_ticks(row.time) // 10
                identified = row.id is None or 0 < len(row.id) <= MAX_KEY
                usable = identified and max(len(row.envelope), len(row.type)) <= MAX_KEY and is_usable(item)
            except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
                usable = False
            if usable and EARLIEST <= time <= latest:
                found.append(TimeRangeRecord(self, category, row, time, item))
            else:
                unreadable[f"{crc32(repr(item).encode(errors='surrogatepass')):x}"] += 1
        times = [record.key[0] for record in found]
        if times != sorted(times, reverse=not ascending):
            raise SourceFailed("the provider's response is not in the requested order of time")
        return found, unreadable

    @property
    def filters(self) -> Mapping[str, FilterSupport]:
        return filters_of(self.native)

    def streams(self, query: Query) -> Sequence[str]:
        found: list[str] = []
        for category, types in self.types.items():
            if may_hold(query, category, types.values()) and self._types_of(query, category) != []:
                envelopes = query.envelope_id if "envelope_id" in self.native else ()
                found += [f"{category}/{envelope}" for envelope in envelopes] or [category]
        return found

    def request(self, stream: str, query: Query, since: int, until: int, spent: CallBudget) -> PageRequest:
        """Return the request for the first page of a stream."""
        category, _, envelope = stream.partition("/")
        types = self._types_of(query, category)
        up = query.ascending and not self.newest_first_only
        return PageRequest(category, since, until, up, None, envelope or None, types, query, spent)

    def _types_of(self, query: Query, category: str) -> list[str] | None:
        known = self.types[category]
        if query.provider_type:
            return [one for one in query.provider_type if matches_type(query, known.get(one, "unknown"), one)]
        if query.type and not any(covers(pattern, "unknown") for pattern in query.type):
            return [one for one, type_ in known.items() if matches_type(query, type_, one)]
        return None

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> TimeRangeReader:
        return TimeRangeReader(self, span, self.request(stream, span.query, span.since, span.until, spent))

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        judged = {*GATEWAY_FILTERS, *OWN_FILTERS, "envelope_id"} - self.native - {"category_not"}
        requests = [self.request(stream, query, since, until, spent) for stream in self.streams(query)]
        if any(getattr(query, name) for name in judged) or (query.type and any(one.types is None for one in requests)):
            return Total(0, "events", "gte")
        pages = await gather_all(map(self.fetch, requests))
        if any(page.total is None for page in pages):
            return Total(0, "events", "gte")
        parts = zip(requests, pages, strict=True)
        unreadable = any(self.records(one.category, page.items, one.ascending)[1] for one, page in parts)
        value = sum(page.total or 0 for page in pages)
        return Total(value, "events", "estimate" if unreadable else "eq")

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[Record]:
        try:
            found = msgspec.msgpack.decode(locator, type=Locator)
        except msgspec.MsgspecError:
            return []
        if not EARLIEST <= found.time <= self._clock() + DAY or found.category not in self.types:
            return []
        span = ReadRequest(Query(), found.time, found.time + 1, (found.time + 1,))
        reader, records = self.reader(found.category, span, spent), list[Record]()
        while True:
            batch = await reader.read(1000, 100)
            records += batch.records
            if batch.ended:
                return records

    async def probe(self, spent: CallBudget) -> Sequence[ProbeResult]:
        now, prefix, results = self._clock(), self.provider.upper(), list[ProbeResult]()
        for category in self.types:
            part = f"{category}: " if len(self.types) > 1 else ""
            try:
                page = await self.fetch(self.request(category, Query(), now - _PROBED, now, spent))
                _, unreadable = self.records(category, page.items, False)
            except SourceError as error:
                failure = ProbeResult.of_failure(error, f"the keys in {prefix}_*", f"{prefix}_BASE_URL")
                results.append(msgspec.structs.replace(failure, found=f"{part}{failure.found}"))
                continue
            count = "some" if page.total is None else page.total
            results.append(ProbeResult("credentials", "ok", f"{part}accepted; {count} events in 30 days"))
            if unreadable:
                found = f"{part}{unreadable.total()} of {len(page.items)} records cannot be read"
                results.append(ProbeResult("records", "warning", found, "compare them with `row` of the provider"))
        return results

    def describe(self) -> dict[str, Any]:
        return {"settle_seconds": self.settle}

    def health(self) -> SourceHealth:
        return self._http.health()

    async def aclose(self) -> None:
        await self._http.aclose()


def make_provider(
    source: type[TimeRangeSource], settings: type[SourceSettings], *, title: str, mapping_version: str
) -> Provider:
    """Return the `PROVIDER` of a module. Each field of the settings with a description is also an environment variable:
    ACME_API_KEY for `api_key` of the provider `acme`. Fields without a default are required."""
    mapping = [
        TypeMapping(theirs, ours, category)
        for category, types in source.types.items()
        for theirs, ours in types.items()
    ]
    return configured_provider(
        source.provider, settings, source, title=title, mapping=mapping, mapping_version=mapping_version
    )
