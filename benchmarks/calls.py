"""Calls and records that queries cost at the providers, as histories grow: `make bench-calls`.

The emulators count, with a deadline that is never reached. If two ranges are read concurrently, the first response may
prove the end of the other range, which saves a call: single calls may differ between two runs. Each query is sent to a
gateway that has just started, without observations of the account; `next page` and `walk` continue from there.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.domain.parameters import read_query
from app.domain.query import CountQuery
from app.domain.times import DAY, format_micros
from app.feed.service import Feed
from benchmarks.pairs import write
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.operations.replicas import finished_calls
from tests.worlds import ANYONE, Clock, World, ask, micros, world

SIZES = (1_000, 10_000, 100_000, 1_000_000)
NOW = datetime(2026, 6, 3, 14, tzinfo=UTC)
#: By provider. Taktikal's emulator takes minutes to make a million events.
LARGEST = {"Taktikal": 100_000}
DAYS = 120
WALK = 10_000
DEADLINE = 600.0

Cost = tuple[int, int]  #: calls and records


async def count(feed: Feed, window: dict[str, Any]) -> None:
    await feed.totals(read_query(CountQuery, [(name, str(value)) for name, value in window.items()]), ANYONE)


async def measure(one: World, window: dict[str, Any]) -> dict[str, Cost]:
    """Return the cost of each query, each sent to a new gateway."""
    costs: dict[str, Cost] = {}
    queries: dict[str, Callable[[Feed], Awaitable[object]]] = {
        "first page": lambda feed: ask(feed, **window),
        "1,000-event page": lambda feed: ask(feed, **window, limit=1000),
        "count": lambda feed: count(feed, window),
    }
    for name, send_query in queries.items():
        feed = one.gateway(deadline=DEADLINE)
        one.reset_calls()
        await send_query(feed)
        costs[name] = await _cost(one)
    feed = one.gateway(deadline=DEADLINE)
    page = await ask(feed, **window)
    await _cost(one)
    if page.next_cursor is not None:
        one.reset_calls()
        await ask(feed, cursor=page.next_cursor)
        costs["next page"] = await _cost(one)
    one.reset_calls()
    page = await ask(feed, **window, limit=1000)
    walked = len(page.records)
    while page.next_cursor is not None and walked < WALK:
        page = await ask(feed, cursor=page.next_cursor)
        walked += len(page.records)
    costs["walk of 10,000"] = await _cost(one)
    return costs


async def _cost(one: World) -> Cost:
    # An emulator, which runs in a thread of its own, counts a call's records after its response.
    await finished_calls(one)
    return one.calls(), sum(each.calls.records for each in (one.taktikal, one.subnoto) if each is not None)


def accounts(size: int) -> dict[str, dict[str, Any]]:
    """Return the options of the accounts, each with `size` events over 120 days."""
    return {
        "Subnoto": {"subnoto": SubnotoOptions(events=size, days=DAYS)},
        "Taktikal, ranges select by activity": {"taktikal": TaktikalOptions(events=size, days=DAYS)},
        "Taktikal, ranges select by creation": {
            "taktikal": TaktikalOptions(events=size, days=DAYS, range_selects="creation")
        },
    }


def window(clock: Clock) -> dict[str, Any]:
    """Return a window of forty days in the middle of the history."""
    now = micros(clock())
    return {"since": format_micros(now - 70 * DAY), "until": format_micros(now - 30 * DAY)}


NAMES = ("first page", "next page", "1,000-event page", "count", "walk of 10,000")


async def row(account: str, size: int) -> str:
    """Return a row of the table in docs/performance.md."""
    clock = Clock(NOW)
    async with world(**accounts(size)[account], clock=clock) as one:
        costs = await measure(one, window(clock))
    cells = ("{:,} / {:,}".format(*costs[name]) if name in costs else "-" for name in NAMES)
    return f"| {account} | {size:,} | {' | '.join(cells)} |"


async def measure_all(most: int) -> list[str]:
    lines = [f"| account | events | {' | '.join(NAMES)} |", f"|---|---:|{'---:|' * len(NAMES)}"]
    for account in accounts(1):
        for size in SIZES:
            if size <= min(most, LARGEST.get(account.split(",")[0], most)):
                lines.append(await row(account, size))
                print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest history, in events")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the table of this page")
    given = parser.parse_args()
    lines = asyncio.run(measure_all(given.most))
    if given.write:
        write(given.write, "calls", ["\n".join(lines)])
