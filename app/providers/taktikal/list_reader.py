"""Read a list of processes in responses, and prove its end.

The order of a response, `Take`, `Skip` and `/total` are unreliable: a server may truncate responses by count or by
bytes, limit or ignore `Skip`, and a total may lag behind its list, be too high, too low or capped. The first of these
rules that applies determines whether a list is complete:

1. A response so much smaller than one to as large a `Take` that it cannot be truncated is complete (`is_whole`).
2. A response from the last process on (`Skip`) with others, or one after it with any, shows that the list continues.
3. One from the last process on that contains it alone ends the list, if a process many times larger would fit, and no
   total promises more.
4. An empty response after the last process ends the list, if such a process would fit in the one before, or a process
   after as long a `Skip` in the account shows that this is no limit of `Skip`. An error ends it in the first case.
5. Otherwise the total decides, because a limit of bytes or of `Skip` may hide the rest. If it promises more, the range
   is read in parts, and without parts again: the third time, `PagedReader` believes an end that the responses show.
   Otherwise the times without a known process are read, because all limits may end at one place (`_apart`).

If only a total that differs decided, or nothing did, the answer has a reason (`doubts`).

The faults are switches of the emulator. `tests/paging/test_exactly_once.py` reads through each of them, and
`tests/properties/test_taktikal_faults.py` through several at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

import msgspec

from app.domain.errors import SourceFailed, SourceTimeout, SourceUnavailable
from app.domain.times import SECOND
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import MAX_TAKE, WHOLE, DateRange
from app.providers.taktikal.list_calls import BEHIND, Contradiction, ListCalls
from app.providers.taktikal.observations import adds_to, keys_of, selected_ticks
from app.providers.taktikal.wire import ActivityPage, Process

_AMPLE = 32  #: times the largest process that the next one is surely smaller than
_FAR = 1 << 24  #: a `Skip` after all processes
_SAMPLE = 64  #: processes of an account's first response
_GAPS = 8  #: ranges without known processes that show whether a small account has others
_TRUNCATED = 2  #: processes that a response as long as a truncated one lacks, or more
UNPROVEN = "the provider's responses do not show whether they are complete: events may be left out"
#: Nothing contradicts the end of a list that is as short as the account; without totals nothing else confirms it.
UNCOUNTED = "neither a total nor a longer response confirms where the provider's list ends: events may be left out"


class ListReader(ListCalls):
    """Prove the ends of lists for one request."""

    async def _lacking(self, page: ActivityPage, take: int, within: DateRange, total: int | None) -> int:
        """Return the number of processes that a response seems to lack; 0 if complete. A total is no proof, because it
        may be low by as much as the response is truncated."""
        places = await self.places(page, within)
        if places >= take and take != self.most:
            return max(places, (await self.count(within) or 0) - places)
        is_short = max(page.length, page.items) < take and (total is None or total <= page.length)
        if is_short and self.facts.is_whole(page, take):
            return 0
        if page.null and (total := await self._counted(within)):
            raise SourceFailed(f"the provider's answer is empty, but it counts {total} signing processes")
        if page.null and total is None:
            self.doubts.add(UNCOUNTED)  # a proxy that answers nothing to all calls looks the same
        lacking = await self._behind(within, places, (page.length, places), [page], page.processes, total or 0)
        if not lacking:
            return 0
        if await self.is_endless(within):
            # The server ignores `Skip`: only the total, or times without the response's processes, show that more
            # follow. A total alone is not believed against a response that is shorter than another.
            more = (await self._counted(within) or 0) - places
            if more > 0 and page.items >= self.facts.longest:
                return more
            self.doubts.add(UNPROVEN)
            return await self._apart(within, places, page.processes)
        counted = await self.corrected(await self.count(within))
        return max(lacking, (counted or 0) - places)

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
        earlier total. If the provider refuses calls, only totals show more, and the end is in doubt."""
        facts, length, has_skipped, has_room = self.facts, max(lengths), places <= 1, False
        if places > 1 and (last := await self.after(within, places - 1)) is not None:
            if last.length > 1 or adds_to(known, last):
                return max(1, last.length - 1)
            has_skipped = last.length > 0
            has_room = has_skipped and facts.has_room(last, pages)
            if has_room and claimed <= length and facts.has_room(last, pages, _AMPLE):
                return 0
        behind = await self.after(within, places, "again" if not places else "end" if has_skipped else "skip")
        is_one = "ProcessKey" in self.filters and length == 1
        if is_one and behind is not None and not behind.length and pages[0].items == 1:
            await self._sample_account(pages[0])
        if behind is None:
            if has_skipped and has_room:
                return 0  # some servers refuse a `Skip` after the last process
            has_skipped = has_skipped and places > 0 and (places > 1 or await self._skips(places))
        elif behind.length or places == 0 or (has_skipped and (is_one or has_room or await self._skips(places))):
            return behind.length
        return await self._total_lacks(within, places, lengths, known, claimed, behind, has_skipped)

    async def _total_lacks(
        self,
        within: DateRange,
        places: int,
        lengths: tuple[int, int],
        known: Iterable[Process],
        claimed: int,
        behind: ActivityPage | None,
        has_skipped: bool,
    ) -> int:
        """Return the number of processes that only a total shows behind a list, if responses do not show its end.
        `behind`: the response there, if any; `has_skipped`: whether a `Skip` in the list took effect."""
        facts, length = self.facts, max(lengths)
        counted = await self._counted(within)
        if behind is None and counted is None:
            # Nothing shows more: a page that waits or fails is better than one that may lack most of its events. After
            # a `Skip` that took effect, an error is the end of the list, unless `_apart` finds more.
            try:
                behind, _ = await self.take(within, BEHIND, places)
            except SourceFailed as error:
                if not has_skipped or isinstance(error, Contradiction):
                    raise
            if behind is not None and behind.length:
                return behind.length
        claim = await self.corrected(claimed) if claimed > length else 0
        # Processes may have been removed since.
        is_withdrawn = has_skipped and (claim is None or (claim > length and counted is not None))
        # The account is, so that `Skip` seems to be limited.
        is_larger = behind is not None and facts.honoured > length
        lacking = 0 if counted in lengths else int(is_larger) if (counted or 0) < length else (counted or 0) - length
        lacking = lacking if is_withdrawn else max(lacking, (claimed if claim is None else claim) - length)
        is_cut = counted not in lengths and length in facts.cuts
        if not lacking and is_cut and facts.recall("limited pages") is not None:
            return _TRUNCATED
        if lacking > 0:
            return lacking
        is_doubtful = not has_skipped or is_larger or is_withdrawn
        if is_doubtful or counted not in lengths:
            is_consistent = counted is None and not is_doubtful
            self.doubts.add(UNCOUNTED if is_consistent else UNPROVEN)
        agrees = counted in lengths
        return 0 if is_doubtful and agrees else await self._apart(within, length, list(known), agrees=agrees)

    async def _apart(self, within: DateRange, length: int, known: Sequence[Process], *, agrees: bool = False) -> int:
        """Return the number of processes in the longest times without one of the `known`: a total and a `Skip` may be
        limited to as many as a response is truncated to. `agrees`: whether the total is their number, so that the
        calls are optional, and needed once for a `length`."""
        facts = self.facts
        if not known or "ProcessKey" in self.filters or (agrees and facts.recall("apart") == length):
            return 0
        times = [ticks // 10 for one in known for ticks in selected_ticks(one, facts.selects)]
        edges = [within.start, *sorted(time for time in times if within.start <= time < within.end), within.end]
        gaps = [gap for start, end in pairwise(edges) if (gap := DateRange.inside(start + SECOND, end)) is not None]
        is_certain = not agrees and not any(map(self._is_unavailable, ("total", "skip", "end", "again", "skip of all")))
        if not gaps and is_certain and length >= min(facts.cuts, default=MAX_TAKE):
            return _TRUNCATED  # as a response of this length was, and no other time shows the opposite
        gaps = sorted(gaps, key=lambda gap: gap.start - gap.end)[:_GAPS]
        take = partial(ListReader.take, most=BEHIND)
        found = await gather_all(
            self.prove("apart", partial(take, within=gap)) if agrees else take(self, gap) for gap in gaps
        )
        keys = set[str]().union(*(keys_of(page) for page, _ in filter(None, found))) - {one.key for one in known}
        if None in found:
            self.doubts.add(UNPROVEN)
        elif not keys:
            facts.remember("apart", length)
        return len(keys)

    async def _sample_account(self, page: ActivityPage) -> None:
        """Read the first responses of the account, unless a longer one than `page` is known, which has a single item of
        a process: where the server truncates by bytes, another item of the process may be cut off."""
        facts, account = self.facts, msgspec.structs.replace(self, filters={})
        before: ActivityPage | None = None
        skip = 0
        for _ in range(3 if facts.honoured <= 1 and facts.recall("sample") is None else 0):
            found = await account.prove("sample", partial(ListReader.take, within=WHOLE, most=_SAMPLE, skip=skip))
            if found is None or (before and not adds_to(before.processes, found[0])):
                break
            if before is not None:
                facts.cut(before)
            before, take = found
            facts.answered(before, take)
            facts.remember("sample", before.length)
            if before.length >= take or not facts.is_tight(page):
                break
            skip += await account.places(before, WHOLE)
        self.doubt_halves([page])

    def _is_unavailable(self, kind: str) -> bool:
        """Whether optional calls of a kind failed for now, rather than that the provider refuses them."""
        failure = self.facts.optional.failure((kind, *self.filters))
        return isinstance(failure, SourceUnavailable | SourceTimeout)

    async def is_endless(self, within: DateRange) -> bool:
        """Whether a `Skip` after all processes takes no effect, in a list with any."""
        known = self.facts.recall("far skip")
        if known is None and (far := await self.after(within, _FAR, "far skip", most=1)) is not None:
            self.facts.remember("far skip", known := far.length)
        return bool(known)

    async def _skips(self, skip: int) -> bool:
        """Whether the account's list continues after `skip`: an empty response there is not a limit of `Skip`."""
        if skip > self.facts.longest_skip:
            account = msgspec.structs.replace(self, filters={})
            if (found := await account.after(WHOLE, skip, "skip of all")) is not None and found.length:
                self.facts.longest_skip = skip
        return skip <= self.facts.longest_skip
