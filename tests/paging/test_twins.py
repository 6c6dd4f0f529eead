"""Twins, records equal in every field, stay two events with the same two ids in every query."""

from collections import Counter
from typing import Any

import pytest

from app.domain.times import format_micros
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.paging.test_exactly_once import in_log_order
from tests.worlds import ANYONE, describe, micros, walk, world

DAY = 86_400_000_000
SHAPES: list[dict[str, Any]] = [
    {"entry_ids": "per_process"},
    {"entry_ids": "none", "generation": "older", "order": "shuffled"},
    {"entry_ids": "company", "logs": "trimmed"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_twins_are_two_events_everywhere(shape: dict[str, Any]) -> None:
    async with world(
        taktikal=TaktikalOptions(events=200, twins=0.3, created_precision="milliseconds", **shape),
        subnoto=SubnotoOptions(events=200, twins=0.3, unit="seconds", ties="shuffled"),
    ) as one:
        feed = one.gateway()
        now = micros(one.clock())
        truth = [row for row in one.truth() if now - 25 * DAY <= row[0] < now]
        assert max(Counter(truth).values()) >= 2
        window = {"since": format_micros(now - 25 * DAY)}
        by_one = await walk(feed, limits=1, **window, source="subnoto")
        everything = await walk(feed, limits=1000, **window)
        assert in_log_order(everything.rows[::-1]) == in_log_order(truth)
        assert len(set(everything.ids)) == len(truth)
        assert by_one.ids == [i for i, row in zip(everything.ids, everything.rows, strict=True) if row[1] == "subnoto"]

        of = dict(zip(everything.ids, everything.rows, strict=True))
        twice = [row for row, count in Counter(truth).items() if count > 1]
        for row in (*[r for r in twice if r[1] == "subnoto"][:4], *[r for r in twice if r[1] == "taktikal"][:4]):
            ids = {i for i, other in of.items() if other == row}
            # Alone in its microsecond, in its envelope, under its own type: the same ids.
            narrow: list[dict[str, Any]] = [
                {"since": format_micros(row[0]), "until": format_micros(row[0] + 1)},
                {**window, "provider_type": row[4]},
                {**window, "source": row[1], "order": "asc"},
            ]
            if row[3]:
                narrow.append({"envelope_id": row[3]})
            for given in narrow:
                found = await walk(feed, limits=700, **given)
                same = {i for i, other in zip(found.ids, found.rows, strict=True) if other == row}
                assert same == ids, given
            for event_id in ids:
                record = await feed.event(event_id, ANYONE)
                assert record.event().id == event_id
                assert describe(record) == row
        assert one.refused() == []
