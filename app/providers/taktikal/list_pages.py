"""Read a list of processes in several responses."""

from __future__ import annotations

from collections import Counter

from app.domain.errors import SourceFailed
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import DateRange, TakeRefused
from app.providers.taktikal.items import adds_to, compare_items, distinct, entries_of
from app.providers.taktikal.list_reader import TWINS, UNPROVEN, ListReader
from app.providers.taktikal.observations import keys_of
from app.providers.taktikal.wire import ActivityPage, Process, merge_processes

_PASSES = 48
_AT_ONCE = 32  #: concurrent calls of a pass
_TRIES = 3  #: passes to an end that is not proven, because processes may be added
_QUIET = 6  #: passes in another order without new items, after which a list is complete, with a reason
_STABLE = 12  #: responses in the order of the passes before that show that the order is stable
_OLD = 3  #: responses without new items behind the expected end of a list


class PagedReader(ListReader):
    """Page through lists for one request."""

    async def page_through(self, within: DateRange, total: int) -> list[Process]:
        """Read all pages of a list, until as many different processes were returned as it contains.

        With a stable order, one pass suffices. Otherwise each pass returns some of the missing ones, and unreadable
        items are on several pages: equal ones count as often as on one page. Raises SourceError."""
        found: dict[str, Process] = {}
        unreadable, items = Counter[str](), dict[tuple[str | bytes, ...], Process]()
        quiet, same, known, tries, before, claimed = 0, 0, 0, 0, list[set[str]](), total
        pages, end = list[ActivityPage](), None
        for _ in range(_PASSES):
            try:
                pages, end = await self._pass(within, total)
            except TakeRefused:
                continue
            found = {one.key: one for one in merge_processes([found.values(), *(page.processes for page in pages)])}
            for page in pages:
                unreadable |= page.unreadable
            bad = Counter({mark: times for mark, times in unreadable.items() if mark not in found})
            held = bad.total() + sum(len(one.entries) + 1 for one in found.values())
            if end is None:
                if held == known or len(set(map(frozenset, map(keys_of, pages)))) == 1:
                    break  # the server does not apply `Skip`
                known = held
                continue
            quiet, known = quiet + 1 if held == known else 0, held
            order = [keys_of(page) for page in pages]
            same, before = same + 1 if order == before else 0, order
            split, shares = compare_items(pages)
            if split is not None:
                self.facts.splits = True
                await self._find_unit(split, within)
            # The end may count items, of which a process may have several, and equal unreadable ones count once.
            items = items | distinct(pages) if self.facts.counts_items else items
            is_once = entries_of(merge_processes([items.values()])) == entries_of(items.values())
            reached = max(len(found), len(items) if is_once else 0) + bad.total()
            self.facts.is_shuffled |= reached < end
            exact = reached >= end and (end >= total or quiet)
            is_stable = quiet > 0 and same * len(pages) >= _STABLE
            if exact or is_stable or quiet >= _QUIET:
                lacking = await self._behind(within, end, (reached, end), pages, found.values(), claimed)
                tries += 1
                is_last = tries == _TRIES
                if not lacking or (is_last and (lacking == 1 or await self._ends(within, pages, end))):
                    if lacking:
                        self.doubts.add(UNPROVEN)
                    # Wrong totals would cost as many passes again.
                    self.facts.totals_are_wrong = self.facts.totals_are_wrong or lacking > 1
                    self.unreadable |= bad
                    self.doubt_halves(pages)
                    if shares and self.facts.splits:
                        self.doubts.add(TWINS)
                    if not (exact or is_stable):
                        self.doubts.add(UNPROVEN)
                    return list(found.values())
                if is_last:
                    break
            total = end
        if pages and end is None and max(page.items for page in pages) < self.facts.longest:
            # A limit by count is not below a longer response: rather the total is wrong.
            self.doubts.add(UNPROVEN)
            self.unreadable |= unreadable
            return list(found.values())
        raise SourceFailed(
            f"the provider holds {total} signing processes in one range that cannot be divided, hands out"
            f" {self.most} at a time, and never the same ones twice; a narrower query may work"
        )

    async def _pass(self, within: DateRange, total: int) -> tuple[list[ActivityPage], int | None]:
        """Return the pages of one pass, and the list's end; None if it continues without new items."""
        pages: list[ActivityPage] = []

        async def fill(skip: int, stop: int) -> int:
            """Fetch from `skip` up to `stop`, in several responses if the server truncates them; return the end of the
            last one, 0 without any."""
            end, before = 0, list[ActivityPage]()
            while skip < stop:
                page = await self._fetch(within, min(self.most, stop - skip), skip)
                if page.length == 0:
                    break
                # The last process of the one before may be repeated.
                self.facts.cuts.update(one.length for one in before if adds_to(one.processes, page))
                before = [*before[-1:], page]
                pages.append(page)
                end = skip + await self._places(page, within)
                skip = end - self._may_end_inside(page, min(self.most, stop - skip))
            return end

        step = self.most
        total = min(max(total, 1), step * _AT_ONCE)  # a total may be far too high
        end = max(await gather_all(fill(skip, min(skip + step, total)) for skip in range(0, total, step)))
        known, old, skip = {key for page in pages for key in keys_of(page)}, 0, end
        # A response far behind shows whether the server limits or ignores `Skip`, so that the list has no end.
        while old != _OLD or not await self.is_endless(within):
            page = await self._fetch(within, self.most, skip)
            if page.length == 0:
                return pages, end
            pages.append(page)
            end = skip + await self._places(page, within)
            skip = end - self._may_end_inside(page, self.most)
            old = old + 1 if keys_of(page) <= known else 0
            known |= keys_of(page)
        return pages, None

    def _may_end_inside(self, page: ActivityPage, take: int) -> bool:
        """Whether a response may be truncated between two items of its last process, which must then begin the next
        one."""
        return 1 < page.length < take and not self.facts.counts_items
