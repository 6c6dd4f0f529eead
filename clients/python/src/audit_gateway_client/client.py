"""The synchronous and the asynchronous client, with the same methods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Self, Unpack
from urllib.parse import quote

import httpx

from audit_gateway_client.models import Event, EventPage, Totals
from audit_gateway_client.protocol import Filters, Model, Query, RetryPolicy, connection, first_query, parse, query_of

TIMEOUT = 60.0  #: seconds; more than the gateway's own deadline, so that its problem arrives
POLL = 10.0  #: seconds between two calls of a follower that has received everything


class EventWalk(Iterator[Event]):
    """Iterator over events.

    `cursor` is the position behind the last page that was consumed whole: pass it to `events` to resume. Events of a
    page that was left half-way come again, with the same ids. None before the first page and after the last.
    """

    def __init__(self, pages: Iterator[EventPage], cursor: str | None) -> None:
        self.cursor = cursor
        self._events = self._walk(pages)

    def _walk(self, pages: Iterator[EventPage]) -> Iterator[Event]:
        for page in pages:
            yield from page.data
            self.cursor = page.page.next_cursor

    def __next__(self) -> Event:
        return next(self._events)


class Client:
    """A gateway, by its address and an API key; `GATEWAY_URL` and `GATEWAY_KEY` are the defaults."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**connection(url, key, timeout), transport=transport)
        self._retry = retry or RetryPolicy()

    def events(
        self, *, cursor: str | None = None, follow: bool = False, poll: float = POLL, **filters: Unpack[Filters]
    ) -> EventWalk:
        """Return an iterator over all matching events, newest first, each exactly once.

        With `follow`, oldest first and without an end: after the newest event it asks again every `poll` seconds.
        """
        return EventWalk(self.pages(cursor=cursor, follow=follow, poll=poll, **filters), cursor)

    def pages(
        self, *, cursor: str | None = None, follow: bool = False, poll: float = POLL, **filters: Unpack[Filters]
    ) -> Iterator[EventPage]:
        """Yield the same, page by page: store `page.data` and `page.page.next_cursor` in one transaction."""
        query: Query | None = first_query(filters, cursor, follow)
        while query is not None:
            page = self._get("/events", query, EventPage)
            yield page
            query = [("cursor", page.page.next_cursor)] if page.page.next_cursor else None
            if follow and not page.page.has_more:
                time.sleep(poll)

    def event(self, event_id: str, *, raw: bool = False) -> Event:
        """Return one event, by its id."""
        return self._get(f"/events/{quote(event_id, safe='')}", [("include", "raw")] if raw else [], Event)

    def count(self, *, exact: bool = False, **filters: Unpack[Filters]) -> Totals:
        """Return how many events match; `relation` is `eq` for an exact value."""
        return self._get("/events/count", query_of({**filters, "exact": exact}), Totals)

    def _get(self, path: str, query: Query, model: type[Model]) -> Model:
        attempt = 0
        while True:
            attempt += 1
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = response = self._http.get(path, params=query)
            except httpx.TransportError as error:
                outcome = error
            seconds = self._retry.wait(attempt, outcome)
            if seconds is None:
                return parse(model, response)
            time.sleep(seconds)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEventWalk(AsyncIterator[Event]):
    """Asynchronous iterator over events; `cursor` as in `EventWalk`."""

    def __init__(self, pages: AsyncIterator[EventPage], cursor: str | None) -> None:
        self.cursor = cursor
        self._events = self._walk(pages)

    async def _walk(self, pages: AsyncIterator[EventPage]) -> AsyncIterator[Event]:
        async for page in pages:
            for event in page.data:
                yield event
            self.cursor = page.page.next_cursor

    async def __anext__(self) -> Event:
        return await anext(self._events)


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**connection(url, key, timeout), transport=transport)
        self._retry = retry or RetryPolicy()

    def events(
        self, *, cursor: str | None = None, follow: bool = False, poll: float = POLL, **filters: Unpack[Filters]
    ) -> AsyncEventWalk:
        """Return an iterator over all matching events; see `Client.events`."""
        return AsyncEventWalk(self.pages(cursor=cursor, follow=follow, poll=poll, **filters), cursor)

    async def pages(
        self, *, cursor: str | None = None, follow: bool = False, poll: float = POLL, **filters: Unpack[Filters]
    ) -> AsyncIterator[EventPage]:
        """Yield the same, page by page; see `Client.pages`."""
        query: Query | None = first_query(filters, cursor, follow)
        while query is not None:
            page = await self._get("/events", query, EventPage)
            yield page
            query = [("cursor", page.page.next_cursor)] if page.page.next_cursor else None
            if follow and not page.page.has_more:
                await asyncio.sleep(poll)

    async def event(self, event_id: str, *, raw: bool = False) -> Event:
        """Return one event, by its id."""
        return await self._get(f"/events/{quote(event_id, safe='')}", [("include", "raw")] if raw else [], Event)

    async def count(self, *, exact: bool = False, **filters: Unpack[Filters]) -> Totals:
        """Return how many events match; `relation` is `eq` for an exact value."""
        return await self._get("/events/count", query_of({**filters, "exact": exact}), Totals)

    async def _get(self, path: str, query: Query, model: type[Model]) -> Model:
        attempt = 0
        while True:
            attempt += 1
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = response = await self._http.get(path, params=query)
            except httpx.TransportError as error:
                outcome = error
            seconds = self._retry.wait(attempt, outcome)
            if seconds is None:
                return parse(model, response)
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
