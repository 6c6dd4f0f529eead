"""Subnoto's API calls, one method each, with the gateway's errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from app.domain.errors import CallUnauthorized, SourceFailed, SourceForbidden
from app.domain.times import now_micros
from app.providers.base import CallBudget
from app.providers.http.client import ProviderHttp, error_for
from app.providers.http.concurrency import gather_all
from app.providers.http.response import ResponseTooLarge
from app.providers.subnoto.wire import LogPage, decode_error, decode_page

#: Vendor's reference page: "defaults to 50, maximum is 50".
PAGE_SIZE = 50

MAX_PAGE = 4 * 1024 * 1024  #: bytes of a page of several rows

#: Vendor's reference page; the newer API lists the last two, which may not answer yet.
CATEGORIES = ("envelope", "team", "user", "dataroom")

#: Error codes for an unknown object, as opposed to an invalid call.
ABSENT = frozenset({"ENVELOPE_NOT_FOUND", "WORKSPACE_NOT_FOUND"})

_NO_SUCH_PAGE = (400, 404, 416, 422)

#: Error codes for a part of the account that this valid key may not read.
REFUSED = frozenset({"AUTHORIZATION_ERROR", "FEATURE_NOT_IN_CURRENT_PLAN", "LOG_CATEGORY_NOT_IMPLEMENTED"})


class EventTypesRefused(Exception):
    """The server refuses one of the call's event types; perhaps only now, unless `is_known`."""

    def __init__(self, *, is_known: bool = False) -> None:
        self.is_known = is_known


class PageTooLarge(SourceFailed):
    """A page of so many `bytes` exceeds the memory; fewer rows are needed."""

    def __init__(self, size: int) -> None:
        super().__init__("the provider's page is too large")
        self.bytes = size


class LogQuery(msgspec.Struct, frozen=True):
    """Parameters of a list call, in combinations that the vendor's documents allow."""

    category: str
    envelope: str | None = None
    workspace: str | None = None
    event_types: tuple[str, ...] = ()
    by_time: bool = False  #: only for checks

    def body(self, page: int, limit: int) -> dict[str, Any]:
        # `id` is insertion order and the only strict one: the order of ties of `timestamp` may change with each call.
        body: dict[str, Any] = {
            "category": self.category,
            "page": page,
            "limit": limit,
            "sortBy": "timestamp" if self.by_time else "id",
            "sortOrder": "asc",
        }
        if self.envelope is not None:
            body["envelopeUuid"] = self.envelope
        if self.workspace is not None:
            body["workspaceUuid"] = self.workspace
        if self.event_types:
            body["eventTypes"] = list(self.event_types)
        return body


class SubnotoClient:
    """Client of the log API, without state except connections. `clock` returns µs since the epoch."""

    def __init__(self, http: ProviderHttp, clock: Callable[[], int] = now_micros) -> None:
        self._http, self._clock = http, clock

    async def list_logs(
        self, query: LogQuery, pages: Sequence[int], limit: int, spent: CallBudget
    ) -> list[tuple[int, LogPage]]:
        """Return pages by number (from 1), of `limit` rows each; after the first, they may be refused. Raises
        SourceError, EventTypesRefused, PageTooLarge."""
        answers = await gather_all(self._page(query, page, limit, spent) for page in pages)
        return list(zip(pages, answers, strict=True))

    async def _page(
        self, query: LogQuery, page: int, limit: int, spent: CallBudget, *, is_again: bool = False
    ) -> LogPage:
        try:
            answer = await self._http.call("POST", "public/logs/list", spent, json=query.body(page, limit))
        except ResponseTooLarge as large:
            if limit > 1:
                raise PageTooLarge(large.most) from None
            raise
        error = None
        if len(answer.body) > MAX_PAGE and limit > 1:
            raise PageTooLarge(len(answer.body))
        if answer.ok:
            try:
                decoded = decode_page(answer.body, self._clock())
            except SourceFailed:
                error = decode_error(answer.body)
                if error.code is None and query.event_types:
                    raise EventTypesRefused from None
                if error.code is None:
                    raise  # not an error with a status of success
            else:
                is_empty, empty = not decoded.rows and not decoded.total, "the provider's answer is empty"
                if is_empty and not is_again:
                    # One such response would hide the whole log.
                    return await self._page(query, page, limit, spent, is_again=True)
                if is_empty and page > 1:
                    # It shows no end of the log. After the end, a server that counts while it lists sends it, too.
                    return LogPage([], 0, "", refusal=SourceFailed(empty))
                if is_empty and not decoded.shape and answer.status != 204:
                    raise SourceFailed(empty)
                _check_filters(query, decoded)
                spent.records += len(decoded.rows)
                return decoded
        error = error or decode_error(answer.body)
        if error.code in ABSENT:
            return LogPage([], 0, "")
        found = error_for(answer, code=error.code, request_id=error.request_id)
        if answer.status in _NO_SUCH_PAGE and page > 1 and type(found) is SourceFailed:
            return LogPage([], 0, "", refusal=found)
        if answer.status == 400 and query.event_types and error.code == "INVALID_REQUEST_FORMAT":
            raise EventTypesRefused(is_known=True)
        if error.code in REFUSED and answer.status in (200, 400, 403):
            detail = f"the provider answered {answer.status} ({error.code})"
            raise SourceForbidden(detail, provider_request_id=error.request_id)
        if query.event_types and isinstance(found, SourceFailed | CallUnauthorized):
            raise EventTypesRefused  # without them, the next call shows whether they are the reason
        raise found


def _check_filters(query: LogQuery, page: LogPage) -> None:
    """Raise EventTypesRefused or SourceFailed if the server ignores a filter, as one that does not know it may do: its
    other records would be returned, returned by several streams, and counted."""
    sent = [row.sent for row in page.rows if not row.bad]
    if query.event_types and any(one.event_type not in query.event_types for one in sent):
        raise EventTypesRefused
    envelope, workspace = query.envelope, query.workspace
    ignored = {
        "category": not page.categories.isdisjoint([name for name in CATEGORIES if name != query.category]),
        "envelopeUuid": envelope and any((one.envelope_uuid or envelope).lower() != envelope.lower() for one in sent),
        "workspaceUuid": workspace
        and any((one.workspace_uuid or workspace).lower() != workspace.lower() for one in sent),
    }
    for name in filter(ignored.get, ignored):
        raise SourceFailed(f"the provider's answer has records of another {name} than was asked for")
