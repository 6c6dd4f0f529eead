"""The list calls of one walk through Subnoto's log, and what their pages show of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.domain.errors import TemporaryFailure
from app.paging.steadiness import have_risen, is_shuffled
from app.providers.base import CallBudget, ReadRequest
from app.providers.subnoto.client import EventTypesRefused, LogQuery, PageTooLarge, SubnotoClient
from app.providers.subnoto.gaps import SHUFFLED, UNORDERED
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.time_index import TimeIndex
from app.providers.subnoto.wire import LogPage, LogRow


class LogRequest(msgspec.Struct, frozen=True):
    """One stream of one request: the list that it reads and what is known of the account. `skew` in µs: the setting;
    `now` in µs guides the search for a time."""

    client: SubnotoClient
    query: LogQuery
    span: ReadRequest
    spent: CallBudget
    source: str
    skew: int
    now: int
    observations: AccountObservations
    index: TimeIndex


class LogCalls:
    """The calls of one `request`. Pages are compared with earlier ones of their number, and recorded for later walks.

    `query`: the request's, without event types once they are refused; `doubts`: reasons of `gaps` that stay for the
    whole walk; `any_readable`: whether any row was readable; `exceeds`: whether lists have exceeded totals."""

    def __init__(self, request: LogRequest) -> None:
        self._request, self.query = request, request.query
        self.doubts = set[str]()
        self.any_readable = self.exceeds = False
        # By size, number, and whether the total is exceeded.
        self._pages: dict[tuple[int, int, bool], list[LogRow]] = {}

    async def list_pages(self, pages: list[int], size: int, kind: str | None) -> list[tuple[int, LogPage]] | None:
        """Return pages, or None if they are a proof of this `kind` that the provider refuses, which is a reason. Raises
        as `list_logs`."""
        request = self._request
        if kind is None:
            return await request.client.list_logs(self.query, pages, size, request.spent)

        async def attempt(spent: CallBudget) -> list[tuple[int, LogPage]] | PageTooLarge:
            try:
                return await request.client.list_logs(self.query, pages, size, spent)
            except PageTooLarge as error:
                return error
            except EventTypesRefused:
                raise TemporaryFailure("the provider refuses event types that it accepted") from None

        found = await request.observations.optional.prove(kind, request.spent, attempt)
        if isinstance(found, PageTooLarge):
            raise found
        if found is None:
            self.doubts.add(kind)
        return found

    def refuse_types(self, *, is_known: bool) -> None:
        """Continue without event types, which the server refuses."""
        query = self.query
        self._request.observations.refuse(query.event_types, is_known=is_known)
        self.query = LogQuery(query.category, query.envelope, query.workspace)

    def learn(self, found: Sequence[tuple[int, LogPage]], size: int) -> None:
        """Record pages of `size` rows, and doubt the log if they contradict those of the same numbers."""
        request, observations = self._request, self._request.observations
        observations.learn(self.query.category, [page for _, page in found])
        for number, page in found:
            self.any_readable = self.any_readable or not all(row.bad for row in page.rows)
            offset = (number - 1) * size
            is_repeated = page.number is not None and page.number < number
            exceeds = offset + len(page.rows) > page.total
            if not is_repeated:
                # A page after the end may be the last one again, whose rows rise where others are removed.
                key, is_full = (size, number, exceeds), len(page.rows) == size
                if before := self._pages.get(key):
                    if is_shuffled(before, page.rows, first=number > 1, last=is_full):
                        self.doubts.add(SHUFFLED)
                    if not exceeds and have_risen(before, page.rows):
                        self.doubts.add(UNORDERED)
                self._pages[key] = page.rows
            self.exceeds |= bool(page.rows) and not is_repeated and exceeds
            late = request.index.learn(self.query, offset, page.rows, page.total, request.now, request.skew)
            observations.note_lag(late)
