"""Observer of the calls to the providers, for metrics and logs; and observations of an account from its responses.

Pass a subclass of `Observer` in `CommonSettings`. Its methods run in the event loop during a call: they must be quick,
and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from app.domain.times import format_seconds

#: `closed`: calls pass. `open`: no calls. `half_open`: one trial call is running or allowed.
CircuitState = Literal["closed", "open", "half_open"]

#: Result of one attempt: an HTTP status as text (`200`, `429`), or `timeout`, `connection` (refused, reset, truncated),
#: `unusable` (too large, or in an unsupported encoding), `canceled` (the caller disconnected or the deadline passed).
Outcome = str

#: Why a call was not sent.
Refusal = Literal["circuit_open", "pause", "deadline"]


class Observer:
    """An observer without effect. `source` is the configured name, of a small, fixed set."""

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        """One attempt ended after `seconds`, without the time in the queue."""

    def on_retry(self, source: str, reason: Outcome) -> None:
        """An attempt that ended with `reason` will be retried."""

    def on_refused(self, source: str, reason: Refusal) -> None:
        """A call was refused without calling the provider."""

    def on_circuit(self, source: str, state: CircuitState) -> None:
        """The source's circuit changed its state. Also called with `closed` when the source is created."""

    def on_bad_records(self, source: str, count: int) -> None:
        """A page had `count` (at least 1) unreadable records."""

    def on_shared_state(self, up: bool) -> None:
        """The replicas' shared state became reachable or unreachable."""


class Observations:
    """Named facts. `clock` returns µs since the epoch. A fact keeps its time until its value changes."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._facts: dict[str, tuple[Any, str, int]] = {}

    def note(self, name: str, value: Any, how: str) -> None:
        """Record a fact. `how` is a phrase without personal data."""
        held = self._facts.get(name)
        if held is None or held[0] != value:
            self._facts[name] = (value, how, self._clock())

    def note_clock(self, date: int | None) -> None:
        """Record the difference between a provider's `Date`, in µs, and this machine's clock, in whole seconds."""
        if date is not None:
            # Date has no fractions: the middle of its second is the best guess.
            offset = round((date + 500_000 - self._clock()) / 1e6)
            self.note("clock_offset_seconds", offset, "the Date header of its answers, against this machine's clock")

    def describe(self) -> list[dict[str, Any]]:
        """Return `[{"name", "value", "how", "at"}]`, by name."""
        return [
            {"name": name, "value": value, "how": how, "at": format_seconds(at)}
            for name, (value, how, at) in sorted(self._facts.items())
        ]
