"""Pages are bounded in bytes as well as in events, and few large ones are rendered at a time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from app.api.middleware import LargePages
from app.api.rendering import MAX_PAGE
from app.domain.event import Event
from app.domain.query import Query
from app.feed.model import FeedSettings
from app.feed.service import Feed
from app.providers.base import ENOUGH_BYTES, Batch, CallBudget, ReadRequest
from sandbox.serving import serve
from tests.api.conftest import make_app, opened
from tests.api.memory import MemoryReader, MemoryRecord, MemorySource, history
from tests.providers.faulty import Rewritten
from tests.worlds import SubnotoOptions, TaktikalOptions, ask, describe, world

PLAIN = {"Accept-Encoding": "identity"}


class LargeRecord(MemoryRecord):
    """A record whose description has `size` bytes."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__("north", number)
        self.size = size

    def event(self) -> Event:
        event = super().event()
        event.description = "x" * self.size
        return event


@pytest.mark.parametrize(
    ("size", "count", "order", "encoding"),
    [(300_000, 60, "asc", "gzip"), (1_000_000, 20, "desc", "identity"), (MAX_PAGE // 2, 3, "asc", "identity"),
     (MAX_PAGE + 1, 2, "desc", "identity")],
)  # fmt: skip
async def test_pages_are_bounded_in_bytes_and_lose_no_event(size: int, count: int, order: str, encoding: str) -> None:
    source = MemorySource("north", [LargeRecord(number, size) for number in range(count)])
    ids: list[str] = []
    async with opened(make_app([source])) as client:
        query: dict[str, str] = {"since": "2020-01-01", "order": order, "limit": "1000"}
        while True:
            response = await client.get("/events", params=query, headers={"Accept-Encoding": encoding})
            page = response.json()
            assert page["data"]
            assert len(response.content) < MAX_PAGE + 10_000 or len(page["data"]) == 1
            ids += [event["id"] for event in page["data"]]
            assert page["page"]["has_more"] is (page["page"]["next_cursor"] is not None)
            assert (page["page"]["next_cursor"] is None) == ("Link" not in response.headers)
            if page["page"]["next_cursor"] is None:
                break
            query = {"cursor": page["page"]["next_cursor"]}
    assert len(ids) == len(set(ids)) == count


@pytest.mark.parametrize(
    ("path", "events"), [("/events?", 1000), ("/events/export?", 1000), ("/events?recipient=nobody@example.com&", 0)]
)
async def test_rendering_a_response_yields_to_other_requests(
    path: str, events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryReader, "at_once", 1000)
    switches = 0

    async def other() -> None:
        nonlocal switches
        while True:
            await asyncio.sleep(0)
            switches += 1

    source = MemorySource("north", [LargeRecord(number, 200) for number in range(1000)])
    async with opened(make_app([source])) as client:
        running = asyncio.create_task(other())
        response = await client.get(f"{path}since=2020-01-01&limit=1000", headers=PLAIN)
        running.cancel()
    assert response.text.count("x" * 200) == events
    assert switches >= 8, "100 events at a time"


async def test_large_records_are_read_a_few_at_a_time() -> None:
    """Also the provider's responses: a page over them once took more than a gigabyte."""
    async with world(subnoto=SubnotoOptions(events=60), taktikal=TaktikalOptions(events=60)) as one:
        with serve(Rewritten(one.subnoto.app, pad)) as subnoto, serve(Rewritten(one.taktikal.app, pad)) as taktikal:
            feed = one.gateway(SUBNOTO_BASE_URL=subnoto, TAKTIKAL_BASE_URL=f"{taktikal}/api")
            query: dict[str, Any] = {"since": "P90D", "limit": 1000}
            found, pages = [], []
            while True:
                page = await ask(feed, **query)
                pages.append(page)
                found += [describe(record)[:5] for record in page.records]
                if page.next_cursor is None:
                    break
                query = {"cursor": page.next_cursor}
            assert sorted(found) == sorted(row[:5] for row in one.truth())
            assert len(pages) > 1
            assert all(page.records for page in pages)


class TwoStreams(MemorySource):
    """Even and odd numbers as two streams, each response of which has 3/8 of the bytes of a page."""

    def streams(self, query: Query) -> Sequence[str]:
        return ["0", "1"]

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> MemoryReader:
        half = MemorySource(self.name, [record for record in self.records if record.number % 2 == int(stream)])
        return LargeReader(half, span, spent)


class LargeReader(MemoryReader):
    async def read(self, want: int, max_calls: int) -> Batch:
        batch = await super().read(want, max_calls)
        await asyncio.sleep(0)
        self.spent.bytes += ENOUGH_BYTES * 3 // 8
        await asyncio.sleep(0)
        return batch


async def test_bytes_of_streams_that_are_read_concurrently_count_once() -> None:
    feed = Feed([TwoStreams("north", history("north", 400))], FeedSettings(("s" * 32,)))
    page = await ask(feed, since="2020-01-01", limit=300)
    assert page.sources[0].calls == 4, "after two reads of each stream, not after one"
    assert len(page.records) > 150
    assert page.has_more


def pad(response: Any) -> Any:
    for item in response if isinstance(response, list) else response.get("logs", []):
        for record in item.get("activityLog", [item]):
            if "eventData" in record:
                record["eventData"] = {**(record["eventData"] or {}), "padding": "x" * 300_000}
            else:
                record["description"] = "x" * 300_000
    return response


async def test_large_pages_are_rendered_a_few_at_a_time_unless_all_hang() -> None:
    pages, inside = LargePages(patience=0.2), 0
    most: list[int] = []

    async def page(limit: int | None, seconds: float) -> None:
        nonlocal inside
        async with pages.turn(limit):
            inside += 1
            most.append(inside)
            await asyncio.sleep(seconds)
            inside -= 1

    await asyncio.gather(*(page(1000, 0.01) for _ in range(30)))
    assert max(most) == 3
    most.clear()
    await asyncio.gather(*(page(100, 0.01) for _ in range(30)))
    assert max(most) == 30, "small pages do not wait"
    begun = time.monotonic()
    hanging = [asyncio.create_task(page(None, 60)) for _ in range(3)]
    await asyncio.gather(*(page(1000, 0.01) for _ in range(5)))
    assert time.monotonic() - begun < 30
    for task in hanging:
        task.cancel()
