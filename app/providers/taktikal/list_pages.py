"""Read a list of processes in several responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from app.domain.errors import SourceFailed
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import DateRange, TakeRefused
from app.providers.taktikal.list_calls import TWINS, Contradiction
from app.providers.taktikal.list_reader import UNPROVEN, ListReader
from app.providers.taktikal.models import content_of, contents_of, shares_twins
from app.providers.taktikal.observations import adds_to, keys_of
from app.providers.taktikal.wire import ActivityPage, Process, merge_processes

_PASSES = 48
_AT_ONCE = 32  #: concurrent calls of a pass
_TRIES = 3  #: passes to an end that is not proven, because processes may be added
_QUIET = 6  #: passes in another order without new items, after which a list is complete, with a reason
_STABLE = 12  #: responses in the order of the passes before that show that the order is stable
_OLD = 3  #: responses without new items behind the expected end of a list


class _Listing:
    """What the passes over a list returned. In a stable order, one pass returns all. Otherwise each returns some of the
    missing ones, and unreadable items are on several pages: equal ones count as often as on one page."""

    def __init__(self) -> None:
        self.found: dict[str, Process] = {}
        self._items: dict[tuple[str | bytes, ...], Process] = {}  # by their content, if `Skip` counts items
        self._unreadable = Counter[str]()
        self.quiet = self._same = self._held = 0  # passes without new items, and in the order of the one before
        self._order: list[set[str]] = []

    def add(self, pages: Sequence[ActivityPage]) -> None:
        """Add a pass."""
        batches = [self.found.values(), *(page.processes for page in pages)]
        self.found = {one.key: one for one in merge_processes(batches)}
        for page in pages:
            self._unreadable |= page.unreadable
        held = self.bad.total() + len(self.found) + _entries_of(self.found.values())
        order = list(map(keys_of, pages))
        self.quiet = self.quiet + 1 if held == self._held else 0
        self._same = self._same + 1 if order == self._order else 0
        self._held, self._order = held, order

    def add_items(self, pages: Iterable[ActivityPage]) -> None:
        parts = (part for page in pages for part in page.parts)
        self._items |= {(part.key, *sorted(map(content_of, part.entries))): part for part in parts}

    @property
    def bad(self) -> Counter[str]:
        """Return the unreadable items that are not a process in another response."""
        return Counter({mark: times for mark, times in self._unreadable.items() if mark not in self.found})

    @property
    def length(self) -> int:
        """Return the number of processes, or of items if no entry is in two, with the unreadable ones."""
        parts = self._items.values()
        is_once = _entries_of(merge_processes([parts])) == _entries_of(parts)
        return max(len(self.found), len(parts) if is_once else 0) + self.bad.total()

    @property
    def is_stable(self) -> bool:
        return self.quiet > 0 and self._same * len(self._order) >= _STABLE

    @property
    def is_one_page(self) -> bool:
        """Whether all responses of the last pass have the same processes."""
        return len(set(map(frozenset, self._order))) == 1


class PagedReader(ListReader):
    """Page through lists for one request."""

    async def page_through(self, within: DateRange, total: int) -> list[Process]:
        """Read all pages of a list, in passes, until as many different processes were returned as it contains. Raises
        SourceError."""
        listing, claimed, tries = _Listing(), total, 0
        for _ in range(_PASSES):
            try:
                pages, end = await self._pass(within, total)
            except TakeRefused:
                continue
            listing.add(pages)
            if end is None:
                if listing.quiet or listing.is_one_page:
                    break  # the server does not apply `Skip`
                continue
            shares = await self._compare_items(pages, within)
            if self.facts.counts_items:
                listing.add_items(pages)
            self.facts.is_shuffled |= listing.length < end
            is_all = listing.is_stable or (listing.length >= end and (end >= total or listing.quiet > 0))
            if is_all or listing.quiet >= _QUIET:
                lengths = listing.length, end
                lacking = await self._behind(within, end, lengths, pages, listing.found.values(), claimed)
                tries += 1
                if tries == _TRIES and lacking > 1 and end > 1 and not await self._ends(within, pages, end):
                    break
                if tries == _TRIES and lacking and await self._apart(within, end, list(listing.found.values())):
                    break
                if not lacking or tries == _TRIES:
                    if lacking or not is_all:
                        self.doubts.add(UNPROVEN)
                    if shares and self.facts.splits:
                        self.doubts.add(TWINS)
                    # Wrong totals would cost as many passes again.
                    self.facts.totals_are_wrong = self.facts.totals_are_wrong or lacking > 1
                    self.unreadable |= listing.bad
                    self.doubt_halves(pages)
                    return list(listing.found.values())
            total = end
        raise SourceFailed(
            f"the provider's responses for one range, which cannot be divided, contradict each other: they contain"
            f" {listing.length} of {total} signing processes, at most {self.most} each; a narrower query may work"
        )

    async def _ends(self, within: DateRange, pages: Sequence[ActivityPage], end: int) -> bool:
        """Whether a list ends where its responses do, though the total promises more: after as many processes less one
        as the longest response contains, no other follows."""
        skip = max(1, end + 1 - max((page.length for page in pages), default=0))
        rest, _ = await self.take(within, self.most, skip)
        return 0 < await self.places(rest, within) == end - skip

    async def _compare_items(self, pages: Sequence[ActivityPage], within: DateRange) -> bool:
        """Find processes that are in parts on several pages of a list. Return whether such parts share entries without
        ids, which may be twins or one entry."""
        items: dict[str, list[Process]] = {}
        for page in pages:
            for process in page.processes:
                items.setdefault(process.key, []).append(process)
        split, shares = None, False
        for one, other in (pair for found in items.values() for pair in pairwise(found)):
            mine, theirs = contents_of(one.entries), contents_of(other.entries)
            shares |= shares_twins(mine & theirs, other.entries)
            if mine - theirs and theirs - mine:
                split = one.key
                shares |= self.shares_twins((one, other))
        if split is not None:
            self.facts.splits = True
            await self._find_unit(split, within)
        return shares

    async def _pass(self, within: DateRange, total: int) -> tuple[list[ActivityPage], int | None]:
        """Return the pages of one pass, and the list's end; None if it continues without new items."""
        pages: list[ActivityPage] = []
        refused: dict[int, SourceFailed] = {}  # by `Skip`

        async def fetch(take: int, skip: int) -> ActivityPage | None:
            """Return None for an error, by which some servers end a list; `_behind` shows whether it does."""
            try:
                return await self._fetch(within, min(self.most, take), skip)
            except (TakeRefused, Contradiction):
                raise
            except SourceFailed as error:
                refused[skip] = error
                return None

        async def fill(skip: int, stop: int) -> int:
            """Fetch from `skip` up to `stop`, in several responses if the server truncates them; return the end of the
            last one, 0 without any."""
            end, before = 0, list[ActivityPage]()
            while skip < stop:
                page = await fetch(stop - skip, skip)
                if page is None or page.length == 0:
                    break
                # The last process of the one before may be repeated.
                self.facts.cuts.update(self.facts.places(one) for one in before if adds_to(one.processes, page))
                before = [*before[-1:], page]
                pages.append(page)
                end = skip + await self.places(page, within)
                skip = end - self._may_end_inside(page, min(self.most, stop - skip))
            return end

        step = self.most
        total = min(max(total, 1), step * _AT_ONCE)  # a total may be far too high
        end = max(await gather_all(fill(skip, min(skip + step, total)) for skip in range(0, total, step)))
        if refused and (not pages or min(refused) < end):
            raise refused[min(refused)]
        known, old, skip = {key for page in pages for key in keys_of(page)}, 0, end
        while True:
            if old == _OLD and await self.is_endless(within):
                return pages, None  # the server limits or ignores `Skip`
            page = await fetch(self.most, skip)
            if page is None or page.length == 0:
                return pages, end
            pages.append(page)
            end = skip + await self.places(page, within)
            skip = end - self._may_end_inside(page, self.most)
            old = old + 1 if keys_of(page) <= known else 0
            known |= keys_of(page)

    def _may_end_inside(self, page: ActivityPage, take: int) -> bool:
        """Whether a response may be truncated between two items of its last process, which must then begin the next
        one."""
        facts = self.facts
        if facts.counts_items or page.length <= 1:
            return False
        return page.length < take or (facts.splits and facts.truncates)


def _entries_of(processes: Iterable[Process]) -> int:
    return sum(len(one.entries) for one in processes)
