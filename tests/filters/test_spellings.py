"""One envelope asked for by several spellings of its key: whether Taktikal tells those apart is not documented."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.parameters import read_query
from app.domain.query import CountQuery
from app.feed import Feed
from sandbox.taktikal import EmulatorOptions
from tests.worlds import ANYONE, ask, walk, world

pytestmark = pytest.mark.anyio


async def count(feed: Feed, *keys: str) -> tuple[Any, Any]:
    totals = await feed.totals(read_query(CountQuery, [("envelope_id", key) for key in keys]), ANYONE, fresh=True)
    return totals.value, totals.relation


@pytest.mark.parametrize("key_case", ["honoured", "ignored"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_one_envelope_in_several_spellings_comes_once(key_case: Any, order: str) -> None:
    async with world(taktikal=EmulatorOptions(events=300, key_case=key_case)) as one:
        feed = one.gateway()
        key = (await ask(feed, limit=1)).records[0].key[3]
        alone = await walk(feed, envelope_id=key, order=order, limits=4)
        assert len(alone.pages) > 1
        spellings = [key, key.upper(), key.title()]
        assert (await walk(feed, envelope_id=spellings, order=order, limits=4)).ids == alone.ids
        assert await count(feed, *spellings) == (len(alone.ids), "eq")
        other = await walk(feed, envelope_id=key.upper(), order=order)
        assert other.ids == (alone.ids if key_case == "ignored" else [])
        assert await count(feed, key.upper()) == (len(other.ids), "eq")


@pytest.mark.parametrize("key_case", ["honoured", "ignored"])
async def test_envelopes_whose_keys_differ_in_letter_case_alone_all_come(key_case: Any) -> None:
    async with world(taktikal=EmulatorOptions(events=0, key_case=key_case)) as one:
        assert one.taktikal is not None
        for key in ("spA", "spa", "spB"):
            for status in ("Created", "Reminder", "Completed"):
                one.taktikal.history.append(key, status)
        one.clock.advance(minutes=1)
        feed = one.gateway()
        everything = await walk(feed)
        assert len(everything.ids) == 9
        found = await walk(feed, envelope_id=["spA", "spa", "spb", "spB"], limits=2)
        assert found.ids == everything.ids
        assert await count(feed, "spA", "spa", "spb", "spB") == (9, "eq")
