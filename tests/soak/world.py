"""The providers of the soak: histories that grow, their faults, and the truth."""

from __future__ import annotations

import bisect
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from sandbox.instruments import utc_now
from sandbox.serving import serve
from sandbox.subnoto import Emulator as Subnoto
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import Emulator as Taktikal
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.worlds import World, micros

EVENTS = 20_000  #: of each provider, to begin with
DAYS = 20
GROWTH = 10  #: events a second that each gets besides
SHARE = 0.02  #: of the calls that go wrong
OUTAGE_EVERY, OUTAGE = 200.0, 1.0  #: seconds, in which every call does; at each provider for itself

VERY_SLOW = 18  #: seconds: more than the gateway's deadline

#: What goes wrong, and how often against the others.
KINDS = {
    "500": 6, "503": 4, "429": 0.3, "cut": 5, "slow": 8, "very slow": 0.5, "reset": 4, "reset half-way": 4, "html": 0.5,
    "malformed": 0.5,
}  # fmt: skip

Row = tuple[Any, ...]


class Troubled:
    """An emulator's application, of whose requests some go wrong, each in its own way. Outside of outages few do so:
    a circuit that opens leaves the provider alone for half a minute, and nothing is learnt meanwhile."""

    def __init__(self, emulator: Subnoto | Taktikal, seed: int) -> None:
        self._emulator = emulator
        self._rng = random.Random(seed)
        self._outage = time.monotonic() + OUTAGE_EVERY
        self.is_on = False
        self.met: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._kind() if self.is_on and scope["type"] == "http" else None
        if kind is None or not kind.startswith("reset"):
            self._order(kind)
            await self._emulator.app(scope, receive, send)
            return
        # uvicorn's own request: what the ASGI specification shows of a connection cannot be reset.
        transport = send.__self__.transport  # type: ignore[attr-defined]

        async def cutting(message: Message) -> None:
            if message["type"] == "http.response.body":
                half = message.get("body", b"")[: len(message.get("body", b"")) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                reset(transport)
            else:
                await send(message)

        if kind == "reset":
            reset(transport)
        else:
            await self._emulator.app(scope, receive, cutting)

    def _kind(self) -> str | None:
        now = time.monotonic()
        if now >= self._outage:
            if now < self._outage + OUTAGE:
                self.met["outage"] += 1
                return "503"
            self._outage = now + self._rng.uniform(0.7, 1.3) * OUTAGE_EVERY
        if self._rng.random() >= SHARE:
            return None
        kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
        self.met[kind] += 1
        return kind

    def _order(self, kind: str | None) -> None:
        """The next request that is handled, likely this one, meets it."""
        faults = self._emulator.faults
        if kind in ("500", "503"):
            faults.answer(int(kind))
        elif kind == "429":
            faults.answer(429, {"Retry-After": "1"})
        elif kind == "slow":
            faults.hang(self._rng.uniform(0.1, 1.5))
        elif kind == "very slow":
            faults.hang(VERY_SLOW)
        elif kind is not None:
            getattr(faults, kind)()


def reset(transport: Any) -> None:
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


class Truth:
    """What the emulators hold, as it was a moment ago. Histories only ever grow at their end, so that a window before
    that moment never changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rows: list[Row] = []
        self.times: list[int] = []
        self.until = 0
        self.refresh()

    def refresh(self) -> None:
        # An entry that is just being made may have a time of a moment ago.
        until = micros(datetime.now(UTC)) - 2_000_000
        rows = [row for row in self._world.truth() if row[0] < until]
        self.rows, self.times, self.until = rows, [row[0] for row in rows], until

    def between(self, since: int, until: int) -> list[Row]:
        """Rows in [since, until), ascending."""
        return self.rows[bisect.bisect_left(self.times, since) : bisect.bisect_left(self.times, until)]

    def window(self, rng: random.Random, events: int) -> tuple[int, int]:
        """A window with about so many events, often at the growing end."""
        last = len(self.rows) - 1
        begin = max(0, last - events) if rng.random() < 0.4 else rng.randrange(max(1, last - events))
        return self.times[begin], self.times[min(last, begin + events)]


class Growth:
    """A thread that makes the histories grow until it is stopped."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._rng = world, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="growth")
        self.appended = 0

    def __enter__(self) -> Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1 / GROWTH):
            self._grow()

    def _grow(self) -> None:
        taktikal, subnoto = self._world.taktikal, self._world.subnoto
        assert taktikal is not None
        assert subnoto is not None
        number = self.appended // 8
        statuses = ("Created", "SigneeAdded", "SignupSent", "SMS:DELIVERED", "Auth", "SigneeSigned", "Completed", "New")
        taktikal.history.append(f"spsoak{number:08}", statuses[self.appended % 8], id=self.appended % 8 + 1)
        kinds = ("ENVELOPE_OPENED", "DOCUMENT_SIGNED", "ENVELOPE_COMPLETED")
        subnoto.history.append(self._rng.choice(kinds), event_data={"number": self.appended})
        if not self.appended % 10:
            subnoto.history.append("MEMBER_JOINED", category="team", event_data={"number": self.appended})
        self.appended += 1


@contextmanager
def providers(seed: int) -> Iterator[tuple[World, list[Troubled]]]:
    """Both emulators on loopback, by the machine's own clock; nothing goes wrong yet."""
    taktikal = Taktikal(TaktikalOptions(events=EVENTS, days=DAYS), clock=utc_now)
    subnoto = Subnoto(SubnotoOptions(events=EVENTS, days=DAYS), clock=utc_now)
    troubled = [Troubled(taktikal, seed), Troubled(subnoto, seed + 1)]
    with serve(troubled[0]) as one, serve(troubled[1]) as other:
        env = taktikal.env(one) | subnoto.env(other)
        yield World(utc_now, taktikal, subnoto, env), troubled  # type: ignore[arg-type]
