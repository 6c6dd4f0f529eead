"""Calls for a list of processes, and what is known of each response by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Self, TypeVar

import msgspec

from app.domain.errors import SourceFailed
from app.domain.times import DAY
from app.providers.base import ENOUGH_BYTES, CallBudget
from app.providers.taktikal.client import (
    EVER,
    MAX_TAKE,
    NOTHING,
    WHOLE,
    DateRange,
    Filters,
    TakeRefused,
    TaktikalClient,
)
from app.providers.taktikal.models import contents_of
from app.providers.taktikal.observations import AccountObservations, keys_of, selected_ticks
from app.providers.taktikal.wire import ActivityPage, Process

JOINED = 16  #: as many may be added between two calls; a response that lacks more is truncated
BEHIND = JOINED + 2  #: requested from the end of a list on
_CALLS, _CALLS_EACH = 200, 12  #: for one window: fruitless ones in all, and for each fruitful one
_CHECKED = 16  #: processes of one item whose later entries are searched for
_HALVES = "the provider truncates responses and may return envelopes in parts: events of a part may be left out"
TWINS = (
    "the provider returns envelopes in parts that share entries without ids or of one id: one of two equal events may"
    " be left out, or one event may be there twice"
)

T = TypeVar("T")


class Contradiction(SourceFailed):
    """The provider's responses contradict each other: a failure of the whole list, not of one call."""


class Effort(msgspec.Struct):
    """Calls for one window, of which those with a process that no earlier response contained are fruitful. Several
    faults of a server at a time could otherwise cost thousands of calls for a few processes."""

    calls: int = 0
    fruitful: int = 0
    keys: set[str] = msgspec.field(default_factory=set)

    def add(self, keys: set[str]) -> None:
        """Record a response. Raises Contradiction after too many without new processes."""
        self.calls += 1
        self.fruitful += not keys <= self.keys
        self.keys |= keys
        if self.calls > _CALLS + _CALLS_EACH * self.fruitful:
            raise Contradiction(
                f"the provider's responses contradict each other: {self.calls} do not show which of"
                f" {len(self.keys)} signing processes are all; a narrower query may work"
            )


