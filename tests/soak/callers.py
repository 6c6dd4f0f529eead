"""The callers of the soak: each loops until `stopping`, and compares every answer with the truth."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.domain.times import format_micros, parse_rfc3339
from tests.soak.world import Row, Truth

#: What may be answered while providers fail.
EXPECTED = {502: "source_failed", 503: "source_unavailable", 504: "source_timeout"}
SETTLE = 5  #: seconds, as the gateway is told

#: Place in a row of the truth, parameter, value.
FILTERS = ((0, "", ""), (0, "", ""), (1, "source", "taktikal"), (2, "category", "team"),
           (4, "provider_type", "DOCUMENT_SIGNED"))  # fmt: skip

Caller = Callable[[], Awaitable[None]]


def window(since: int, until: int) -> dict[str, Any]:
    return {"since": format_micros(since), "until": format_micros(until)}


def row_of(event: dict[str, Any]) -> Row:
    """A delivered event in the words of the truth."""
    time = parse_rfc3339(event["occurred_at"])
    envelope = event["envelope"]["id"] if event["envelope"] else ""
    told: Any = None if event["provider_id"] is None else int(event["provider_id"])
    if event["provider"] == "subnoto":
        told = json.dumps(event["data"], sort_keys=True)
    return (time, event["provider"], event["category"], envelope, event["provider_type"], told)


class Callers:
    """`wrong`: answers that should not have been; `unproven`: events of the growing end, not compared yet."""

    def __init__(self, client: httpx.AsyncClient, truth: Truth, seed: int) -> None:
        self._client, self.truth = client, truth
        self._rng = random.Random(seed)
        self.stopping = False
        self.going = asyncio.Event()  #: cleared: no request is begun
        self.going.set()
        self.done: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.unproven: list[tuple[str, int, list[dict[str, Any]]]] = []

    def all(self) -> list[Caller]:
        kinds = [(self.walk, 6), (self.export, 4), (self.follow, 2), (self.listen, 4)]
        kinds += [(self.hang_up, 1), (self.single, 1), (self.count, 1), (self.look, 1)]
        return [kind for kind, times in kinds for _ in range(times)]

    async def loop(self, caller: Caller) -> None:
        while not self.stopping:
            try:
                await caller()
            except Exception as error:
                self.wrong.append(f"{caller.__name__}: {error!r}")

    async def get(self, path: str, **params: Any) -> dict[str, Any] | None:
        """The body of a 200; None for a failure that may happen."""
        await self.going.wait()
        answer = await self._client.get(path, params=params)
        self.answers[str(answer.status_code)] += 1
        body: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            return body
        await self._refused(path, answer.status_code, body)
        return None

    async def _refused(self, path: str, status: int, body: dict[str, Any]) -> None:
        if EXPECTED.get(status) != body["code"]:
            self.wrong.append(f"{path}: {status} {body}")
        await asyncio.sleep(0.2)

    async def _page(self, **given: Any) -> dict[str, Any] | None:
        page = await self.get("/events", **given)
        self.done["pages"] += page is not None
        return page

    async def walk(self) -> None:
        """A window, page by page, with whatever filter; a page that fails is asked for again."""
        since, until = self.truth.window(self._rng, self._rng.choice((50, 300, 1500)))
        order = self._rng.choice(("asc", "desc"))
        place, name, value = self._rng.choice(FILTERS)
        given: dict[str, Any] = {**window(since, until), "order": order, **({name: value} if name else {})}
        events: list[dict[str, Any]] = []
        while not self.stopping:
            limit = self._rng.choice((7, 50, 100, 333, 1000))
            include = ["raw"] if self._rng.random() < 0.1 else []
            page = await self._page(**given, limit=limit, include=include)
            if page is None:
                continue
            events += page["data"]
            if page["page"]["next_cursor"] is None:
                expected = [row for row in self.truth.between(since, until) if not name or row[place] == value]
                self._judge("walk", events, expected if order == "asc" else expected[::-1])
                return
            given = {"cursor": page["page"]["next_cursor"]}

    async def follow(self) -> None:
        """The growing end, from a moment ago on, for a while."""
        since = self.truth.until - 20_000_000
        given: dict[str, Any] = {"since": format_micros(since), "order": "asc", "follow": "true"}
        events: list[dict[str, Any]] = []
        for _ in range(self._rng.randrange(5, 60)):
            if self.stopping:
                break
            page = await self._page(**given, limit=self._rng.choice((5, 100, 1000)))
            if page is not None:
                events += page["data"]
                given = {"cursor": page["page"]["next_cursor"]}
            await asyncio.sleep(self._rng.uniform(0.1, 0.6))
        self.unproven.append(("follow", since, events))

    async def single(self) -> None:
        since, until = self.truth.window(self._rng, 20)
        page = await self.get("/events", **window(since, until), limit=3)
        for event in page["data"] if page else ():
            found = await self.get(f"/events/{event['id']}")
            if found is not None:
                self.done["single events"] += 1
                # What is joined when it is read may have changed since.
                if (found["id"], row_of(found)) != (event["id"], row_of(event)):
                    self.wrong.append(f"single: {event['id']} is another event")

    async def count(self) -> None:
        since, until = self.truth.window(self._rng, 300)
        found = await self.get("/events/count", **window(since, until), exact="true")
        if found is not None:
            self.done["counts"] += 1
            if found["value"] != len(self.truth.between(since, until)):
                self.wrong.append(f"count: {found} is not {len(self.truth.between(since, until))}")

    async def look(self) -> None:
        for path in ("/health/live", "/metrics", "/sources", "/event-types"):
            await self.going.wait()
            answer = await self._client.get(path)
            self.answers[str(answer.status_code)] += 1
            if answer.status_code != 200:
                self.wrong.append(f"{path}: {answer.status_code}")
            await asyncio.sleep(0.5)

    async def hang_up(self) -> None:
        since, until = self.truth.window(self._rng, 2000)
        given = {**window(since, until), "limit": 1000, "include": "total"}
        await self.going.wait()
        try:
            async with asyncio.timeout(self._rng.uniform(0.005, 0.4)):
                await self._client.get("/events", params=given)
        except TimeoutError:
            self.done["callers who hung up"] += 1
        # Each of them leaves work behind; more would leave the providers' emulators time for little else.
        await asyncio.sleep(0.1)

    async def export(self) -> None:
        """A window as NDJSON; cut by half of the callers, and by failures, it goes on behind what came."""
        cut = self._rng.random() < 0.5
        since, until = self.truth.window(self._rng, 3000)
        given: dict[str, Any] = {**window(since, until), "order": "asc"}
        events: list[dict[str, Any]] = []
        while not self.stopping:
            most = self._rng.randrange(1, 2500) if cut else 10**9
            last, beginning = await self._lines(given, most, events)
            if last is not None and last["complete"]:
                self.done["exports"] += 1
                self._judge("export", events, self.truth.between(since, until))
                return
            if last is not None:
                given = {"cursor": last["cursor"]}
            elif beginning is not None and events:
                self.done["exports resumed"] += 1
                given = {"cursor": beginning, "after": events[-1]["id"]}

    async def _lines(
        self, given: dict[str, Any], most: int, events: list[dict[str, Any]]
    ) -> tuple[dict[str, Any] | None, str | None]:
        """The export's last line where it came, and its Export-Cursor; adds the events that came."""
        await self.going.wait()
        async with self._client.stream("GET", "/events/export", params=given) as answer:
            self.answers[str(answer.status_code)] += 1
            if answer.status_code != 200:
                await self._refused("export", answer.status_code, json.loads(await answer.aread()))
                return None, None
            begun = len(events)
            async for line in answer.aiter_lines():
                read = json.loads(line)
                if "complete" in read:
                    return read, None
                events.append(read)
                if len(events) - begun >= most:
                    break
            return None, answer.headers["Export-Cursor"]

    async def listen(self) -> None:
        """A stream for a few seconds; dropped, and sometimes taken up again where it was."""
        since = self.truth.until - 20_000_000
        events: list[dict[str, Any]] = []
        headers: dict[str, str] = {}
        for _ in range(self._rng.randrange(1, 4)):
            if self.stopping:
                break
            await self.going.wait()
            self.done["streams"] += 1
            seconds = self._rng.uniform(0.05, 8)
            try:
                async with (
                    asyncio.timeout(seconds),
                    self._client.stream(
                        "GET", "/events/stream", params={"since": format_micros(since)}, headers=headers
                    ) as answer,
                ):
                    if answer.status_code != 200:
                        self.wrong.append(f"stream: {answer.status_code} {await answer.aread()!r}")
                        return
                    cursor, kind = "", "message"
                    async for line in answer.aiter_lines():
                        if line.startswith("id: "):
                            cursor = line[4:]
                        elif line.startswith("event: "):
                            kind = line[7:]
                        elif line.startswith("data: ") and kind == "message":
                            events.append(json.loads(line[6:]))
                            headers = {"Last-Event-ID": cursor}
                        elif not line:
                            kind = "message"
            except TimeoutError:
                pass
        self.unproven.append(("stream", since, events))

    def _judge(self, what: str, events: list[dict[str, Any]], expected: list[Row]) -> None:
        rows, ids = [row_of(event) for event in events], {event["id"] for event in events}
        self.done[f"{what}s proven"] += 1
        self.done["events proven"] += len(rows)
        if rows != expected or len(ids) != len(rows):
            lost, more = Counter(expected) - Counter(rows), Counter(rows) - Counter(expected)
            self.wrong.append(
                f"{what}: {len(rows)} events for {len(expected)}, {len(ids)} ids; lost {list(lost)[:3]},"
                f" too many {list(more)[:3]}, order {'right' if sorted(rows) == sorted(expected) else 'unclear'}"
            )

    def prove(self, *, refresh: bool = True) -> None:
        """Judge the events of the growing end that the truth covers by now."""
        if refresh:
            self.truth.refresh()
        waiting, self.unproven = self.unproven, []
        for what, since, events in waiting:
            last = row_of(events[-1])[0] if events else 0
            if last >= self.truth.until:
                self.unproven.append((what, since, events))
            else:
                self._judge(what, events, self.truth.between(since, last + 1)[: len(events)])
