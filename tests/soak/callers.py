"""The callers of the soak: each loops until `stopping`, and compares every response with the truth."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from app.domain.times import format_micros, parse_rfc3339
from tests.soak.world import Row, Truth

#: Problems that may occur while providers fail.
EXPECTED = {502: "source_failed", 503: "source_unavailable", 504: "source_timeout"}
SETTLE = 5  #: seconds, the gateway's setting

#: Index in a row of the truth, parameter, value.
FILTERS = ((0, "", ""), (0, "", ""), (1, "source", "taktikal"), (2, "category", "team"),
           (4, "provider_type", "DOCUMENT_SIGNED"))  # fmt: skip

Caller = Callable[[], Awaitable[None]]
Event = dict[str, Any]


def row_of(event: Event) -> Row:
    """Return the row of the truth for a delivered event."""
    envelope = event["envelope"]["id"] if event["envelope"] else ""
    identity: Any = None if event["provider_id"] is None else int(event["provider_id"])
    if event["provider"] == "subnoto":
        identity = json.dumps(event["data"], sort_keys=True)
    time = parse_rfc3339(event["occurred_at"])
    return (time, event["provider"], event["category"], envelope, event["provider_type"], identity)


class Callers:
    """`wrong`: faults; `unproven`: events of the growing end, not compared yet."""

    def __init__(self, client: httpx.AsyncClient, truth: Truth, seed: int) -> None:
        self._client, self.truth, self._rng = client, truth, random.Random(seed)
        self.stopping = False
        self.going = asyncio.Event()  #: while cleared, no request begins
        self.going.set()
        self.done, self.responses = Counter[str](), Counter[str]()
        self.wrong: list[str] = []
        self.unproven: list[tuple[str, int, list[Event]]] = []

    def all(self) -> list[Caller]:
        kinds = (
            (self.walk, 6), (self.export, 4), (self.follow, 2), (self.listen, 4), (self.hang_up, 1), (self.other, 2),
        )  # fmt: skip
        return [kind for kind, times in kinds for _ in range(times)]

    async def loop(self, caller: Caller) -> None:
        while not self.stopping:
            try:
                await caller()
            except Exception as error:
                self.wrong.append(f"{caller.__name__}: {error!r}")

    @asynccontextmanager
    async def request(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> AsyncIterator[Any]:
        """Yield the response, or None for an expected failure."""
        await self.going.wait()
        async with self._client.stream("GET", path, params=params, headers=headers) as response:
            self.responses[str(response.status_code)] += 1
            if response.status_code == 200:
                yield response
                return
            problem = json.loads(await response.aread())
            if EXPECTED.get(response.status_code) != problem["code"]:
                self.wrong.append(f"{path}: {problem}")
            yield None
        await asyncio.sleep(0.2)

    async def get(self, path: str, **params: Any) -> Event | None:
        """Return the body of a 200, or None."""
        async with self.request(path, **params) as response:
            return None if response is None else json.loads(await response.aread())

    def window(self, events: int) -> tuple[int, int, dict[str, Any]]:
        since, until = self.truth.window(self._rng, events)
        return since, until, {"since": format_micros(since), "until": format_micros(until)}

    async def walk(self) -> None:
        """Read a window page by page, with a random filter; a failed page is requested again."""
        since, until, query = self.window(self._rng.choice((50, 300, 1500)))
        order, (index, name, value) = self._rng.choice(("asc", "desc")), self._rng.choice(FILTERS)
        query |= {"order": order, **({name: value} if name else {})}
        events: list[Event] = []
        while not self.stopping:
            include = ["raw"] if self._rng.random() < 0.1 else []
            page = await self.get("/events", **query, limit=self._rng.choice((7, 50, 333, 1000)), include=include)
            if page is None:
                continue
            events += page["data"]
            if page["page"]["next_cursor"] is None:
                expected = [row for row in self.truth.between(since, until) if not name or row[index] == value]
                self._compare("walk", events, expected if order == "asc" else expected[::-1])
                return
            query = {"cursor": page["page"]["next_cursor"]}

    async def follow(self) -> None:
        """Follow the growing end for a while."""
        since = self.truth.until - 20_000_000
        query: dict[str, Any] = {"since": format_micros(since), "order": "asc", "follow": "true"}
        events: list[Event] = []
        for _ in range(self._rng.randrange(5, 60)):
            if self.stopping:
                break
            page = await self.get("/events", **query, limit=self._rng.choice((5, 100, 1000)))
            if page is not None:
                events += page["data"]
                query = {"cursor": page["page"]["next_cursor"]}
            await asyncio.sleep(self._rng.uniform(0.1, 0.6))
        self.unproven.append(("follow", since, events))

    async def other(self) -> None:
        """Call the other endpoints: a count, single events, health, metrics, sources and types."""
        since, until, query = self.window(300)
        found = await self.get("/events/count", **query, exact="true")
        if found is not None and found["value"] != len(self.truth.between(since, until)):
            self.wrong.append(f"count: {found} is not {len(self.truth.between(since, until))}")
        for event in (await self.get("/events", **query, limit=3) or {"data": []})["data"]:
            same = await self.get(f"/events/{event['id']}")
            # Joined values may have changed since.
            if same is not None and (same["id"], row_of(same)) != (event["id"], row_of(event)):
                self.wrong.append(f"single: {event['id']} is another event")
        for path in ("/health/live", "/metrics", "/sources", "/event-types"):
            async with self.request(path):
                self.done["looks"] += 1

    async def hang_up(self) -> None:
        *_, query = self.window(2000)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rng.uniform(0.005, 0.4)):
                await self.get("/events", **query, limit=1000, include="total")
        self.done["callers who hung up"] += 1
        # Each disconnect leaves work for the emulators; more would slow them down.
        await asyncio.sleep(0.1)

    async def export(self) -> None:
        """Export a window as NDJSON. Half of the callers cut it; after a cut or a failure it is resumed."""
        cut = self._rng.random() < 0.5
        since, until, query = self.window(3000)
        query["order"] = "asc"
        events: list[Event] = []
        while not self.stopping:
            most, begun = self._rng.randrange(1, 2500) if cut else 10**9, len(events)
            async with self.request("/events/export", **query) as response:
                async for line in response.aiter_lines() if response else _nothing():
                    read = json.loads(line)
                    if read.get("complete"):
                        self._compare("export", events, self.truth.between(since, until))
                        return
                    if "complete" in read:
                        query = {"cursor": read["cursor"]}
                        break
                    events.append(read)
                    if len(events) - begun >= most:
                        self.done["exports resumed"] += 1
                        query = {"cursor": response.headers["Export-Cursor"], "after": read["id"]}
                        break

    async def listen(self) -> None:
        """Read a stream for a few seconds, and sometimes resume it."""
        since = self.truth.until - 20_000_000
        events: list[Event] = []
        headers: dict[str, str] = {}
        for _ in range(self._rng.randrange(1, 4)):
            if self.stopping:
                break
            self.done["streams"] += 1
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(self._rng.uniform(0.05, 8)),
                    self.request("/events/stream", headers, since=format_micros(since)) as response,
                ):
                    block: dict[str, str] = {}
                    async for line in response.aiter_lines():
                        name, _, value = line.partition(": ")
                        block[name] = value
                        if name == "data" and "event" not in block:
                            events.append(json.loads(value))
                            headers = {"Last-Event-ID": block["id"]}
                        if not line:
                            block = {}
        self.unproven.append(("stream", since, events))

    def _compare(self, name: str, events: list[Event], expected: list[Row]) -> None:
        rows, ids = [row_of(event) for event in events], {event["id"] for event in events}
        self.done[f"{name}s proven"] += 1
        self.done["events proven"] += len(rows)
        if rows != expected or len(ids) != len(rows):
            lost, more = Counter(expected) - Counter(rows), Counter(rows) - Counter(expected)
            order = "right" if sorted(rows) == sorted(expected) else "unclear"
            self.wrong.append(f"{name}: {len(rows)} events for {len(expected)}, {len(ids)} ids, order {order};"
                              f" lost {list(lost)[:3]}, too many {list(more)[:3]}")  # fmt: skip

    def prove(self, *, refresh: bool = True) -> None:
        """Compare the events of the growing end that the truth now covers."""
        if refresh:
            self.truth.refresh()
        pending, self.unproven = self.unproven, []
        for name, since, events in pending:
            last = row_of(events[-1])[0] if events else 0
            if last >= self.truth.until:
                self.unproven.append((name, since, events))
            else:
                self._compare(name, events, self.truth.between(since, last + 1)[: len(events)])


async def _nothing() -> AsyncIterator[str]:
    for line in ():
        yield line
