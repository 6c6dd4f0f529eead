"""Read a list of processes in responses, and prove its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self, TypeVar

import msgspec

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
from app.providers.taktikal.observations import AccountObservations, keys_of
from app.providers.taktikal.wire import ActivityPage, Process

JOINED = 16  #: as many may be added between two calls; a response that lacks more is truncated
BEHIND = JOINED + 2  #: requested from the end of a list on
_AMPLE = 32  #: times the largest process that the next one is surely smaller than
UNPROVEN = "the provider's responses do not show whether they are complete: events may be left out"

_HALVES = "the provider truncates responses and may return envelopes in parts: events of a part may be left out"
_TWINS = (
    "the provider returns envelopes in parts that share entries without ids: one of two equal events may be left out,"
    " or one event may be there twice"
)

T = TypeVar("T")


class ListReader(msgspec.Struct):
    """Calls of one request for one list. `unreadable`: items by their marks, and entries by their process. `doubts`:
    reasons why events may be left out. Both with those of its copies."""

    client: TaktikalClient
    filters: Filters
    facts: AccountObservations
    spent: CallBudget
    unreadable: Counter[str] = msgspec.field(default_factory=Counter)
    doubts: set[str] = msgspec.field(default_factory=set)

    @property
    def most(self) -> int:
        """Return the largest expected number of processes in one response."""
        return self.facts.at_most(MAX_TAKE)

    async def count(self, within: DateRange) -> int | None:
        """Return the provider's total of the range: a hint, never proof of emptiness. None if it sends none, the call
        fails, or totals are wrong. Raises SourceUnauthorized."""
        if self.facts.totals_are_wrong:
            return None
        return await self.optional(total_of(within), lambda one: one.client.total(within, one.filters, one.spent))

    async def optional(self, kind: str, make: Callable[[Self], Awaitable[T]]) -> T | None:
        """Return the result of optional calls by a copy of this reader; None if they fail. Raises
        SourceUnauthorized."""
        kinds = (kind, *self.filters.values)  # a server may not support a combination of filters
        return await self.facts.optional.attempt(
            kinds, self.spent, lambda spent: make(msgspec.structs.replace(self, spent=spent))
        )

    async def _after(self, within: DateRange, skip: int, kind: str = "skip", most: int = BEHIND) -> ActivityPage | None:
        """Return the first processes from the `Skip` on, to prove an end; None if the call fails."""
        found = await self.optional(kind, lambda one: one.take(within, most, skip))
        return None if found is None else found[0]

    async def _behind(
        self,
        within: DateRange,
        places: int,
        lengths: tuple[int, int],
        pages: Sequence[ActivityPage],
        known: Iterable[Process],
        claimed: int = 0,
    ) -> int:
        """Return the number of processes that a list seems to contain from the `Skip` of `places` on; 0 if it ends
        there. `lengths`: those that a right total may have; `pages`: of the list; `known`: its processes; `claimed`: an
        earlier total.

        A response that begins with the last process, and contains it alone, ends, unless bytes limit it. An empty
        response may be a limit of `Skip` instead, unless the total or a longer `Skip` disproves that. If these
        calls fail, only totals show more, and the end is in doubt."""
        facts, length, has_skipped, has_room = self.facts, max(lengths), places <= 1, False
        if places > 1 and (last := await self._after(within, places - 1)) is not None:
            if last.length > 1 or not keys_of(last) <= {process.key for process in known}:
                return max(1, last.length - 1)
            has_skipped = last.length > 0
            has_room = has_skipped and facts.has_room(last, pages)
            if has_room and claimed <= length and facts.has_room(last, pages, _AMPLE):
                return 0
        behind = await self._after(within, places, "skip" if places else "again")
        is_one = "ProcessKey" in self.filters.values and length == 1
        if behind is None:
            has_skipped = False
        elif behind.length or places == 0 or (has_skipped and (is_one or has_room or await self._skips(places))):
            return behind.length
        counted = await self._counted(within)
        claim = await self.corrected(claimed) if claimed > length else 0
        # Processes may have been removed since.
        is_withdrawn = has_skipped and (claim is None or (claim > length and counted is not None))
        # The account is, so that `Skip` seems to be limited.
        is_larger = behind is not None and facts.honoured > length
        lacking = 0 if counted in lengths else int(is_larger) if (counted or 0) < length else (counted or 0) - length
        lacking = lacking if is_withdrawn else max(lacking, (claimed if claim is None else claim) - length)
        if not lacking and (counted not in lengths or not has_skipped or is_larger or is_withdrawn):
            self.doubts.add(UNPROVEN)
        return max(0, lacking)

    async def has(self, within: DateRange, places: int = 0) -> bool:
        """Whether the list contains processes from the `Skip` of `places` on. Raises SourceError."""
        return (await self.take(within, BEHIND, places))[0].length > 0

    async def _skips(self, skip: int) -> bool:
        """Whether the account's list continues after `skip`: an empty response there is not a limit of `Skip`."""
        if skip > self.facts.longest_skip:
            account = msgspec.structs.replace(self, filters=Filters())
            if (found := await account._after(WHOLE, skip, "skip of all")) is not None and found.length:
                self.facts.longest_skip = skip
        return skip <= self.facts.longest_skip

    async def _counted(self, within: DateRange) -> int | None:
        """Return the total without the number that the provider counts too many; None without one."""
        return await self.corrected(await self.count(within))

    async def corrected(self, total: int | None) -> int | None:
        """Return a total without the number that the provider counts too many, which is that of an empty range, and
        one less than that of one process. If these differ, totals are wrong, and this is None."""
        facts, account = self.facts, msgspec.structs.replace(self, filters=Filters())
        if total and facts.total_excess is None:
            if facts.known is None:
                await account._after(WHOLE, 0, "known")
            if facts.known and (alone := await account.one(facts.known).count(facts.ever or WHOLE)) is not None:
                facts.total_excess = max(0, alone - 1)
                facts.totals_are_wrong = alone > 1 and await account.count(NOTHING) != alone - 1
        return None if total is None or facts.totals_are_wrong else max(0, total - (facts.total_excess or 0))

    async def _places(self, page: ActivityPage, within: DateRange) -> int:
        """Return the `Skip` after a response. Whether it counts processes or items is determined by requesting one
        process of several items with a `Take` of 1."""
        if page.split is not None and self.facts.counts_items is None:
            alone = await self.one(page.split).optional("one item", lambda one: one.take(within, 1))
            if alone is not None and alone[0].items:
                self.facts.counts_items = alone[0].items <= alone[1]
        return page.items if self.facts.counts_items else page.length

    def one(self, key: str) -> Self:
        """Return a reader of the process with this key."""
        return msgspec.structs.replace(self, filters=self.filters.with_process(key))

    async def take(self, within: DateRange, most: int, skip: int = 0) -> tuple[ActivityPage, int]:
        """Return up to `most` after the first `skip`, and the number requested, which the provider accepts."""
        while True:
            take = max(1, min(most, self.most))
            try:
                return await self._fetch(within, take, skip), take
            except TakeRefused:
                continue  # which has decreased `self.most`

    async def _fetch(self, within: DateRange, take: int, skip: int = 0) -> ActivityPage:
        """Fetch one response. Raises SourceError; TakeRefused after recording the refusal."""
        try:
            page = await self.client.activity(within, self.filters, self.spent, take=take, skip=skip)
        except TakeRefused as error:
            if error.by_size:
                await self._weigh(within, take)
            else:
                self.facts.refuse(take)
            raise
        self.facts.sample(page)
        if self.facts.may_halve:
            self.doubts.add(_HALVES)
        if page.split is not None and any(process.is_ambiguous for process in page.processes):
            self.doubts.add(_TWINS)
        return page

    async def _weigh(self, within: DateRange, take: int) -> None:
        """Measure the size of processes, after `take` of them were too large; the next request is for half at most."""
        page = await self.client.activity(within, self.filters, self.spent, take=1)
        self.facts.weigh(max(page.size, 8 * ENOUGH_BYTES // take))


def total_of(within: DateRange) -> str:
    """Return the kind of a total: a server may refuse extreme ranges."""
    return f"total of {within}" if within in (EVER, WHOLE, NOTHING) else "total"
