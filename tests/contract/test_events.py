"""What every event must look like, whoever the vendor is (contract, section 2)."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from app.domain.query import Query
from app.domain.times import parse_rfc3339
from tests.contract.providers import Account, ProviderSuite, read

pytestmark = pytest.mark.anyio

TYPE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
MEMBERS = [
    *("id", "source", "provider", "type", "category", "outcome", "provider_type", "provider_id", "occurred_at"),
    *("description", "actor", "envelope", "recipient", "delivery", "target", "user_agent", "data", "raw"),
]


class TestEvents(ProviderSuite):
    async def test_every_event_has_the_one_shape(self, account: Account) -> None:
        async with account.source() as source:
            records = await read(source, Query(order="asc"), account.since, account.until)
            for record in records:
                event = record.event()
                shown = json.loads(msgspec.json.encode(event))
                assert list(shown) == MEMBERS
                assert (
                    (event.source, event.provider)
                    == (source.name, account.provider.name)
                    == (source.name, source.provider)
                )
                assert event.type == "unknown" or TYPE.match(event.type)
                assert (event.outcome is None) == (event.type == "unknown")
                assert event.outcome in ("success", "failure", None)
                assert TIME.match(event.occurred_at)
                assert event.actor.kind in ("user", "recipient", "system")
                assert event.raw is None, "added only where it is asked for"
                assert isinstance(event.data, dict)
                assert re.fullmatch(r"[A-Za-z0-9_-]+", event.id)
                assert record.event() is event or record.event() == event

    async def test_an_events_key_says_what_the_event_says(self, account: Account) -> None:
        async with account.source() as source:
            for record in await read(source, Query(order="asc"), account.since, account.until):
                event = record.event()
                time, name, category, envelope, sequence, place = record.key
                assert time == parse_rfc3339(event.occurred_at)
                assert (name, category) == (event.source, event.category)
                assert envelope == (event.envelope.id if event.envelope else "")
                assert isinstance(sequence, int)
                assert isinstance(place, int)
                assert (record.type, record.provider_type) == (event.type, event.provider_type)

    async def test_types_are_those_of_the_shipped_mapping(self, account: Account) -> None:
        rows = account.provider.mapping
        assert account.provider.mapping_version
        assert all(TYPE.match(row.type) for row in rows)
        assert len({(row.provider_type, row.category) for row in rows}) == len(rows)
        known = {(row.type, row.category) for row in rows} | {("unknown", row.category) for row in rows}
        async with account.source() as source:
            for record in await read(source, Query(order="asc"), account.since, account.until):
                assert (record.type, record.event().category) in known

    async def test_raw_is_json_and_holds_no_signing_link(self, account: Account) -> None:
        async with account.source() as source:
            for record in await read(source, Query(order="asc"), account.since, account.until):
                raw = msgspec.json.encode(record.raw())
                assert raw not in (b"null", b"{}")
                assert b"/secret/" not in raw
                assert b"/secret/" not in msgspec.json.encode(record.event())

    async def test_texts_and_private_values_are_texts(self, account: Account) -> None:
        async with account.source() as source:
            records = await read(source, Query(order="asc"), account.since, account.until)
            for record in records:
                assert all(isinstance(name, str) and isinstance(text, str) for name, text in record.texts())
                assert all(isinstance(value, str) and value for value in record.private_values())
            assert any(True for record in records for _ in record.texts())
