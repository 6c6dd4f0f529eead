"""What is learnt of a Taktikal account from answers that are read anyway (contract, section 9)."""

from datetime import timedelta
from typing import Any

import pytest

from app.feed import Feed
from sandbox.taktikal import EmulatorOptions
from tests.worlds import ask, world


def learnt(feed: Feed) -> dict[str, Any]:
    return {fact["name"]: fact["value"] for fact in feed.sources["taktikal"].describe()["observations"]}


@pytest.mark.parametrize(
    ("entry_ids", "quality"),
    [
        ("per_process", "unique in its envelope only"),
        ("company", "unique"),
        ("none", "none: event ids are made of the content"),
    ],
)
@pytest.mark.parametrize(("precision", "digits"), [("ticks", 7), ("milliseconds", 3)])
async def test_what_times_and_ids_are_good_for(entry_ids: Any, quality: str, precision: Any, digits: int) -> None:
    async with world(taktikal=EmulatorOptions(events=600, entry_ids=entry_ids, created_precision=precision)) as one:
        feed = one.gateway()
        assert "time_digits" not in learnt(feed)
        await ask(feed)
        assert (learnt(feed)["time_digits"], learnt(feed)["id_quality"]) == (digits, quality)


async def test_how_late_entries_come() -> None:
    async with world(taktikal=EmulatorOptions(events=600, lag_seconds=0)) as one:
        feed = one.gateway()
        await ask(feed)
        for late, known in ((0, None), (12, 12.0), (5, 12.0), (40, 40.0)):
            one.clock.advance(seconds=60)
            now = one.clock()
            key = f"sp-late-{late}"
            one.taktikal.history.append(key, "Created", at=now - timedelta(seconds=30))
            await ask(feed)
            one.clock.advance(seconds=1)
            one.taktikal.history.append(key, "Reminder", at=now - timedelta(seconds=late))
            await ask(feed, q="another question")
            await ask(feed, since="2026-06-01T00:00:00Z", until="2026-06-01T06:00:00Z")
            await ask(feed)
            assert learnt(feed).get("lag_seconds") == known