class ListCalls(msgspec.Struct):
    """Calls of one request for one list. `unreadable`: items by their marks, and entries by their process. `doubts`:
    reasons why events may be left out. `effort`: of one window, or one process. All with those of its copies."""

    client: TaktikalClient
    filters: Filters
    facts: AccountObservations
    spent: CallBudget
    unreadable: Counter[str] = msgspec.field(default_factory=Counter)
    doubts: set[str] = msgspec.field(default_factory=set)
    effort: Effort = msgspec.field(default_factory=Effort)

    @property
    def most(self) -> int:
        """Return the largest expected number of processes in one response."""
        return self.facts.at_most(MAX_TAKE)

    @property
    def ever(self) -> DateRange:
        """Return the longest range that the server is known to accept."""
        return self.facts.ever or WHOLE

    def one(self, key: str) -> Self:
        """Return a reader of the process with this key."""
        return msgspec.structs.replace(self, filters={**self.filters, "ProcessKey": key}, effort=Effort())

    async def count(self, within: DateRange, *, is_proof: bool = False) -> int | None:
        """Return the provider's total of the range: never proof of emptiness. None if it sends none, refuses the call,
        or totals are wrong, and for a hint also if the call fails. Raises SourceUnauthorized, and for a proof as
        `OptionalCalls.prove`."""
        if self.facts.totals_are_wrong:
            return None
        self.effort.add(set())
        optional = self.facts.optional
        # A server may refuse extreme ranges only.
        kind = f"total of {within}" if within in (EVER, WHOLE, NOTHING) else "total"
        return await (optional.prove if is_proof else optional.hint)(
            (kind, *self.filters), self.spent, lambda spent: self.client.total(within, self.filters, spent)
        )

    async def _counted(self, within: DateRange) -> int | None:
        """Return the total without the number that the provider counts too many, as proof; None without one."""
        return await self.corrected(await self.count(within, is_proof=True))

    async def corrected(self, total: int | None) -> int | None:
        """Return a total without the number that the provider counts too many, which is that of an empty range, and
        one less than that of one process. If these differ, totals are wrong, and this is None."""
        facts, account = self.facts, msgspec.structs.replace(self, filters={})
        if total and facts.total_excess is None:
            if facts.known is None:
                await account.after(WHOLE, 0, "known")
            one = account.one(facts.known) if facts.known else None
            if one and (alone := await one.count(self.ever, is_proof=True)) is not None:
                none = await account.count(NOTHING, is_proof=True) if alone > 1 else alone - 1
                facts.total_excess = max(0, none or 0)
                facts.totals_are_wrong = none != alone - 1 and not await self._counts_items(
                    one.filters["ProcessKey"], alone - (none or 0)
                )
        return None if total is None or facts.totals_are_wrong else max(0, total - (facts.total_excess or 0))

    async def _counts_items(self, key: str, total: int) -> bool:
        """Whether a process has as many items as its `total`, if `Take` and `Skip` count items."""
        if not self.facts.counts_items:
            return False
        alone = await self.one(key).after(self.ever, 0, "items")
        return alone is not None and alone.items == total

    async def prove(self, kind: str, make: Callable[[Self], Awaitable[T]]) -> T | None:
        """Return the result of calls by a copy of this reader, as `OptionalCalls.prove`."""
        kinds = (kind, *self.filters)  # a server may not support a combination of filters
        return await self.facts.optional.prove(
            kinds, self.spent, lambda spent: make(msgspec.structs.replace(self, spent=spent))
        )

    async def after(self, within: DateRange, skip: int, kind: str = "skip", most: int = BEHIND) -> ActivityPage | None:
        """Return the first processes from the `Skip` on, to prove an end; None if the provider refuses the call."""
        found = await self.prove(kind, lambda one: one.take(within, most, skip))
        return None if found is None else found[0]

    async def take(self, within: DateRange, most: int, skip: int = 0) -> tuple[ActivityPage, int]:
        """Return up to `most` after the first `skip`, and the number requested, which the provider accepts."""
        while True:
            take = max(1, min(most, self.most))
            try:
                return await self._fetch(within, take, skip), take
            except TakeRefused:
                continue  # which has decreased `self.most`

    async def _fetch(self, within: DateRange, take: int, skip: int = 0) -> ActivityPage:
        """Fetch one response. Raises SourceError; TakeRefused after recording the refusal, or the size of processes."""
        try:
            page = await self.client.activity(within, self.filters, self.spent, take=take, skip=skip)
        except TakeRefused as error:
            if error.by_size:
                # The next request is for half at most.
                page = await self.client.activity(within, self.filters, self.spent, take=1)
                self.facts.weigh(max(page.size, 8 * ENOUGH_BYTES // take))
            else:
                self.facts.refuse(take)
            raise
        self.effort.add(keys_of(page))
        self.facts.sample(page)
        if self.facts.truncates:
            self.doubt_halves([page])
            if page.processes and page.items == 1 and self.facts.may_halve(page):
                await self._check_part(page.processes[0], within)
        if page.split is not None and (
            any(one.is_ambiguous for one in page.processes) or self.shares_twins(page.parts)
        ):
            self.doubts.add(TWINS)
        return page

    async def places(self, page: ActivityPage, within: DateRange) -> int:
        """Return the `Skip` after a response."""
        if page.split is not None:
            await self._find_unit(page.split, within)
        return self.facts.places(page)

    async def _find_unit(self, key: str, within: DateRange) -> None:
        """Determine whether `Skip` counts processes or items, by a process of several items with a `Take` of 1."""
        if self.facts.counts_items is None:
            alone = await self.one(key).prove("one item", lambda one: one.take(within, 1))
            if alone is not None and alone[0].items:
                self.facts.counts_items = alone[0].items <= alone[1]

    def doubt_halves(self, pages: Iterable[ActivityPage]) -> None:
        """Add a reason if a part of a process may be cut off behind one of the pages."""
        if any(map(self.facts.may_halve, pages)):
            self.doubts.add(_HALVES)

    def shares_twins(self, parts: Iterable[Process]) -> bool:
        """Whether items of one process share an entry, in an account with entries that are equal to the last digit."""
        known: dict[str, Counter[bytes]] = {}
        shares = False
        for part in parts:
            contents = contents_of(part.entries)
            self.facts.has_twins |= contents.total() > len(contents)
            before = known.setdefault(part.key, Counter())
            shares |= not before.keys().isdisjoint(contents)
            before |= contents
        return shares and self.facts.has_twins

    async def _check_part(self, process: Process, within: DateRange) -> None:
        """Raise Contradiction if a response for a range, with a single item, lacks another one of its process, which
        has entries on later days of the range, and no `Skip` returns it."""
        facts, times = self.facts, selected_ticks(process, None)
        later = DateRange((max(times, default=0) // 10 // DAY + 1) * DAY, min(within.end, facts.latest - 2 * DAY))
        checked = facts.recall("parts") or 0
        if "ProcessKey" in self.filters or not times or later.end - later.start < DAY or checked >= _CHECKED:
            return
        facts.remember("parts", checked + 1)
        one, beyond = self.one(process.key), DateRange(facts.latest, self.ever.end)
        calls = [(later, 0, 1), (beyond, 0, 0), (within, 1, 0)]  # with the number of processes that shows the part
        found = [await one.after(part, skip, "part", most=1) for part, skip, _ in calls]
        if all(page is not None and page.length == number for page, (*_, number) in zip(found, calls, strict=True)):
            raise Contradiction(
                "the provider truncates responses, and returns no other part of an envelope than the first"
            )
