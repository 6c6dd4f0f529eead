"""One Taktikal account: its streams for a query, and who applies which filter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from app.domain.errors import SourceFailed
from app.domain.query import Query, matches_type, may_hold
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
from app.providers.taktikal.calibration import calibrate, probe
from app.providers.taktikal.client import PARAMETERS, DateRange, Filters, TaktikalClient
from app.providers.taktikal.mapping import MAPPING, meaning_of
from app.providers.taktikal.observations import CALIBRATION, AccountObservations
from app.providers.taktikal.range_loader import RangeLoader
from app.providers.taktikal.reader import ProcessReader, WindowReader
from app.providers.taktikal.record import CATEGORY, TaktikalRecord, read_locator, records_of
from app.providers.taktikal.settings import TaktikalSettings

_NATIVE = ("since", "until", "envelope_id", "flow_id", "flow_type", "envelope_status", "owner", "q")

#: A window up to the present ends a little in the past when it is requested, within a request's deadline.
_LATELY = 60 * SECOND

_STATUS = {"completed": "Completed", "active": "Active", "inactive": "InActive"}


def _spellings(query: Query) -> list[list[str]]:
    """Group the requested keys by possible process. The vendor does not document whether letter case and blanks at the
    ends matter; separate reads would return a process's events twice."""
    found: dict[str, list[str]] = {}
    for key in query.envelope_id:
        found.setdefault(key.strip().casefold(), []).append(key)
    return list(found.values())


class TaktikalSource:
    """Implements `app.providers.base.Source`."""

    provider = "taktikal"

    def __init__(self, name: str, settings: TaktikalSettings, common: CommonSettings) -> None:
        self.name = name
        self.filters = filters_of(_NATIVE)
        common = settings.over(common)
        self.settle = common.settle
        self._settings = settings
        self._max_age = settings.max_envelope_age // timedelta(microseconds=1)
        self._is_age_set = "max_envelope_age" in settings.model_fields_set
        self._clock = common.clock or now_micros
        keys = (settings.company_key.get_secret_value(), settings.api_key.get_secret_value())
        self._facts = AccountObservations(self._clock)
        self._facts.set(
            None if settings.date_range_mode == "auto" else settings.date_range_mode,
            None if settings.log_mode == "auto" else settings.log_mode == "whole",
        )
        self._http = ProviderHttp(settings.base_url, common, name=name, auth=keys, on_answer=self._facts.note_clock)
        self._client = TaktikalClient(self._http)

    def streams(self, query: Query) -> Sequence[str]:
        if not may_hold(query, CATEGORY, (row.type for row in MAPPING)):
            return ()
        if query.provider_type and not any(
            matches_type(query, meaning_of(status).type, status) for status in query.provider_type
        ):
            return ()
        return [f"{CATEGORY}/{keys[0]}" for keys in _spellings(query)] if query.envelope_id else [CATEGORY]

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> Reader:
        loader = RangeLoader(self._client, self._native_filters(span.query), self._facts, spent)
        if stream != CATEGORY:
            keys = next(keys for keys in _spellings(span.query) if stream == f"{CATEGORY}/{keys[0]}")
            return ProcessReader(self.name, span, loader, keys)
        within = DateRange.around(span.since - self._max_age, span.until)
        prepare = partial(self._find_out, within, spent)
        return WindowReader(
            self.name, span, loader, prepare=prepare, max_age=self._max_age, is_age_set=self._is_age_set
        )

    def _native_filters(self, query: Query) -> Filters:
        """Return all filters except `envelope_id`, of which a call takes one."""
        given = ((theirs, getattr(query, ours)) for theirs, ours in PARAMETERS.items() if ours != "envelope_id")
        values = {name: value for name, value in given if value is not None}
        if "StatusFilter" in values:
            values["StatusFilter"] = _STATUS[values["StatusFilter"]]
        return values

    async def _find_out(self, within: DateRange, spent: CallBudget) -> None:
        """Determine what date ranges select, unless known or attempted lately; one request at a time."""
        width = within.end - within.start

        async def look(spent: CallBudget) -> None:
            async with self._facts.looking:
                if self._facts.wants_looking(width):
                    await calibrate(self._client, within, self._facts, spent)

        if self._facts.wants_looking(width):
            await self._facts.optional.hint(CALIBRATION, spent, look)

    async def total(self, query: Query, since: int, until: int, spent: CallBudget) -> Total:
        """Return the provider's own count of envelopes.

        `eq`: envelopes with events in the window, by two calls, with keys one for each. `gte`: envelopes with events
        further inside, if the meaning of a range's ends makes a difference; 0 if the provider does not apply all
        filters, or sends no total. `estimate`: ranges do not select by activity, or their meaning is unknown.
        """
        if query.type or query.provider_type or query.actor is not None or query.recipient is not None:
            return Total(0, "envelopes", "gte")
        if not self.streams(query):
            return Total(0, "envelopes", "eq")
        loader = RangeLoader(self._client, self._native_filters(query), self._facts, spent)
        outside, inside = DateRange.around(since, until), DateRange.inside(since, until)
        if query.envelope_id:
            # The vendor does not document dates with a key; irrelevant if the window contains all.
            certain = self._facts.selects == "activity" and since <= 0 and until >= self._clock() - _LATELY
            counts = await gather_all(loader.count_of(keys, outside) for keys in _spellings(query))
            relation: Relation = "gte" if None in counts else "eq" if certain else "estimate"
            return Total(sum(filter(None, counts)), "envelopes", relation)
        await self._find_out(DateRange.around(since - self._max_age, until), spent)
        if self._facts.selects != "activity":
            # A range that selects by creation counts the envelopes created in the window, not those with events in it.
            count = await loader.count(DateRange(since, until))
            return Total(count or 0, "envelopes", "gte" if count is None else "estimate")
        most = await loader.count(outside)
        # The truth is between the two. Sequential calls, because the first suffices if it finds none.
        least = await loader.count(inside) if most and inside else 0
        relation = "gte" if most is None or least != most else "eq"
        if (self._facts.totals_contradicted or self._facts.splits) and None not in (most, least):
            relation = "estimate"
        return Total(least or 0, "envelopes", relation)

    async def find(self, locator: bytes, spent: CallBudget) -> Sequence[TaktikalRecord]:
        found = read_locator(locator)
        if found is None:
            return []
        loader, latest = RangeLoader(self._client, {}, self._facts, spent), self._facts.latest
        processes = await loader.named([found.process])
        records = [record for process in processes for record in records_of(self.name, process, latest=latest)[0]]
        if loader.doubts and all((one.ticks, one.identity) != (found.ticks, found.entry) for one in records):
            raise SourceFailed("; ".join(sorted(loader.doubts)))
        return records

    async def probe(self, spent: CallBudget) -> Sequence[ProbeResult]:
        return await probe(self._client, self._facts, spent, self._clock(), self._max_age)

    def describe(self) -> dict[str, Any]:
        return {
            "range_selects": self._settings.date_range_mode,
            "logs": self._settings.log_mode,
            "max_envelope_age_days": self._max_age / 86_400e6,
            "settle_seconds": self.settle,
            "observations": self._facts.describe(),
        }

    def health(self) -> SourceHealth:
        return self._http.health()

    async def aclose(self) -> None:
        await self._http.aclose()
