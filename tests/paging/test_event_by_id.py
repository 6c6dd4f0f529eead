"""`GET /events/{event_id}` finds no other event, and none by a changed id. `test_exactly_once` finds all."""

from dataclasses import replace

import pytest

from app.domain.caller import SCOPES, Caller
from app.domain.errors import NotFound
from app.paging.event_id import decode_event_id, encode_event_id
from sandbox.subnoto import Record
from tests.worlds import ANYONE, SubnotoOptions, TaktikalOptions, walk, world


async def test_an_id_that_is_none_or_of_nothing_is_not_found() -> None:
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


async def test_records_whose_envelope_is_no_uuid_are_found_too() -> None:
    """The vendor's documents know only UUIDs; what it sends in their place is an event all the same."""
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
