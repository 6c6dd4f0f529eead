"""Served accounts for the contract suite: a provider of the registry and the emulator of its `make_sandbox`."""

import asyncio
import importlib
import importlib.util
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from app.domain.position import Position
from app.domain.query import Query
from app.domain.times import DAY, parse_vendor_ticks
from app.providers.base import CallBudget, CommonSettings, Provider, ReadRequest, Record, Source
from app.providers.http.network import Network
from app.providers.registry import find_providers, provider_paths
from sandbox.serving import serve

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NETWORK = Network({})  #: shared, because reading the system's certificates takes half a second


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass
class Clock:
    """A wall clock that stands still until `advance`."""

    now: datetime = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Timer:
    """A monotonic clock with an `offset`, which `sleep` increases instead of waiting."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset

    async def sleep(self, seconds: float) -> None:
        end = self() + seconds
        await asyncio.sleep(0)  # concurrent sleepers begin before the clock moves
        self.offset = max(self.offset, end - time.monotonic())


class Tap:
    """ASGI middleware that changes or records the emulator's responses with status 200.

    `replacements`: bytes of a body and their substitutes. `members`: members added to every JSON object. `bodies`:
    receives the decoded responses, if it is a list."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.bodies: list[Any] | None = None
        self.reset()

    def reset(self) -> None:
        self.replacements: dict[bytes, bytes] = {}
        self.members: dict[str, Any] = {}
        self.bodies = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not (self.replacements or self.members or self.bodies is not None):
            await self._app(scope, receive, send)
            return
        started: list[Any] = []
        body = bytearray()

        async def hold(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                changed = self._changed(bytes(body)) if started[0]["status"] == 200 else bytes(body)
                headers = [pair for pair in started[0]["headers"] if pair[0] != b"content-length"]
                length = (b"content-length", str(len(changed)).encode())
                await send({**started[0], "headers": [*headers, length]})
                await send({"type": "http.response.body", "body": changed})

        await self._app(scope, receive, hold)

    def _changed(self, body: bytes) -> bytes:
        if self.members:
            body = json.dumps(self._with_members(json.loads(body))).encode()
        for old, new in self.replacements.items():
            body = body.replace(old, new)
        if self.bodies is not None:
            self.bodies.append(json.loads(body))
        return body

    def _with_members(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._with_members(item) for name, item in value.items()} | self.members
        return [self._with_members(item) for item in value] if isinstance(value, list) else value


class MakeSandbox(Protocol):
    def __call__(self, *, events: int, seed: int, days: int, clock: Any) -> Any: ...


@dataclass
class Account:
    """A provider's served emulator, and sources that read it. `spoil` wraps each source (see `planted`)."""

    provider: Provider
    clock: Clock
    emulator: Any
    env: dict[str, str]
    tap: Tap
    events: int
    days: int
    spoil: Callable[[Source], Source] = lambda source: source

    @property
    def until(self) -> int:
        return micros(self.clock())

    @property
    def since(self) -> int:
        return self.until - (self.days + 20) * DAY

    async def read_with(self, **tap: Any) -> list[Record]:
        """Return all records in ascending order, read with these attributes of `Tap`."""
        vars(self.tap).update(tap)
        try:
            async with self.source() as source:
                return await read(source, Query(order="asc"), self.since, self.until)
        finally:
            self.tap.reset()

    @asynccontextmanager
    async def source(self, **settings: Any) -> AsyncIterator[Source]:
        """Yield a source with these `CommonSettings`."""
        timer = Timer()  # retries do not wait
        common = CommonSettings(clock=lambda: self.until, timer=timer, sleep=timer.sleep, network=NETWORK, **settings)
        found = self.provider.from_environment(self.env, common)
        assert found is not None
        try:
            yield self.spoil(found)
        finally:
            await found.aclose()


@contextmanager
def served_account(provider: Provider, make_sandbox: MakeSandbox, events: int, days: int) -> Iterator[Account]:
    """Serve the emulator that `make_sandbox` returns."""
    clock = Clock()
    emulator = make_sandbox(events=events, seed=3, days=days, clock=clock)
    tap = Tap(emulator.app)
    with serve(tap) as url:
        yield Account(provider, clock, emulator, emulator.env(url), tap, events, days)


def providers_with_emulators() -> dict[str, tuple[Provider, MakeSandbox]]:
    """Return every provider that has an emulator, including those of GATEWAY_PROVIDERS_PATH."""
    found: dict[str, tuple[Provider, MakeSandbox]] = {}
    for name, provider in find_providers(provider_paths(os.environ)).items():
        if importlib.util.find_spec(f"sandbox.{name}") is not None:
            found[name] = provider, importlib.import_module(f"sandbox.{name}").make_sandbox
    return found


async def read(source: Source, query: Query, since: int, until: int, **options: Any) -> list[Record]:
    """Return all records of all streams of a query in its order, and check each batch against the contract of `Batch`.
    `options`: those of `read_stream`."""
    records: list[Record] = []
    for stream in source.streams(query):
        records += await read_stream(source, stream, query, since, until, **options)
    return sorted(records, key=lambda record: record.key, reverse=not query.ascending)


async def read_stream(
    source: Source, stream: str, query: Query, since: int, until: int, *, want: int = 100, calls: int = 64,
    position: Position | None = None, bad: list[int] | None = None,
) -> list[Record]:  # fmt: skip
    up = query.ascending
    start: Position = position or ((since,) if up else (until,))
    reader = source.reader(stream, ReadRequest(query, since, until, start), CallBudget())
    got: list[Record] = []
    complete_until = start
    for _ in range(2000):
        batch = await reader.read(want, calls)
        keys = [record.key for record in batch.records]
        assert keys == sorted(keys, reverse=not up), "a batch is not in reading direction"
        for record in batch.records:
            assert since <= record.key[0] < until, "a record is outside the window"
            assert record.key > start if up else record.key < start, "a record is not beyond the position"
            assert record.key > complete_until if up else record.key < complete_until, (
                "a record is before the previous `complete_until`"
            )
        if got and keys:
            assert keys[0] > got[-1].key if up else keys[0] < got[-1].key, "a record belongs to an earlier batch"
        got += batch.records
        if bad is not None:
            bad.append(batch.bad_records.total())
        if batch.ended:
            return got
        assert (
            (batch.complete_until,) >= complete_until[:1] if up else (batch.complete_until,) <= (complete_until[0] + 1,)
        ), "`complete_until` moved back"
        complete_until = (batch.complete_until,)
    raise AssertionError("the stream does not end")


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of each string, number, boolean and null at any depth."""
    if isinstance(value, dict):
        for member, item in value.items():
            yield from leaves(item, member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, name)
    else:
        yield name, value


def time_as_sent(record: Record) -> Any:
    """Return the string or number in the raw record that is its time."""
    for _, value in leaves(record.raw()):
        try:
            if isinstance(value, str) and parse_vendor_ticks(value) // 10 == record.key[0]:
                return value
        except (ValueError, OverflowError):
            continue
        if isinstance(value, int | float) and record.key[0] in (value, value * 1000, value * 1_000_000):
            return value
    raise AssertionError("the raw record has no time")
