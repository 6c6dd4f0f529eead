"""The vendors of the soak: histories that grow, their faults, and the truth."""

from __future__ import annotations

import bisect
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sandbox.instruments import utc_now
from sandbox.serving import serve
from sandbox.subnoto import Emulator as Subnoto
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import Emulator as Taktikal
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.worlds import World, micros

EVENTS, DAYS = 20_000, 20  #: of each vendor, to begin with
GROWTH = 10  #: events a second of each
FAULTS = 0.1  #: of each, at an event; more would open the circuits, and nothing is learnt meanwhile
OUTAGE = 0.0005  #: the same, each of 20 failed calls
VERY_SLOW = 18  #: seconds: more than the gateway's deadline
#: Kinds of faults, and how often against the others.
KINDS = {"500": 6, "503": 4, "429": 0.3, "cut": 13, "slow": 8, "very slow": 0.5, "html": 0.5, "malformed": 0.5}

Row = tuple[Any, ...]


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


class Trouble(threading.Thread):
    """Makes the histories grow, and plans faults for the next calls while `is_on`."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(name="trouble", daemon=True)
        assert world.taktikal is not None
        assert world.subnoto is not None
        self._taktikal, self._subnoto, self._rng = world.taktikal, world.subnoto, random.Random(seed)
        self._over = threading.Event()
        self.is_on, self.met, self._appended = False, Counter[str](), 0

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(1 / GROWTH):
            self._grow()
            for emulator in (self._taktikal, self._subnoto):
                if self.is_on and self._rng.random() < OUTAGE:
                    self.met["outage"] += 1
                    emulator.faults.answer(503, times=20)
                elif self.is_on and self._rng.random() < FAULTS:
                    self._plan(emulator.faults)
                elif not self.is_on:
                    emulator.faults.clear()

    def _plan(self, faults: Any) -> None:
        kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
        self.met[kind] += 1
        if kind.isdecimal():
            faults.answer(int(kind), {"Retry-After": "1"} if kind == "429" else {})
        elif kind.endswith("slow"):
            faults.hang(VERY_SLOW if kind == "very slow" else self._rng.uniform(0.1, 1.5))
        else:
            getattr(faults, kind)()

    def _grow(self) -> None:
        number = self._appended // 8
        statuses = ("Created", "SigneeAdded", "SignupSent", "SMS:DELIVERED", "Auth", "SigneeSigned", "Completed", "New")
        place = self._appended % 8
        self._taktikal.history.append(f"spsoak{number:08}", statuses[place], id=place + 1)
        kinds = ("ENVELOPE_OPENED", "DOCUMENT_SIGNED", "ENVELOPE_COMPLETED")
        self._subnoto.history.append(self._rng.choice(kinds), event_data={"number": self._appended})
        if not self._appended % 10:
            self._subnoto.history.append("MEMBER_JOINED", category="team", event_data={"number": self._appended})
        self._appended += 1


@contextmanager
def vendors() -> Iterator[World]:
    """Both emulators on loopback, by the machine's own clock."""
    taktikal = Taktikal(TaktikalOptions(events=EVENTS, days=DAYS), clock=utc_now)
    subnoto = Subnoto(SubnotoOptions(events=EVENTS, days=DAYS), clock=utc_now)
    with serve(taktikal.app) as one, serve(subnoto.app) as other:
        yield World(utc_now, taktikal, subnoto, taktikal.env(one) | subnoto.env(other))  # type: ignore[arg-type]
