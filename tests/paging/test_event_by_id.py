"""`GET /events/{event_id}` rejects changed ids (`test_exactly_once` finds all events). Twins, records equal in every
field, are two events with the same two ids in every query."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.domain.caller import SCOPES, Caller
from app.domain.errors import NotFound
from app.domain.times import DAY, format_micros
from app.paging.event_id import decode_event_id, encode_event_id
from sandbox.subnoto import Record
from tests.paging.test_exactly_once import in_log_order
from tests.worlds import ANYONE, SubnotoOptions, TaktikalOptions, describe, walk, world


async def test_changed_and_malformed_ids_are_not_found() -> None:
    async with world(taktikal=TaktikalOptions(events=50), subnoto=SubnotoOptions(events=50)) as one:
        feed = one.gateway()
        found = await walk(feed, limits=1000)
        for record in (found.records[0], found.records[-1], found.records[len(found.records) // 2]):
            event_id = record.event().id
            parts = decode_event_id(event_id)
            wrong = [
                encode_event_id(record.event().source, parts.ordinal + 1, parts.locator),
                encode_event_id("elsewhere", parts.ordinal, parts.locator),
                encode_event_id(record.event().source, 0, parts.locator[:-1]),
                encode_event_id(record.event().source, 0, parts.locator[:-2] + b"\x00\x00"),
                encode_event_id(record.event().source, 0, b""), encode_event_id(record.event().source, 0, b"\xff" * 9),
                event_id[:-1], event_id + "A", event_id + "=", "../../etc/passwd", "",
            ]  # fmt: skip
            for text in wrong:
                with pytest.raises(NotFound):
                    await feed.event(text, ANYONE)
            taktikal_only = Caller("limited", frozenset(SCOPES), frozenset({"taktikal"}))
            if record.event().source == "subnoto":
                with pytest.raises(NotFound):
                    await feed.event(event_id, taktikal_only)
        assert one.refused() == []


async def test_records_whose_envelope_is_not_a_uuid_are_found() -> None:
    """The vendor documents only UUIDs."""
    async with world(subnoto=SubnotoOptions(events=20)) as one:
        moment = int(one.clock().timestamp() * 1000) - 1000
        odd = Record("envelope", "ENVELOPE_SENT", moment, {}, envelope_uuid="env-1", workspace_uuid="w-1")
        one.subnoto.history.insert([odd, odd, replace(odd, envelope_uuid="AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE")])
        feed = one.gateway()
        found = await walk(feed, limits=1000)
        assert [row[3] for row in found.rows[:3]] == ["env-1", "env-1", "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"]
        for record in found.records[:3]:
            assert (await feed.event(record.event().id, ANYONE)).event().id == record.event().id
        assert one.refused() == []


SHAPES: list[dict[str, Any]] = [
    {"entry_ids": "per_process"},
    {"entry_ids": "none", "generation": "older", "order": "shuffled"},
    {"entry_ids": "company", "logs": "trimmed"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_twins_are_two_events_in_every_query(shape: dict[str, Any]) -> None:
    async with world(
        taktikal=TaktikalOptions(events=200, twins=0.3, created_precision="milliseconds", **shape),
        subnoto=SubnotoOptions(events=200, twins=0.3, unit="seconds", ties="shuffled"),
    ) as one:
        feed = one.gateway()
        now = one.now
        truth = one.truth(now - 25 * DAY, now)
        assert max(Counter(truth).values()) >= 2
        window = {"since": format_micros(now - 25 * DAY)}
        by_one = await walk(feed, limits=1, **window, source="subnoto")
        everything = await walk(feed, limits=1000, **window)
        assert in_log_order(everything.rows[::-1]) == in_log_order(truth)
        assert len(set(everything.ids)) == len(truth)
        assert by_one.ids == [i for i, row in zip(everything.ids, everything.rows, strict=True) if row[1] == "subnoto"]

        row_of = dict(zip(everything.ids, everything.rows, strict=True))
        twice = [row for row, count in Counter(truth).items() if count > 1]
        for row in (*[r for r in twice if r[1] == "subnoto"][:4], *[r for r in twice if r[1] == "taktikal"][:4]):
            ids = {i for i, other in row_of.items() if other == row}
            queries: list[dict[str, Any]] = [
                {"since": format_micros(row[0]), "until": format_micros(row[0] + 1)},
                {**window, "provider_type": row[4]},
                {**window, "source": row[1], "order": "asc"},
            ]
            if row[3]:
                queries.append({"envelope_id": row[3]})
            for query in queries:
                found = await walk(feed, limits=700, **query)
                same = {i for i, other in zip(found.ids, found.rows, strict=True) if other == row}
                assert same == ids, query
            for event_id in ids:
                record = await feed.event(event_id, ANYONE)
                assert record.event().id == event_id
                assert describe(record) == row
        assert one.refused() == []
