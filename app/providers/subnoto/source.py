"""One Subnoto account: its streams for a query, and who applies which filter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from app.domain.errors import ConfigurationError, SourceFailed, SourceForbidden
from app.domain.query import Query, matches_type
from app.domain.times import SECOND, now_micros
from app.providers.base import (
    CallBudget,
    CommonSettings,
    ProbeResult,
    Reader,
    ReadRequest,
    Relation,
    SourceHealth,
    Total,
    filters_of,
)
from app.providers.http.client import ProviderHttp
from app.providers.http.concurrency import gather_all
from app.providers.subnoto.client import LogQuery, SubnotoClient
from app.providers.subnoto.envelopes import EnvelopeJoin, JoiningReader
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.mapping import CATEGORY_OF, MAPPING, WEBHOOK_TYPES, type_of
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.probe import probe, tunnel_finding
from app.providers.subnoto.reader import SubnotoReader
from app.providers.subnoto.record import SubnotoRecord, read_locator
from app.providers.subnoto.settings import SubnotoSettings
from app.providers.subnoto.time_index import TimeIndex

if TYPE_CHECKING:
    from app.providers.subnoto.tunnel import Tunnel

_NATIVE = ("category", "type", "provider_type", "envelope_id", "workspace_id")

#: Vendor's reference page: envelope and workspace are 36-character UUIDs, of the envelope category only.
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_SCOPED = "envelope"


class SubnotoSource:
    """Implements `app.providers.base.Source`. Raises ConfigurationError if the transport's library is missing."""

    provider = "subnoto"

    def __init__(self, name: str, settings: SubnotoSettings, common: CommonSettings) -> None:
        self.name = name
        self.filters = filters_of(_NATIVE, ("envelope_status", "owner") if settings.join_envelopes else ())
        common = settings.over(common)
        self.settle = common.settle
        self._settings = settings
        self._clock = common.clock or now_micros
        self._observations, self._index = AccountObservations(self._clock), TimeIndex()
        self._tunnel = _open_tunnel(settings, common) if settings.transport == "tunnel" else None
        keys = f"{settings.access_key.get_secret_value()}:{settings.secret_key.get_secret_value()}"
        self._http = ProviderHttp(
            settings.base_url,
            common,
            name=name,
            headers=None if self._tunnel else {"authorization": f"Bearer {keys}"},  # the tunnel signs
            transport=self._tunnel,
            on_answer=self._observations.note_clock,
        )
        self._client = SubnotoClient(self._http, self._clock)
        optional = self._observations.optional
        self._join = EnvelopeJoin(self._http, common.timer, optional) if settings.join_envelopes else None

    def streams(self, query: Query) -> Sequence[str]:
        names: list[str] = []
        for category in self._settings.categories:
            if (query.category and category not in query.category) or category in query.category_not:
                continue
            if self._event_types(category, query) == ():
                continue
            if category != _SCOPED:
                if query.owner is not None or query.envelope_status is not None:
                    continue
                if not query.envelope_id and query.workspace_id is None:
                    names.append(category)
            elif query.workspace_id is None or _UUID.match(query.workspace_id):
                # Two spellings of one envelope as two streams would return its events twice.
                wanted = dict.fromkeys(envelope.lower() for envelope in query.envelope_id if _UUID.match(envelope))
                envelopes = [f"{category}/{envelope}" for envelope in wanted]
                names.extend(envelopes if query.envelope_id else [category])
        return names

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> Reader:
        reader = self._log_reader(stream, span, spent)
        if self._join is None or span.join == "none" or stream.partition("/")[0] != _SCOPED:
            return reader
        return JoiningReader(reader, self._join, span, spent)

    def _log_reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> SubnotoReader:
        category, _, envelope = stream.partition("/")
        types = self._event_types(category, span.query)
        if types is not None and not all(self._observations.takes(category, event_type) for event_type in types):
            types = None
        log = LogQuery(category, envelope or None, span.query.workspace_id, types or ())
        return self._read(log, span, spent)

    def _read(self, log: LogQuery, span: ReadRequest, spent: CallBudget) -> SubnotoReader:
        skew = int(self._settings.max_time_skew * SECOND)
        return SubnotoReader(
            LogRequest(self._client, log, span, spent, self.name, skew, self._clock(), self._observations, self._index)
        )

    def _event_types(self, category: str, query: Query) -> tuple[str, ...] | None:
        """Return the provider's types that can match in this category; None if unmapped ones can match."""
        if not query.type and not query.provider_type:
            return None
        if not query.provider_type and matches_type(query, "unknown", ""):
            return None
        named = query.provider_type or tuple(
            row.provider_type
            for row in MAPPING
            if row.provider_type not in WEBHOOK_TYPES or self._observations.takes(category, row.provider_type)
        )
        return tuple(
            event_type
            for event_type in named
            if matches_type(query, type_of(event_type), event_type)
            and CATEGORY_OF.get(event_type, category) == category
        )

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        """Count the records between the positions of the window's ends, by reading a few pages around each end.

        `eq`: the provider's order of time has as many records before each end, and this process has seen no unreadable
        record of this account. `estimate`: it has seen some, or records far from their times, or the order of time has
        other records. `gte`: the key may not read everything or, with 0, the provider does not apply all filters."""
        judged = (query.actor, query.recipient, query.q, query.owner, query.envelope_status)
        if any(value is not None for value in judged):
            return Total(0, "events", "gte")
        ascending = query.model_copy(update={"order": "asc"})
        streams = self.streams(query)
        parts = await gather_all(self._count(stream, ascending, since, until, spent) for stream in streams)
        counted = [part for part in parts if part is not None]
        relations = {part.relation for part in counted}
        if "gte" in relations:
            return Total(0, "events", "gte")
        # If the key may not read everything, there may be more records.
        relation: Relation = "estimate" if "estimate" in relations else "eq" if len(counted) == len(streams) else "gte"
        return Total(sum(part.value for part in counted), "events", relation)

    async def _count(
        self, stream: str, query: Query, since: int, until: int, spent: CallBudget, *, is_again: bool = False
    ) -> Total | None:
        """Return one stream's part of a total; None if the key may not read it. Counts again if the order of time has
        another number, because the log may end elsewhere."""
        by_type, ends, ranks = bool(query.type or query.provider_type), list[SubnotoReader](), list[int]()
        try:
            # Sequentially, because the second uses the pages of the first.
            for edge in (since, until):
                end = self._log_reader(stream, ReadRequest(query, edge, edge + 1, (edge,)), spent)
                if by_type and not end.filters_natively:
                    return Total(0, "events", "gte")
                ends.append(end)
                ranks.append(await end.rank(ends[0] if ranks else None, is_again=is_again))
                if end.walk.reader.ending.end == 0 and not end.lacks_rows(0):
                    return Total(0, "events", "eq")
            # A row far from its place would be counted where it is, and not at its time.
            agreed = [await end.is_confirmed() for end in ends]
            if False in agreed and not is_again:
                return await self._count(stream, query, since, until, spent, is_again=True)
            # If new records are before the others, only the second end was counted with them.
            has_grown = ends[0].walk.reader.ending.end != ends[1].walk.reader.ending.end
            is_sure = agreed[0] is not None and not has_grown
            is_steady = False not in agreed and (is_sure or await ends[0].walk.is_unmoved())
        except SourceForbidden:
            return None
        # Check again: if the server has refused the types meanwhile, the rest was counted with all types.
        if by_type and not all(end.filters_natively for end in ends):
            return Total(0, "events", "gte")
        # After these calls, whose observations count, too.
        is_whole = not any(end.lacks_rows(rank) for end, rank in zip(ends, ranks, strict=True))
        is_exact = is_steady and is_whole and ranks[0] <= ranks[1] and not self._observations.has_unreadable
        return Total(max(0, ranks[1] - ranks[0]), "events", "eq" if is_exact else "estimate")

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[SubnotoRecord]:
        found = read_locator(locator)
        if found is None:
            return []
        category, moment, envelope = found
        if category not in self._settings.categories:
            return []
        if envelope is not None and (category != _SCOPED or not _UUID.match(envelope)):
            # The provider would refuse this filter; the whole category contains the record, too.
            envelope = None
        span = ReadRequest(Query(order="asc"), moment, moment + 1, (moment,))
        reader = self._read(LogQuery(category, envelope), span, spent)
        records: list[SubnotoRecord] = []
        while True:
            # One: the others of its microsecond are among the rows read for certainty.
            batch = await reader.read(want=1, max_calls=100)
            records.extend(cast(list[SubnotoRecord], batch.records))
            if batch.ended:
                break
        if not records and batch.unproven:
            raise SourceFailed(batch.reason or "")
        if self._join is not None and category == _SCOPED:
            await self._join.join(records, len(records), spent)
        return records

    async def probe(self, spent: CallBudget) -> Sequence[ProbeResult]:
        findings = await probe(self._client, self._settings, self._observations, spent, self._join)
        return findings if self._tunnel is None else [*findings, tunnel_finding(self._tunnel.describe())]

    def describe(self) -> dict[str, Any]:
        return {
            "categories": list(self._settings.categories),
            "transport": self._settings.transport,
            **({} if self._tunnel is None else {"tunnel": self._tunnel.describe()}),
            "joins_envelopes": self._join is not None,
            "skew_seconds": self._settings.max_time_skew,
            "settle_seconds": self.settle,
            "observations": self._observations.describe(),
        }

    def health(self) -> SourceHealth:
        return self._http.health()

    async def aclose(self) -> None:
        await self._http.aclose()


def _open_tunnel(settings: SubnotoSettings, common: CommonSettings) -> Tunnel:
    # Imported here: the SDK is an optional extra, and takes most of a second to import.
    try:
        from app.providers.subnoto.tunnel import Tunnel
    except ImportError:
        raise ConfigurationError(
            "SUBNOTO_TRANSPORT: tunnel needs the vendor's SDK, which is not here (or not in the version that fits):"
            ' pip install ".[subnoto-tunnel]" in a checkout'
        ) from None
    return Tunnel(settings, common)
