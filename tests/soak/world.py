"""The vendors of the soak: histories that grow, their faults, and the truth."""

import bisect
import random
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.worlds import World, micros

GROWTH = 10  #: events a second of each vendor
FAULTS = 0.1  #: probability of a fault at an event; more would keep the circuits open
OUTAGE = 0.0005  #: probability of an outage, up to 20 failed calls within a second
VERY_SLOW = 18  #: seconds: more than the gateway's deadline
#: Relative frequencies of faults.
KINDS = {"500": 6, "503": 4, "429": 0.3, "cut": 13, "slow": 8, "very slow": 0.5, "html": 0.5, "malformed": 0.5}

Row = tuple[Any, ...]


class Truth:
    """The emulators' events up to `until`. Histories grow only at their end, so that a window before never changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.refresh()

    def refresh(self) -> None:
        # An entry that is being added may have a slightly earlier time.
        until = micros(datetime.now(UTC)) - 2_000_000
        rows = [row for row in self._world.truth() if row[0] < until]
        self.rows, self.times, self.until = rows, [row[0] for row in rows], until

    def between(self, since: int, until: int) -> list[Row]:
        """Rows in [since, until), ascending."""
        return self.rows[bisect.bisect_left(self.times, since) : bisect.bisect_left(self.times, until)]

    def window(self, rng: random.Random, events: int) -> tuple[int, int]:
        """Return a window with about `events` events, often at the growing end."""
        last = len(self.rows) - 1
        begin = max(0, last - events) if rng.random() < 0.4 else rng.randrange(max(1, last - events))
        return self.times[begin], self.times[min(last, begin + events)]


class Trouble(threading.Thread):
    """Appends to the histories, and sets faults for the next calls while `is_on`.

    Faults that no call gets at once are dropped: those set during an open circuit would fail all its trial calls."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(name="trouble", daemon=True)
        self._world, self._rng, self._over = world, random.Random(seed), threading.Event()
        self.is_on, self.met, self._appended = False, Counter[str](), 0

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        outage = 0  # events left
        while not self._over.wait(1 / GROWTH):
            self._grow()
            outage -= 1
            for emulator in (self._world.taktikal, self._world.subnoto):
                if outage <= 0 or not self.is_on:
                    emulator.faults.clear()
                if not self.is_on:
                    continue
                if self._rng.random() < OUTAGE:
                    self.met["outage"] += 1
                    emulator.faults.answer(503, times=20)
                    outage = GROWTH
                elif self._rng.random() < FAULTS:
                    self._plan(emulator.faults)

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
        number, place = divmod(self._appended, 8)
        statuses = ("Created", "SigneeAdded", "SignupSent", "SMS:DELIVERED", "Auth", "SigneeSigned", "Completed", "New")
        self._world.taktikal.history.append(f"spsoak{number:08}", statuses[place], id=place + 1)
        kinds = [(self._rng.choice(("ENVELOPE_OPENED", "DOCUMENT_SIGNED", "ENVELOPE_COMPLETED")), "envelope")]
        for kind, category in kinds + [("MEMBER_JOINED", "team")] * (not self._appended % 10):
            self._world.subnoto.history.append(kind, category=category, event_data={"number": self._appended})
        self._appended += 1
