"""What the contract suite knows of a provider: what the registry and its emulator's `make_sandbox` offer."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.position import Position
from app.domain.query import Query
from app.providers.base import CallBudget, CommonSettings, Provider, ReadRequest, Record, Source
from app.providers.registry import find_providers
from sandbox.serving import serve

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
EVENTS = 400
DAYS = 40


@dataclass
class Clock:
    now: datetime = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    @property
    def micros(self) -> int:
        return (self.now - EPOCH) // timedelta(microseconds=1)


@dataclass
class Account:
    """A provider's emulator, served; and sources that read it."""

    provider: Provider
    clock: Clock
    emulator: Any
    env: dict[str, str]

    @property
    def until(self) -> int:
        return self.clock.micros

    @property
    def since(self) -> int:
        return self.clock.micros - (DAYS + 20) * DAY

    @asynccontextmanager
    async def source(self) -> AsyncIterator[Source]:
        common = CommonSettings(clock=lambda: self.clock.micros)
        found = self.provider.from_environment(self.env, common)
        assert found is not None
        try:
            yield found
        finally:
            await found.aclose()


def providers_with_emulators() -> dict[str, tuple[Provider, Any]]:
    found = {}
    for name, provider in find_providers().items():
        try:
            emulator = importlib.import_module(f"sandbox.{name}")
        except ModuleNotFoundError:
            continue
        found[name] = (provider, emulator)
    return found


class ProviderSuite:
    """Base of the contract tests: each runs once for every provider that the registry finds and that has an emulator.

    `account` is the provider's (see `conftest.py`)."""


@contextmanager
def served_account(name: str) -> Iterator[Account]:
    """The emulator of a provider as `make_sandbox` makes it, served."""
    provider, module = providers_with_emulators()[name]
    clock = Clock()
    emulator = module.make_sandbox(events=EVENTS, seed=3, days=DAYS, clock=clock)
    with serve(emulator.app) as url:
        yield Account(provider, clock, emulator, emulator.env(url))


async def read(
    source: Source,
    query: Query,
    since: int,
    until: int,
    *,
    want: int = 100,
    calls: int = 64,
    position: Any = None,
) -> list[Record]:
    """All records of all streams of one query, in its order, checked against the promises of `Batch`."""
    records: list[Record] = []
    for stream in source.streams(query):
        records += await read_stream(source, stream, query, since, until, want=want, calls=calls, position=position)
    return sorted(records, key=lambda record: record.key, reverse=not query.ascending)


async def read_stream(
    source: Source,
    stream: str,
    query: Query,
    since: int,
    until: int,
    *,
    want: int = 100,
    calls: int = 64,
    position: Position | None = None,
) -> list[Record]:
    up = query.ascending
    start: Position = position or ((since,) if up else (until,))
    reader = source.reader(stream, ReadRequest(query, since, until, start), CallBudget())
    got: list[Record] = []
    complete_until = start
    for _ in range(2000):
        batch = await reader.read(want, calls)
        keys = [record.key for record in batch.records]
        assert keys == sorted(keys, reverse=not up), "a batch is in reading direction"
        for record in batch.records:
            assert since <= record.key[0] < until, "inside the window"
            assert record.key > start if up else record.key < start, "beyond the position"
            assert record.key > complete_until if up else record.key < complete_until, (
                "complete up to `complete_until` means complete"
            )
        if got and keys:
            assert keys[0] > got[-1].key if up else keys[0] < got[-1].key, "nothing of an earlier batch"
        got += batch.records
        if batch.ended:
            return got
        assert (
            (batch.complete_until,) >= complete_until[:1] if up else (batch.complete_until,) <= (complete_until[0] + 1,)
        ), "`complete_until` moves on"
        complete_until = (batch.complete_until,)
    raise AssertionError("no end")
