"""Reading the log by positions, at the edges that only real answers have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import SourceFailed
from app.domain.query import Query
from app.domain.times import SECOND
from app.providers.base import Span, Spent
from app.providers.subnoto.client import LogQuery, SubnotoClient
from app.providers.subnoto.emulator import Emulator, EmulatorOptions, Record
from app.providers.subnoto.facts import Facts
from app.providers.subnoto.places import Places
from app.providers.subnoto.reader import SubnotoReader
from tests.providers import inside

pytestmark = pytest.mark.anyio
BASE = inside.NOW_MICROS - 20 * inside.DAY
SKEW = 120 * SECOND
ENVELOPE = "8f2f1d5e-3b0e-4a2c-9b3e-0f6d1c2b3a40"


def emulator_of(count: int, step: int = 1000, **options: Any) -> Emulator:
    rows = [
        Record(
            "envelope",
            "ENVELOPE_OPENED",
            BASE // 1000 + n * step,
            {"n": n},
            envelope_uuid=ENVELOPE,
            workspace_uuid="w",
        )
        for n in range(count)
    ]
    return Emulator(EmulatorOptions(**options), clock=lambda: inside.NOW, records=rows)


def reader(emulator: Emulator, order: Any = "asc", hint: Any = None, **span: Any) -> SubnotoReader:
    since, until = span.get("since", 0), span.get("until", inside.NOW_MICROS)
    position = span.get("position", (since,) if order == "asc" else (until,))
    return SubnotoReader(
        SubnotoClient(inside.subnoto(emulator)),
        span.get("log", LogQuery("envelope")),
        Span(span.get("query", Query(order=order)), since, until, position, hint),
        Spent(),
        source="s",
        skew=SKEW,
        now=inside.NOW_MICROS,
        facts=span.get("facts", Facts(lambda: 0)),
        places=span.get("places", Places(SKEW)),
    )


async def numbers(found: SubnotoReader, want: int = 100) -> list[int]:
    got: list[int] = []
    for _ in range(100):
        batch = await found.read(want, 64)
        got += [record.event().data["n"] for record in batch.records]  # type: ignore[attr-defined]
        if batch.ended:
            return got
    raise AssertionError("no end")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 101, 333])
async def test_all_of_it(count: int, order: str) -> None:
    emulator = emulator_of(count)
    wanted = list(range(count)) if order == "asc" else list(range(count))[::-1]
    assert await numbers(reader(emulator, order)) == wanted
    assert emulator.calls.refused == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("count", "size", "learnt"), [(130, 20, 20), (40, 7, 7), (29, 20, 20), (27, 1, 1), (20, 20, None), (49, 49, None)]
)
async def test_a_server_with_smaller_pages_than_asked(count: int, size: int, learnt: int | None, order: str) -> None:
    """Not documented, but cheap to bear: the size that pages really have is learnt and used, also from a log that is
    shorter than a page should be."""
    emulator, facts = emulator_of(count, max_limit=size), Facts(lambda: 0)
    wanted = list(range(count)) if order == "asc" else list(range(count))[::-1]
    assert await numbers(reader(emulator, order, facts=facts)) == wanted
    assert facts.page_size == learnt


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_retention_in_the_middle_of_a_read(order: str) -> None:
    emulator = emulator_of(400)
    found = reader(emulator, order)
    first = await found.read(60, 64)
    emulator.history.delete_oldest(75)
    got = [record.event().data["n"] for record in first.records]
    while True:
        batch = await found.read(60, 64)
        got += [record.event().data["n"] for record in batch.records]
        if batch.ended:
            break
    assert len(set(got)) == len(got)
    assert set(range(75, 400)) <= set(got)
    assert got == sorted(got, reverse=order == "desc")


async def test_event_types_that_are_refused_are_filtered_here_instead() -> None:
    emulator = emulator_of(60, newer_types=False)
    emulator.history.append("ENVELOPE_SENT", timestamp=inside.NOW - timedelta(days=1), event_data={"n": 999})
    facts = Facts(lambda: 0)
    query = Query(order="asc", provider_type=("ENVELOPE_APPROVED", "ENVELOPE_SENT"))
    log = LogQuery("envelope", event_types=("ENVELOPE_APPROVED", "ENVELOPE_SENT"))
    assert await numbers(reader(emulator, log=log, query=query, facts=facts)) == [999]
    assert not facts.takes("envelope", "ENVELOPE_SENT")
    assert facts.takes("envelope", "DOCUMENT_SIGNED")


async def test_a_hint_of_another_list_is_not_used() -> None:
    emulator = emulator_of(300)
    found = reader(emulator, position=(BASE + 150_000_000,), hint=[1, 3, 2])
    assert (await numbers(found))[0] == 150
    again = reader(emulator, position=(BASE + 150_000_000,), hint=found.hint((BASE + 150_000_000,)))
    assert (await numbers(again))[0] == 150


async def test_a_log_that_contradicts_itself_is_a_failure() -> None:
    emulator = emulator_of(10)
    body = b'{"logs": [], "totalCount": 90}'
    emulator.faults.answer(200, body=body, times=20)
    with pytest.raises(SourceFailed, match="contradicts"):
        await reader(emulator).read(10, 10)


async def test_bad_rows_keep_their_place_and_are_counted() -> None:
    emulator = emulator_of(3)
    rows = '{"eventType": "X", "timestamp": 5}, null, {"eventType": "Y", "timestamp": 6}'
    emulator.faults.answer(200, body=f'{{"logs": [{rows}], "totalCount": 3}}'.encode())
    batch = await reader(emulator).read(10, 10)
    assert ([record.provider_type for record in batch.records], batch.bad_records) == (["X", "Y"], 1)


async def test_a_place_that_was_found_is_not_looked_for_again() -> None:
    """A first page, then the same again: what is left to ask for is the records. A log that has moved since, or was
    mistaken for another, is read as rightly as without."""
    emulator, places = emulator_of(5_000, step=60_000), Places(SKEW)
    start = BASE + 40 * 3600 * SECOND
    span = {"since": start, "places": places, "order": "asc"}

    async def first_page() -> list[int]:
        batch = await reader(emulator, **span).read(100, 64)
        return [record.event().data["n"] for record in batch.records][:100]

    found = []
    for _ in range(2):
        emulator.calls.reset()
        assert await first_page() == list(range(2_400, 2_500))
        found.append(emulator.calls.total)
    assert found[1] <= 4 < found[0]
    emulator.history.delete_oldest(1_000)
    assert await first_page() == list(range(2_400, 2_500))
    places.note(LogQuery("envelope"), start, [3_900, 5], ascending=True)
    assert await first_page() == list(range(2_400, 2_500))
    assert emulator.calls.refused == []


def test_only_a_place_that_is_likely_to_be_within_a_page_is_a_hint() -> None:
    places, query, start = Places(SKEW), LogQuery("envelope"), 10 * 3600 * SECOND
    places.note(query, start, [700, 10], ascending=True)
    assert places.near(query, start, ascending=True) == [700, 10]
    assert places.near(query, start + 5 * SKEW, ascending=True) == [700, 10], "50 rows on"
    assert places.near(query, start + 5 * SKEW + 1, ascending=True) is None
    assert places.near(query, start - 1, ascending=True) is None, "another hour"
    assert places.near(query, start, ascending=False) is None
    assert places.near(LogQuery("team"), start, ascending=True) is None
    places.note(query, start, None, ascending=True)
    assert places.near(query, start, ascending=True) == [700, 10]
