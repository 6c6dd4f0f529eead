"""A test world: both vendors' emulators served over real HTTP, gateways that read them, and the expected events.

The expected events ("truth") are computed from the emulators' histories as the contract defines them, without the
gateway's code, so that they are an independent reference.
"""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.domain.caller import SCOPES, Caller
from app.domain.event import Event
from app.domain.parameters import read_query
from app.domain.query import EventQuery
from app.domain.times import DAY, format_micros
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

    @property
    def now(self) -> int:
        """The time of its clock in µs since 1970."""
        return micros(self.clock())

    def gateway(self, *, secret: str = SECRET, scan: int = 40, deadline: float = 30.0, **env: str) -> Feed:
        """Return a new replica. It is closed with the world."""
        environment = {**self.env, **env}
        found = [provider.from_environment(environment, self.common()) for provider in (SUBNOTO, TAKTIKAL)]
        settings = FeedSettings((secret,), clock=lambda: self.now, scan=scan, deadline=deadline)
        feed = Feed([source for source in found if source is not None], settings)
        self.feeds.append(feed)
        return feed

    def common(self) -> CommonSettings:
        """Return settings for sources with the world's clock, whose retries do not wait."""
        timer = Timer()
        return CommonSettings(clock=lambda: self.now, timer=timer, sleep=timer.sleep)

    def truth(self, since: int = -(1 << 63), until: int = 1 << 63) -> list[tuple[Any, ...]]:
        """Return the events of [since, until) in µs that exist now, in ascending order of contract section 4: rows as
        those of `describe`."""
        rows: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []
        if self.taktikal is not None:
            number_in_log = itertools.count()
            for entry in self.taktikal.history.truth():
                time, key = entry["ticks"] // 10, entry["processKey"]
                number = -1 if entry["id"] is None else entry["id"]
                order = (time, "taktikal", "envelope", key, number, next(number_in_log))
                rows.append((order, (time, "taktikal", "envelope", key, entry["status"], entry["id"])))
        if self.subnoto is not None:
            for record in self.subnoto.history.truth():
                time, envelope = record["timestamp"] * 1000, record["envelopeUuid"] or ""
                order = (time, "subnoto", record["category"], envelope, record["sequence"])
                data = json.dumps(record["eventData"], sort_keys=True)
                rows.append((order, (time, "subnoto", record["category"], envelope, record["eventType"], data)))
        return [row for _, row in sorted(rows, key=lambda pair: pair[0]) if since <= row[0] < until]

    def refused(self) -> list[Any]:
        """Return the calls that a server refuses by the vendor's documents."""
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
    subnoto: SubnotoOptions | SubnotoEmulator | None,
    clock: Clock | None = None,
) -> Iterator[World]:
    clock, env = clock or Clock(), dict[str, str]()
    if isinstance(subnoto, SubnotoOptions):
        subnoto = SubnotoEmulator(subnoto, clock=clock)
    emulator = TaktikalEmulator(taktikal, clock=clock) if taktikal else None
    with ExitStack() as servers:
        for each in filter(None, (emulator, subnoto)):
            env |= each.env(servers.enter_context(serve(each.app)))
        yield World(clock, emulator, subnoto, env)


def window(world: World, days: float = 30, length: float | None = None) -> dict[str, str]:
    """Return parameters for the `length` days that begin `days` ago; by default, up to now."""
    since = world.now - int(days * DAY)
    until = world.now if length is None else since + int(length * DAY)
    return {"since": format_micros(since), "until": format_micros(until)}


@asynccontextmanager
async def world(
    taktikal: TaktikalOptions | None = None,
    subnoto: SubnotoOptions | SubnotoEmulator | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[World]:
    with served_world(taktikal, subnoto, clock) as found:
        try:
            yield found
        finally:
            for feed in found.feeds:
                await feed.aclose()


def describe(record: Record, event: Event | None = None) -> tuple[Any, ...]:
    """Return the row of a record as in `World.truth`. `event`: the record's event, if it exists already."""
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
    """The pages of one query, and their records."""

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
    """Return one page. A list repeats its parameter."""
    pairs = [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, values in parameters.items()
        for value in (values if isinstance(values, list | tuple) else [values])
    ]
    return await feed.page(read_query(EventQuery, pairs), caller)


def cut_off(page: Page, rng: random.Random) -> tuple[list[Record], str | None]:
    """Return the records of a page and its next cursor; half of the time only those up to a random record and the
    cursor after it, as an interrupted export or stream would."""
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
    """Read all pages, alternating between the replicas, and check what holds for every page. `between` is called after
    each page; `cuts` makes `cut_off` truncate pages."""
    replicas = itertools.cycle([feeds] if isinstance(feeds, Feed) else feeds)
    found = Walk()
    cursor: str | None = None
    for _ in range(most):
        limit = limits() if callable(limits) else limits
        query = parameters if cursor is None else {"cursor": cursor}
        page = await ask(next(replicas), **query, limit=limit)
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
