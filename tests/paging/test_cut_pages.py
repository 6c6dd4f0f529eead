"""A page may be cut behind any of its events: the cursor for that place goes on with the next one."""

import random
from typing import Any

import pytest

from app.domain.times import format_micros
from tests.worlds import SubnotoOptions, TaktikalOptions, ask, micros, world

DAY = 86_400_000_000

WORLDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"tie_burst": 15, "logs": "trimmed", "order": "shuffled"}, {"tie_burst": 25, "ties": "shuffled"}),
    ({"range_selects": "creation", "entry_ids": "none"}, {"unit": "seconds", "skew_seconds": 110}),
]
QUERIES: list[dict[str, Any]] = [
    {}, {"type": ["recipient.*", "envelope.completed"]}, {"order": "asc", "actor": "anna@example.com"},
    {"order": "asc"}, {"order": "asc", "follow": True},
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize(("taktikal", "subnoto"), WORLDS, ids=["plain", "ties", "coarse"])
async def test_cut_anywhere_and_gone_on_with_every_event_comes_once(
    taktikal: dict[str, Any], subnoto: dict[str, Any], query: dict[str, Any]
) -> None:
    rng = random.Random(str(query))
    async with world(
        taktikal=TaktikalOptions(events=600, twins=0.05, **taktikal),
        subnoto=SubnotoOptions(events=600, twins=0.05, **subnoto),
    ) as one:
        now = micros(one.clock())
        window = {"since": format_micros(now - 61 * DAY)}
        if "follow" not in query:
            window["until"] = format_micros(now)
        whole: list[Any] = []
        feed = one.gateway()
        page = await ask(feed, **query, **window, limit=1000)
        while True:
            whole += [record.event().id for record in page.records]
            if not page.has_more:
                break
            page = await ask(feed, cursor=page.next_cursor)
        assert len(set(whole)) == len(whole)
        assert whole or "actor" in query

        got: list[str] = []
        feeds = [one.gateway(), one.gateway()]
        page = await ask(feeds[0], **query, **window, limit=rng.choice((7, 60, 300)))
        while True:
            ids = [record.event().id for record in page.records]
            cursor = page.next_cursor
            if ids and rng.random() < 0.8:
                cut = rng.randrange(len(ids))
                ids, cursor = ids[: cut + 1], page.cursor_after(cut)
            elif not page.has_more:
                cursor = None  # a follower's goes on for ever
            got += ids
            if cursor is None:
                break
            page = await ask(rng.choice(feeds), cursor=cursor, limit=rng.choice((1, 7, 60, 300)))
        assert got == whole
        assert one.refused() == []
