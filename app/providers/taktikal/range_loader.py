"""Load everything that a date range selects, or report that it is too much for one response."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import partial

import msgspec

from app.domain.errors import SourceFailed, TemporaryFailure
from app.domain.text import fold
from app.domain.times import DAY
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import EVER, WHOLE, DateRange
from app.providers.taktikal.list_calls import JOINED
from app.providers.taktikal.list_pages import PagedReader
from app.providers.taktikal.process_parts import owner_of
from app.providers.taktikal.record import EARLIEST
from app.providers.taktikal.wire import Process, merge_processes

_MARGIN = 64  #: requested in addition to the count, because processes may be added
_FEW = 16  #: responses; more would cost many passes if the order changes with each call
_NAMED = 32  #: processes that are read by key
_COARSE = 2 * DAY  #: ranges from which on a half may contain as much as the whole
_MAY_HAVE_WRONG_TIMES = (
    "the provider does not show whether envelopes have a time of creation or update before 2000 or in the future: their"
    " events may be left out"
)
_MANY = 1000  #: processes with implausible times


class TooMany(msgspec.Struct, frozen=True):
    """The range selects more than one response contains: about `total`. `few`: paging through them costs less than
    narrower ranges."""

    total: int
    few: bool = False


class RangeLoader(PagedReader):
    """Load ranges for one request."""

    @property
    def most_at_once(self) -> int:
        """Return the number of processes to aim at in a window: if the server limits responses, those of several,
        because paging in a stable order costs fewer calls than narrower windows."""
        return self.most * (_FEW // 2 if self._may_page else 1) * 4 // 5

    @property
    def _may_page(self) -> bool:
        """Whether several responses show a list, as far as known: the server limits them, but neither changes their
        order nor limits `Skip`."""
        facts = self.facts
        return facts.cap is not None and not facts.is_shuffled and facts.recall("limited pages") is None

    async def count_up_to(self, within: DateRange, enough: int) -> int:
        """Return the total or, if the provider sends none, the length of a list of at most `enough`. Raises
        SourceError."""
        total = await self.count(within)
        if total is None:
            return await self.places((await self.take(within, enough))[0], within)
        return max(0, total - (self.facts.total_excess or 0))

    async def attempt(self, within: DateRange, take: int, total: int | None = None) -> list[Process] | TooMany:
        """Return the processes of one response if it is complete. `total`: an earlier count. Raises SourceError."""
        # Powers of two, because only a response to as large a `Take` proves that a later one is complete.
        page, take = await self.take(within, 1 << (take + _MARGIN - 1).bit_length())
        lacking = 0 if page.length == total == 0 else await self._lacking(page, take, within, total)
        if lacking:
            places = self.facts.places(page)
            is_truncated = 0 < places < take
            self.facts.truncates = self.facts.truncates or is_truncated
            if is_truncated and (lacking > JOINED or self.facts.is_past(within.end)):
                self.facts.cut(page)
            is_limited = (is_truncated or take == self.most) and self.facts.recall("limited pages") is None
            behind = await self.after(within, _FEW * places, "end", most=1) if is_limited else None
            return TooMany(places + lacking, few=behind is not None and behind.length == 0)
        if total not in (None, page.length, page.items) and await self.count(within) == total:
            self.facts.contradicted(total, page.length)
            if total > page.length:
                await self.corrected(total)
        if not self.filters:
            self.facts.reached(page, within.start, within.end)
        self.facts.answered(page, take)
        self.unreadable |= page.unreadable
        return page.processes

    async def everything(self, within: DateRange, total: int | None = None, before: int | None = None) -> list[Process]:
        """Return all that the range selects, in several responses if needed. `total`: its number, roughly; `before`:
        that of the range of which it is a half. Raises SourceError."""
        counted = None
        if total is None:
            total = counted = await self.count(within)
            if total is not None and total > self.most:
                total = await self.corrected(total)  # else no part of the range would have few enough
        if total is None or total <= self.most:
            found = await self.attempt(within, self.most if total is None else total, counted)
            if not isinstance(found, TooMany):
                return found
            total, few = max(total or 0, found.total), found.few
        else:
            few = self._may_page and total <= _FEW * self.most
        if not self.facts.splittable or (halves := within.halves()) is None:
            return await self.page_through(within, total)
        # If a half contains no less, the server's dates are probably whole days.
        is_no_less = before is not None and total >= before and within.end - within.start <= _COARSE
        if (few or is_no_less) and (paged := await self.try_pages(within, total)) is not None:
            return paged
        if self.facts.selects in ("activity", "creation"):
            older = await self.corrected(await self.count(halves[0]))
            totals = (None, None) if older is None else (older, max(0, total - older))
            return list(merge_processes(await gather_all(map(self.everything, halves, totals, (total, total)))))
        # The older first, because an updated process may move into the newer.
        return list(merge_processes([await self.everything(half, None, total) for half in halves]))

    async def try_pages(self, within: DateRange, total: int) -> list[Process] | None:
        """Return a list of several responses; None if they do not show all, as a short time ago: parts of the range
        may, if the server limits `Skip`."""
        if self.facts.recall("limited pages") is None:
            try:
                return await self.page_through(within, total)
            except SourceFailed:
                self.facts.remember("limited pages", total)
        return None

    async def count_ever(self) -> int | None:
        """Return the total of everything, from year 1 on if the server accepts that, or None if it sends none. Raises
        as `OptionalCalls.prove`."""
        facts = self.facts
        async with nullcontext() if facts.ever else facts.looking:
            if facts.ever is not None:
                return await self.count(facts.ever)
            if (total := await self.count(EVER)) is not None:
                facts.ever = EVER
                return total
            is_refused = isinstance(facts.optional.failure((f"total of {EVER}", *self.filters)), SourceFailed)
            if is_refused and (total := await self.count(WHOLE)) is not None:
                facts.ever = WHOLE
                return total
            for within in (EVER, WHOLE):
                take = partial(RangeLoader.take, within=within, most=1)
                with suppress(TemporaryFailure):  # of a server that cannot represent year 1
                    if await self.prove(f"list of {within}", take) is not None:
                        facts.ever = within
                        break
            return None

    async def outside(self) -> list[Process]:
        """Return the processes whose creation or last update has an implausible time, such as a default or that of a
        wrong clock, so that the ranges of windows do not select them. Raises SourceError."""
        facts, account = self.facts, msgspec.structs.replace(self, filters={})
        most, found = _MANY if facts.whole else _NAMED, list[Process]()
        ranges = {"early": DateRange(self.ever.start, EARLIEST), "late": DateRange(facts.latest, self.ever.end)}
        for name, within in ranges.items():
            if (holds := facts.recall(name)) is None:
                if (some := await account.after(within, 0, name)) is None:
                    self.doubts.add(_MAY_HAVE_WRONG_TIMES)
                    continue
                facts.remember(name, holds := some.length)
            loaded = await self.attempt(within, 0) if holds else []
            if (loaded.total if isinstance(loaded, TooMany) else len(loaded)) > most:
                self.doubts.add(
                    f"more than {most} envelopes have a time of creation or update before 2000 or in the future:"
                    " their events may be left out"
                )
            else:
                found += await self.everything(within) if isinstance(loaded, TooMany) else loaded
        return found if facts.whole else await self.named([one.key for one in found])

    async def name_owner(self, processes: Sequence[Process], within: DateRange, address: str) -> None:
        """Set the owner of the processes that the user with this e-mail address started, if the range does not contain
        their `Created` entry. Raises SourceUnauthorized."""
        if "User" in self.filters or all(owner_of(one.entries) for one in processes):
            return
        users = msgspec.structs.replace(self, filters={**self.filters, "User": address})
        started = await users.prove("user", partial(RangeLoader.everything, within=within))
        if started is None:
            self.doubts.add("the provider does not show which envelopes the person started: events may be left out")
            return
        known = (owner_of(one.entries) for one in started)
        if any(owner is not None and fold(owner) != fold(address) for owner in known):
            return  # a server without this filter returns all processes
        keys = {one.key for one in started}
        for process in processes:
            if process.key in keys:
                process.owner = address

    async def named(self, keys: Sequence[str], within: DateRange | None = None) -> list[Process]:
        """Return the processes with these keys, in any range with their whole logs. Raises SourceError."""
        found = await gather_all(self.one(key)._whole(within or self.ever) for key in keys)
        return list(merge_processes(found))

    async def _whole(self, within: DateRange) -> list[Process]:
        found = await self.attempt(within, 0)
        if found == [] and within is WHOLE and self.facts.ever is None and self.facts.selects != "activity":
            await msgspec.structs.replace(self, filters={}).count_ever()
            return await self._whole(EVER) if self.ever is EVER else []
        return await self.page_through(within, found.total) if isinstance(found, TooMany) else found

    async def count_of(self, keys: Sequence[str], within: DateRange) -> int | None:
        """Return the number of processes with these keys in the range; None if the provider sends none. Raises
        SourceError."""
        return await self.one(keys[0]).count(within) if len(keys) == 1 else len(await self.named(keys, within))
