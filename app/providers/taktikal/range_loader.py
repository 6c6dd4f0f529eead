"""Loads everything that a date range selects, or says that it is too much for one answer.

Neither the order of an answer nor `Skip` across calls nor `Take` can be trusted, so an answer counts as complete only
where `/total` for the same range agrees, or where it is shorter than both what was asked for and an answer seen before
(a server that cuts answers off cuts them all at the same length).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from app.domain.errors import SourceFailed
from app.domain.times import SECOND
from app.providers.base import CallBudget
from app.providers.http.gather import gather_all
from app.providers.taktikal.client import MAX_TAKE, WHOLE, DateRange, Filters, Observed, TakeRefused, TaktikalClient
from app.providers.taktikal.models import Entry
from app.providers.taktikal.observations import Facts
from app.providers.taktikal.record import time_of
from app.providers.taktikal.wire import ActivityPage, Process, merge_processes

_MARGIN = 64  #: asked for beyond the count: processes may join while we ask
_JOINED = 16  #: as many may join between two calls; an answer that lacks more was cut off
_PASSES = 24


class TooMany(msgspec.Struct, frozen=True):
    """The range selects more than one answer holds; `total` of them."""

    total: int


class RangeLoader(msgspec.Struct):
    """Loads ranges for one request. `bad` counts unreadable items."""

    client: TaktikalClient
    filters: Filters
    facts: Facts
    spent: CallBudget
    observed: Observed = msgspec.field(default_factory=Observed)
    bad: int = 0

    @property
    def most(self) -> int:
        """The most processes that one answer can be hoped to hold."""
        return self.facts.at_most(MAX_TAKE)

    async def count(self, within: DateRange) -> int:
        """How many processes the range selects. Raises SourceError."""
        return await self.client.total(within, self.filters, self.spent, self.observed)

    async def attempt(self, within: DateRange, take: int) -> list[Process] | TooMany:
        """One answer if it is complete. Raises SourceError."""
        page, take = await self._take(within, take + _MARGIN)
        if page.length >= min(take, self.facts.honoured):
            self.facts.answered(page.length)
            # Counted behind the answer: with one that joined meanwhile, a count made before may be what it was cut off
            # at.
            total = await self.count(within)
            if page.length < total:
                if 0 < page.length < take and total - page.length > _JOINED:
                    self.facts.cut(page.length)
                return TooMany(total)
        if not self.filters.values:
            self.facts.reached(page, within.start, within.end)
        return self._keep(page)

    async def everything(self, within: DateRange) -> list[Process]:
        """All that the range selects, in as many answers as it takes. Raises SourceError."""
        total = await self.count(within)
        if total == 0:
            return []
        if total <= self.most:
            found = await self.attempt(within, total)
            if not isinstance(found, TooMany):
                return found
        if self.facts.splittable and within.end - within.start > SECOND:
            middle = (within.start + within.end) // 2 // SECOND * SECOND
            first, second = await gather_all(
                self.everything(half) for half in (DateRange(within.start, middle), DateRange(middle, within.end))
            )
            return _joined(first, second, middle)
        return await self._by_skipping(within, total)

    async def named(self, keys: Sequence[str], within: DateRange = WHOLE) -> list[Process]:
        """The processes that go by these keys, each with all of its log. Raises SourceError."""
        answers = await gather_all(self._one(key)._take(within, _MARGIN) for key in keys)
        return self._keep(*(page for page, _ in answers))

    async def count_of(self, keys: Sequence[str], within: DateRange) -> int:
        """How many processes that go by these keys the range selects. Raises SourceError."""
        if len(keys) == 1:
            return await self._one(keys[0]).count(within)
        return len(await self.named(keys, within))

    def _one(self, key: str) -> RangeLoader:
        return msgspec.structs.replace(self, filters=self.filters.with_process(key))

    async def _by_skipping(self, within: DateRange, total: int) -> list[Process]:
        """Page after page until as many different processes came as there are. Where the order holds still one pass
        is enough; where it does not, each pass brings some of those that are missing, and what cannot be read comes on
        several pages, too: equal items are counted only as often as they are on one page."""
        found: dict[str, Process] = {}
        unreadable: Counter[str] = Counter()
        for _ in range(_PASSES):
            step = self.most
            try:
                pages = await gather_all(self._fetch(within, step, skip) for skip in range(0, total, step))
            except TakeRefused:
                continue
            if any(
                page.length < step and skip + page.length < total
                for page, skip in zip(pages, range(0, total, step), strict=True)
            ):
                self.facts.cut(max(1, max(page.length for page in pages)))
            found = {
                process.key: process
                for process in merge_processes([found.values(), *(page.processes for page in pages)])
            }
            total = await self.count(within)
            for page in pages:
                unreadable |= page.unreadable
            bad = sum(times for mark, times in unreadable.items() if mark not in found)
            if len(found) + bad >= total:
                self.bad += bad
                return list(found.values())
        raise SourceFailed(
            f"the provider holds {total} signing processes in one range that cannot be divided, hands out"
            f" {self.most} at a time, and never the same ones twice; a narrower query may work"
        )

    async def _take(self, within: DateRange, most: int) -> tuple[ActivityPage, int]:
        """Up to `most`, and how many were asked for: no more than the provider lets anyone."""
        while True:
            take = max(1, min(most, self.most))
            try:
                return await self._fetch(within, take), take
            except TakeRefused:
                continue  # which has made `self.most` less

    async def _fetch(self, within: DateRange, take: int, skip: int = 0) -> ActivityPage:
        """Raises SourceError; TakeRefused once that is learnt."""
        try:
            page = await self.client.activity(
                within, self.filters, self.spent, take=take, skip=skip, observed=self.observed
            )
        except TakeRefused:
            self.facts.refuse(take)
            raise
        self.facts.sample(page)
        return page

    def _keep(self, *pages: ActivityPage) -> list[Process]:
        unreadable: Counter[str] = Counter()
        for page in pages:
            self.facts.answered(page.length)
            unreadable |= page.unreadable
        self.bad += unreadable.total()
        return list(merge_processes(page.processes for page in pages))


def _joined(first: list[Process], second: list[Process], middle: int) -> list[Process]:
    """What two halves of a range brought: each process once, with what of its log either half is certain of, for a log
    that comes trimmed lies partly in each."""
    found = {process.key: process for process in first}
    for process in second:
        held = found.get(process.key)
        if held is not None:
            before = [pair for pair, time in _times(held) if time is None or time < middle]
            process = process.with_log(
                before + [pair for pair, time in _times(process) if time is not None and time >= middle]
            )
        found[process.key] = process
    return list(found.values())


def _times(process: Process) -> list[tuple[tuple[Entry, dict[str, Any]], int | None]]:
    """The entries, each with what was delivered for it, and its time in µs where it has one."""
    pairs = zip(process.entries, process.sent_entries, strict=True)
    return [(pair, time_of(pair[0])) for pair in pairs]
