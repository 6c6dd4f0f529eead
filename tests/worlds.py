"""A world to test in: both vendors' emulators served over real HTTP, gateways in front of them, and the truth.

The truth is computed from the emulators' own histories, by the words of the contract and without any of the gateway's
code, so that it can disagree.
"""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from app.domain.caller import SCOPES, Caller
from app.domain.event import Event
from app.domain.parameters import read_query
from app.domain.query import EventQuery
from app.domain.times import format_micros
from app.feed.model import FeedSettings, Page
from app.feed.service import Feed
from app.providers.base import CommonSettings, Record
from app.providers.subnoto import PROVIDER as SUBNOTO
from app.providers.taktikal import PROVIDER as TAKTIKAL
from sandbox.serving import serve
from sandbox.subnoto import Emulator as SubnotoEmulator
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import Emulator as TaktikalEmulator
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.contract.account import Clock, Timer, micros

ANYONE = Caller("test", frozenset(SCOPES))
SECRET = "a secret of at least thirty-two characters"


@dataclass
class World:
    clock: Clock
    taktikal: TaktikalEmulator | None
    subnoto: SubnotoEmulator | None
    env: dict[str, str]
    feeds: list[Feed] = field(default_factory=list)

    def gateway(self, *, secret: str = SECRET, scan: int = 40, deadline: float = 30.0, **env: str) -> Feed:
        """One more replica. Close it with the world."""
        environment = {**self.env, **env}
        found = [provider.from_environment(environment, self.common()) for provider in (SUBNOTO, TAKTIKAL)]
        settings = FeedSettings((secret,), clock=lambda: micros(self.clock()), scan=scan, deadline=deadline)
        feed = Feed([source for source in found if source is not None], settings)
        self.feeds.append(feed)
        return feed

    def common(self) -> CommonSettings:
        """The settings of its sources: their time is the world's, and no retry waits."""
        timer = Timer()
        return CommonSettings(clock=lambda: micros(self.clock()), timer=timer, sleep=timer.sleep)

    def truth(self) -> list[tuple[Any, ...]]:
        """Every event there is now, in ascending order of contract section 4: rows as `describe` gives them."""
        rows: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []
        if self.taktikal is not None:
            places = itertools.count()
            for entry in self.taktikal.history.truth():
                time, key = entry["ticks"] // 10, entry["processKey"]
                number = -1 if entry["id"] is None else entry["id"]
                order = (time, "taktikal", "envelope", key, number, next(places))
                rows.append((order, (time, "taktikal", "envelope", key, entry["status"], entry["id"])))
        if self.subnoto is not None:
            for record in self.subnoto.history.truth():
                time, envelope = record["timestamp"] * 1000, record["envelopeUuid"] or ""
                order = (time, "subnoto", record["category"], envelope, record["sequence"])
                data = json.dumps(record["eventData"], sort_keys=True)
                rows.append((order, (time, "subnoto", record["category"], envelope, record["eventType"], data)))
        return [row for _, row in sorted(rows, key=lambda pair: pair[0])]

    def refused(self) -> list[Any]:
        """Calls that the vendors' documents say are refused."""
        return [call for each in (self.taktikal, self.subnoto) if each for call in each.calls.refused]

    def calls(self) -> int:
        return sum(each.calls.total for each in (self.taktikal, self.subnoto) if each)

    def reset_calls(self) -> None:
        for each in (self.taktikal, self.subnoto):
            if each:
                each.calls.reset()


@contextmanager
def served_world(
    taktikal: TaktikalOptions | None,
    subnoto: SubnotoOptions | None,
    clock: Clock | None = None,
) -> Iterator[World]:
    clock = clock or Clock()
    one = TaktikalEmulator(taktikal, clock=clock) if taktikal else None
    other = SubnotoEmulator(subnoto, clock=clock) if subnoto else None
    with _served(one) as taktikal_url, _served(other) as subnoto_url:
        env = (one.env(taktikal_url) if one else {}) | (other.env(subnoto_url) if other else {})
        yield World(clock, one, other, env)


@contextmanager
def _served(emulator: Any) -> Iterator[str]:
    if emulator is None:
        yield ""
        return
    with serve(emulator.app) as url:
        yield url


def window(world: World, days: float = 30) -> dict[str, str]:
    """The last `days` of a world, as parameters."""
    until = world.clock()
    return {"since": format_micros(micros(until - timedelta(days=days))), "until": format_micros(micros(until))}


@asynccontextmanager
async def world(
    taktikal: TaktikalOptions | None = None,
    subnoto: SubnotoOptions | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[World]:
    with served_world(taktikal, subnoto, clock) as found:
        try:
            yield found
        finally:
            for feed in found.feeds:
                await feed.aclose()


def describe(record: Record, event: Event | None = None) -> tuple[Any, ...]:
    """A delivered record, in the words of `World.truth`. `event`: of the record, where it is made already."""
    event = event or record.event()
    time = record.key[0]
    envelope = event.envelope.id if event.envelope else ""
    if event.provider == "taktikal":
        number = None if event.provider_id is None else int(event.provider_id)
        return (time, "taktikal", event.category, envelope, event.provider_type, number)
    data = json.dumps(event.data, sort_keys=True)
    return (time, "subnoto", event.category, envelope, event.provider_type, data)


@dataclass
class Walk:
    """All pages of one query."""

    records: list[Record] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    @cached_property
    def events(self) -> list[Event]:
        return [record.event() for record in self.records]

    @cached_property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(map(describe, self.records, self.events))

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


async def ask(feed: Feed, caller: Caller = ANYONE, /, **parameters: Any) -> Page:
    """One page; a list repeats its parameter."""
    pairs = [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, values in parameters.items()
        for value in (values if isinstance(values, list | tuple) else [values])
    ]
    return await feed.page(read_query(EventQuery, pairs), caller)


def cut_off(page: Page, rng: random.Random) -> tuple[list[Record], str | None]:
    """Now and then a page only up to any of its records, as an export or a stream may break off, and the cursor to go
    on with behind that one."""
    if not page.records or rng.random() < 0.5:
        return page.records, page.next_cursor
    place = rng.randrange(len(page.records))
    return page.records[: place + 1], page.cursor_after(place)


async def walk(
    feeds: Feed | Sequence[Feed],
    *,
    limits: Callable[[], int] | int = 100,
    between: Callable[[], None] | None = None,
    most: int = 5000,
    cuts: random.Random | None = None,
    **parameters: Any,
) -> Walk:
    """Pages from the first to the last, on the given replicas in turn, and what must hold of every page. `cuts`: by
    which pages are cut off."""
    replicas = itertools.cycle([feeds] if isinstance(feeds, Feed) else feeds)
    found = Walk()
    cursor: str | None = None
    for _ in range(most):
        limit = limits() if callable(limits) else limits
        asked = parameters if cursor is None else {"cursor": cursor}
        page = await ask(next(replicas), **asked, limit=limit)
        assert len(page.records) <= limit
        assert page.has_more == (page.next_cursor is not None)
        assert page.records or not page.has_more or page.scanned_to is not None, "an empty page that is not the last"
        found.pages.append(page)
        records, cursor = (page.records, page.next_cursor) if cuts is None else cut_off(page, cuts)
        found.records.extend(records)
        if cursor is None:
            return found
        if between is not None:
            between()
    raise AssertionError(f"no end after {most} pages")


def any_limit(seed: int, *choices: int) -> Callable[[], int]:
    rng = random.Random(seed)
    return lambda: rng.choice(choices or (1, 7, 50, 100, 333, 1000))
